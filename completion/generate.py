# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the completions for bash, zsh and fish from the client's table of commands: `python completion/generate.py`.

The scripts contain all that they offer, so Tab starts no program and calls no daemon.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from warwick.observatory.focuslynx.client.commands import COMMANDS, SETTING, VALUE  # noqa: E402
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS  # noqa: E402

NAMES = [*(command.name for command in COMMANDS), 'help']
SUMMARIES = {**{command.name: command.summary for command in COMMANDS}, 'help': 'explain a command'}

_NOTE = '# SPDX-License-Identifier: GPL-3.0-or-later\n# Written by completion/generate.py from the table of commands.\n'


def offers() -> dict[tuple[str, int, str], tuple[str, ...]]:
    """The choices for arguments, by command, place of the argument (from 1) and word before it.

    The word before is `*` if it does not matter.
    """
    found: dict[tuple[str, int, str], tuple[str, ...]] = {}
    for command in COMMANDS:
        for place, argument in enumerate(command.arguments, 1):
            if argument is SETTING:
                found[command.name, place, '*'] = tuple(HUB_SETTINGS)
            elif argument is VALUE:
                found.update({(command.name, place, key): setting.kind.choices for key, setting in HUB_SETTINGS.items()
                              if setting.kind.choices})
            elif argument.choices:
                found[command.name, place, '*'] = argument.choices
    return {**found, ('help', 1, '*'): tuple(NAMES[:-1])}


def options() -> dict[str, tuple[str, ...]]:
    """The options of each command. All of them have --help."""
    return {command.name: (*command.options, '--help') for command in COMMANDS}


def _grouped(values: dict[str, tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for key, words in values.items():
        groups.setdefault(words, []).append(key)
    return groups


def _cases(values: dict[str, tuple[str, ...]], indent: str, assign: str) -> str:
    return '\n'.join(f'{indent}{"|".join(keys)}) {assign.format(" ".join(words))} ;;'
                     for words, keys in _grouped(values).items())


def _places() -> dict[str, tuple[str, ...]]:
    return {f'{name}:{place}:{before}': words for (name, place, before), words in offers().items()}


def bash() -> str:
    return f'''# bash completion for focus                                -*- shell-script -*-
{_NOTE}
_focus()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words='' place=1 before='' i
    for ((i = 2; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} == --* ]] || {{ ((place++)); before=${{COMP_WORDS[i]}}; }}
    done
    if ((COMP_CWORD == 1)); then
        words='{" ".join(NAMES)}'
    elif [[ $word == --* ]]; then
        case $command in
{_cases(options(), ' ' * 12, "words='{}'")}
        esac
    else
        case $command:$place:$before in
{_cases(_places(), ' ' * 12, "words='{}'")}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}

complete -F _focus focus
'''


def zsh() -> str:
    described = '\n'.join(f"        '{name}:{summary}'" for name, summary in SUMMARIES.items())
    return f'''#compdef focus
{_NOTE}
_focus() {{
    local -a commands=(
{described}
    )
    local -a words_offered
    local before=''
    local -i place=1 i
    for ((i = 3; i < CURRENT; i++)); do
        [[ $words[i] == --* ]] || {{ ((place++)); before=$words[i] }}
    done
    if ((CURRENT == 2)); then
        _describe -V command commands
        return
    elif [[ $words[CURRENT] == --* ]]; then
        case $words[2] in
{_cases(options(), ' ' * 12, 'words_offered=({})')}
        esac
    else
        case $words[2]:$place:$before in
{_cases(_places(), ' ' * 12, 'words_offered=({})')}
        esac
    fi
    (($#words_offered)) && compadd -V argument -a words_offered
}}

if [[ $funcstack[1] == _focus ]]; then
    _focus "$@"
else
    compdef _focus focus
fi
'''


def _befores() -> dict[tuple[str, int, tuple[str, ...]], list[str]]:
    """The words before an argument, by command, place and choices; an empty list if they do not matter."""
    found: dict[tuple[str, int, tuple[str, ...]], list[str]] = {}
    for (name, place, before), words in offers().items():
        found.setdefault((name, place, words), []).extend([] if before == '*' else [before])
    return found


def fish() -> str:
    lines = [f"complete -c focus -n '__focus_at 0' -a {name} -d '{summary}'" for name, summary in SUMMARIES.items()]
    for (name, place, words), befores in _befores().items():
        lines.append(f"complete -c focus -k -n '__focus_at {' '.join([str(place), name, *befores])}' "
                     f"-a '{' '.join(words)}'")
    lines += [f"complete -c focus -n '__focus_in {' '.join(keys)}' -l {option[2:]}"
              for words, keys in _grouped(options()).items() for option in words]
    return f'''# fish completion for focus
{_NOTE}
function __focus_at --description 'whether a command has so many words, and the last of them is in a list'
    set -l words (string match --invert -- '--*' (commandline -opc))
    test (count $words) -eq (math $argv[1] + 1); and begin
        test (count $argv) -eq 1; or test "$words[2]" = $argv[2]
    end; and begin
        test (count $argv) -le 2; or contains -- $words[-1] $argv[3..]
    end
end

function __focus_in --description 'whether the present word is an option of one of these commands'
    set -l words (commandline -opc)
    string match --quiet -- '--*' (commandline -ct); and test (count $words) -gt 1; and contains -- $words[2] $argv
end

complete -c focus -f
''' + '\n'.join(lines) + '\n'


SCRIPTS = {'focus': bash, '_focus': zsh, 'focus.fish': fish}

if __name__ == '__main__':
    for name, script in SCRIPTS.items():
        (HERE / name).write_text(script(), encoding='utf-8')
