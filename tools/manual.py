# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the manual pages focus(1), focusd(8) and focusd.json(5): `python3 tools/manual.py DIRECTORY`.

Commands, options, keys and exit codes come from the tables that the programs themselves use, so that help texts and
manual cannot differ; only the text around them is written here. `python3 tools/manual.py --table-of-keys` prints the
table of keys for the README. Only the clone is needed. The date is that of SOURCE_DATE_EPOCH, or else today.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from warwick.observatory.focuslynx._version import __version__  # noqa: E402
from warwick.observatory.focuslynx.client.commands import COMMANDS, Command  # noqa: E402
from warwick.observatory.focuslynx.client.help import exit_codes  # noqa: E402
from warwick.observatory.focuslynx.config import KEYS, Key  # noqa: E402
from warwick.observatory.focuslynx.daemon import main as daemon_main  # noqa: E402
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS, HubSetting  # noqa: E402

FOCUS = {
    'DESCRIPTION': [
        '`focus` shows and moves the telescope focusers of an Optec FocusLynx hub. It asks `focusd`, which owns the '
        'hub, over the network. Commands that change something are accepted from the machines in `control_machines` of '
        'the configuration; commands that only show something, from every machine.',
        'Positions are signed steps; step 0 is the middle of the range of the hub. A command that succeeds prints only '
        'what it was asked for. A command that fails prints the reason and exits with the number of that reason.',
        'Without a command, `focus` lists the commands; `focus` <command> `--help` explains one of them.',
    ],
    'ENVIRONMENT': {
        'FOCUSD_CONFIG_PATH': 'The configuration file of the daemon. If it is not set, the only `*.json` in '
                              '`/etc/focusd` is taken.',
        'NO_COLOR': 'If it is not empty, there are no colours, and there is no live line during a move.',
        'OBSERVATORY_SITE': 'The site file, which registers the machines and daemons of an observatory; '
                            '`/etc/observatory/site.json` if it is not set.',
        'TERM': 'If it is `dumb`, there are no colours, and there is no live line during a move.',
    },
    'FILES': {
        '/etc/focusd/*.json': 'The configuration of the daemon, with the address of the daemon; see `focusd.json`(5).',
        '/etc/observatory/site.json': 'Machines and daemons of an observatory other than those at Warwick.',
    },
    'SEE ALSO': '`focusd.json`(5), `focusd`(8)',
}

FOCUSD = {
    'DESCRIPTION': [
        '`focusd` drives the two telescope focusers of an Optec FocusLynx hub, also sold as Starlight FocusBoss II. It '
        'owns the serial port, and serves one Pyro4 object to the programs of an observatory; `focus`(1) is its '
        'command line client. It recovers from pulled plugs, power cuts, and lost or garbled replies without a '
        'restart, and never sends a move twice.',
        'It stays in the foreground. The systemd unit `focusd@`<name> runs `focusd` on `/etc/focusd/`<name>`.json`. '
        'After the start it waits for `focus init`, unless `connect_on_start` is true.',
    ],
    'SIGNALS': {
        'SIGTERM, SIGINT, SIGHUP': 'End with exit code 0: the focusers that the daemon has set in motion are halted '
                                   'first, and the calls under way are answered. A second SIGTERM or SIGINT, a second '
                                   'or more after the first signal, ends the process at once. SIGHUP does not load the '
                                   'configuration again.',
        'SIGQUIT, SIGALRM, SIGXCPU and others': 'The same, but in the end the process ends by the signal, so that '
                                                'systemd starts it again.',
        'SIGUSR1, SIGUSR2': 'Ignored, with a line in the log.',
        'Inherited': 'A signal that was ignored at the start, as SIGHUP is by `nohup`, stays ignored. Signals that '
                     'were blocked at the start are not blocked any more.',
    },
    'LOG': [
        'Each connection made or lost, each move, stop, zero, homing and change of a setting, and each error of a '
        'channel is one line on standard output. The line begins with a priority if it goes to the journal, otherwise '
        'with the time. It is sent to the log daemon of the observatory as well. `journalctl -u focusd@`<name> shows '
        'the lines.',
    ],
    'ENVIRONMENT': {
        'OBSERVATORY_SITE': 'The site file, which registers the machines and daemons of an observatory; '
                            '`/etc/observatory/site.json` if it is not set.',
        'JOURNAL_STREAM, NOTIFY_SOCKET, WATCHDOG_USEC': 'Set by systemd: whether the log goes to the journal, where to '
                                                        'send the state, and how often to send a sign of life.',
    },
    'FILES': {
        '/etc/focusd/*.json': 'One configuration for each hub; see `focusd.json`(5).',
        '/etc/observatory/site.json': 'Machines and daemons of an observatory other than those at Warwick.',
    },
    'EXAMPLES': {
        'focusd --check /etc/focusd/clasp.json': 'Check the configuration, and print what it means.',
        'focusd test.json': 'In a clone: run with a simulated hub, until Ctrl-C.',
        'systemctl enable --now focusd@clasp': 'Run with `/etc/focusd/clasp.json`, now and after each boot.',
    },
    'SEE ALSO': '`focus`(1), `focusd.json`(5), `journalctl`(1), `systemctl`(1), `udev`(7)',
}

FOCUSD_JSON = {
    'DESCRIPTION': [
        'The configuration of `focusd`(8): one JSON object for each hub. `focus`(1) reads it to learn where the daemon '
        'is, and ignores the other keys. Unknown keys are errors. Times keep their fractions. `focusd --check` <file> '
        'checks a file, and warns of values that hardly can be meant.',
        'An error is one line, which names the key, its value, and what is accepted.',
    ],
    'FILES': {
        '/etc/focusd/*.json': 'The unit `focusd@`<name> takes `/etc/focusd/`<name>`.json`.',
        '/etc/observatory/site.json': 'Names of machines and daemons of an observatory other than those at Warwick.',
    },
    'ENVIRONMENT': {
        'FOCUSD_CONFIG_PATH': 'The file that `focus`(1) takes; `focusd`(8) is given its file as an argument.',
        'OBSERVATORY_SITE': 'The site file, if it is not `/etc/observatory/site.json`.',
    },
    'SEE ALSO': '`focus`(1), `focusd`(8)',
}


def plain(text: str) -> str:
    """Text in the notation of roff: unchanged, at any place in a line."""
    text = text.replace('\\', '\\e').replace('-', '\\-').replace('`', '\\(ga').replace("'", '\\(aq')
    text = ''.join(c if c.isascii() else f'\\[u{ord(c):04X}]' for c in text.replace('"', '\\(dq'))
    return text.replace('^', '\\(ha').replace('~', '\\(ti')


def prose(text: str) -> str:
    """Words with `literals` in bold and <placeholders> in italics."""
    pieces = re.split(r'(`[^`]+`|<[a-z][a-z ]*>)', text)
    fonts = {'`': '\\fB', '<': '\\fI'}
    shown = ''.join(f'{fonts[p[0]]}{plain(p[1:-1])}\\fR' if p[:1] in fonts else plain(p).replace('\\-', '-')
                    for p in pieces)
    return shown


def wrapped(text: str) -> Iterator[str]:
    """Prose as lines of a source, none of which can be taken for a request."""
    for line in textwrap.wrap(prose(text), 78, break_long_words=False, break_on_hyphens=False):
        # Nor for the end of a sentence, after which troff leaves more room than inside of a line
        yield ('\\&' if line[0] in ".'" else '') + line + ('\\&' if line[-1] in '.?!' else '')


def synopsis(name: str, arguments: str = '') -> str:
    return f'\\fB{plain(name)}\\fR {prose(arguments)}'.strip()


def paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from ('.PP', *wrapped(text))


def listed(rows: Iterable[tuple[str, Iterable[str]]], width: str = '') -> Iterator[str]:
    """Terms, which are in the notation of roff already, each with paragraphs that explain it."""
    for term, texts in rows:
        yield from (f'.TP {width}'.strip(), term)
        for number, text in enumerate(texts):
            yield from (*(['.IP'] if number else []), *wrapped(text))


def literal(text: str) -> Iterator[str]:
    yield from ('.PP', '.RS 4', '.nf')
    yield from (f'\\&{line}' if line[:1] in ('.', "'") else line for line in plain(text.rstrip('\n')).split('\n'))
    yield from ('.fi', '.RE')


def chapter(heading: str, content: Any) -> Iterator[str]:
    """A section: sentences, paragraphs, or terms with their meaning."""
    yield f'.SH {heading}'
    if isinstance(content, str):
        yield from wrapped(content)
    elif isinstance(content, dict):
        yield from listed((f'\\fB{plain(term)}\\fR', [text]) for term, text in content.items())
    else:
        yield from list(paragraphs(content))[1:]


def page(name: str, number: int, kind: str, summary: str, usage: list[str], body: Iterable[str]) -> str:
    """A whole page, from its head to a last newline."""
    seconds = int(os.environ.get('SOURCE_DATE_EPOCH') or time.time())
    date = time.strftime('%Y-%m-%d', time.gmtime(seconds))
    lines = [f'.\\" Made by tools/manual.py of focusd {__version__}: change the tables there and in the programs.',
             f'.TH {name.upper()} {number} {date} "focusd {__version__}" "{kind}"', '.nh', '.ad l',
             '.SH NAME', f'{name} \\- {prose(summary)}', '.SH SYNOPSIS']
    for line, text in enumerate(usage):
        lines += [*(['.br'] if line else []), text]
    return '\n'.join([*lines, *body]) + '\n'


def manual_of_focus() -> str:
    body = list(chapter('DESCRIPTION', FOCUS['DESCRIPTION']))
    for group in dict.fromkeys(command.group for command in COMMANDS):
        body.append(f'.SH {group.upper()} COMMANDS')
        body += listed((synopsis(c.name, c.synopsis[len(c.name):].strip()), _explained(c))
                       for c in COMMANDS if c.group == group)
    body.append('.SH SETTINGS')
    body += wrapped('These are the settings of `focus configure`. The hub stores them; they survive a power cut.')
    body += listed((synopsis(key), _of_setting(setting)) for key, setting in HUB_SETTINGS.items())
    body.append('.SH EXIT STATUS')
    codes: dict[int, list[str]] = {}
    for command in COMMANDS:
        for code, meaning in exit_codes(command):
            codes.setdefault(code, [])
            codes[code] += [m for m in meaning.split(', or ') if m not in codes[code]]
    body += listed(((f'\\fB{code}\\fR', [', or '.join(codes[code])]) for code in sorted(codes)), '6')
    body += chapter('ENVIRONMENT', FOCUS['ENVIRONMENT'])
    body += chapter('FILES', FOCUS['FILES'])
    body += chapter('EXAMPLES', {f'focus {words}': f'{what[0].upper()}{what[1:]}.'
                                 for command in COMMANDS for words, what in command.examples})
    body += chapter('SEE ALSO', FOCUS['SEE ALSO'])
    return page('focus', 1, 'User Commands', 'show and move telescope focusers', [
        synopsis('focus', '<command> [<arguments>]'), '\\fBfocus\\fR \\fIcommand\\fR \\fB\\-\\-help\\fR'], body)


def _explained(command: Command) -> list[str]:
    return [f'{command.summary[0].upper()}{command.summary[1:]}.', *command.details.split('\n\n')]


def _of_setting(setting: HubSetting) -> list[str]:
    wants = ' Wants `--yes`.' if setting.dangerous else ''
    return [f'{setting.meaning[0].upper()}{setting.meaning[1:]}.', f'Accepted: {setting.kind.accepts}.{wants}']


def manual_of_focusd() -> str:
    parser = daemon_main.make_parser('focusd')
    options = [action for action in parser._actions if action.option_strings]
    files = [action for action in parser._actions if not action.option_strings]
    usage = ' '.join([*(f'[{_option(o, longest=True)}]' for o in options), *(f'<{f.dest}>' for f in files)])
    body = list(chapter('DESCRIPTION', FOCUSD['DESCRIPTION']))
    body.append('.SH OPTIONS')
    body += listed((f'\\fI{file.dest}\\fR', [_sentence(file)]) for file in files)
    body += listed((prose(_option(o)), [_sentence(o)]) for o in options)
    codes = re.findall(r'(\d) ([^;.]+)', (parser.epilog or '').split('Exit codes:')[1])
    body.append('.SH EXIT STATUS')
    body += listed(((f'\\fB{code}\\fR', [' '.join(meaning.split())]) for code, meaning in codes), '6')
    for heading in ('SIGNALS', 'LOG', 'ENVIRONMENT', 'FILES', 'EXAMPLES', 'SEE ALSO'):
        body += chapter(heading, FOCUSD[heading])
    return page('focusd', 8, 'System Administration', 'drive the focusers of an Optec FocusLynx hub',
                [synopsis('focusd', usage)], body)


def _option(action: argparse.Action, longest: bool = False) -> str:
    names = sorted(action.option_strings, key=len)[-1 if longest else 0:]
    value = f' <{action.metavar.lower()}>' if isinstance(action.metavar, str) else ''
    return ', '.join(f'`{name}`' for name in names) + value


def _sentence(action: argparse.Action) -> str:
    text = action.help or ''
    return f'{text[:1].upper()}{text[1:]}.'


def manual_of_the_configuration() -> str:
    body = list(chapter('DESCRIPTION', FOCUSD_JSON['DESCRIPTION']))
    for heading, is_required in (('REQUIRED KEYS', True), ('OPTIONAL KEYS', False)):
        body.append(f'.SH {heading}')
        body += listed((synopsis(key.name), _meaning(key)) for key in KEYS if key.is_required is is_required)
    body += chapter('FILES', FOCUSD_JSON['FILES'])
    body += chapter('ENVIRONMENT', FOCUSD_JSON['ENVIRONMENT'])
    body.append('.SH EXAMPLES')
    body += list(paragraphs(['A hub on a serial port:']))[1:]
    body += literal((ROOT / 'config/clasp.json').read_text('utf-8'))
    body += paragraphs(['A hub on the network:'])
    body += literal('    "serial_port": "socket://192.168.7.30:9760",')
    body += chapter('SEE ALSO', FOCUSD_JSON['SEE ALSO'])
    return page('focusd.json', 5, 'File Formats', 'configuration of `focusd`(8)', ['/etc/focusd/*.json'], body)


def _meaning(key: Key) -> list[str]:
    unit = f' Unit: {key.unit}.' if key.unit else ''
    default = '' if key.is_required else f' Default: {_default(key)}.'
    return [f'{key.meaning[0].upper()}{key.meaning[1:]}.', f'Accepted: {key.kind.accepts}.{unit}{default}']


def _default(key: Key) -> str:
    return key.default if isinstance(key.default, str) else f'`{json.dumps(key.default)}`'


def table_of_keys() -> str:
    """The table of keys in the README."""
    rows = ['| key | unit | meaning | accepted | default |', '|---|---|---|---|---|']
    for key in KEYS:
        unit = f'{key.unit} ' if key.unit else ''
        default = 'required' if key.is_required else _default(key)
        rows.append(f'| `{key.name}` | {unit}| {key.meaning} | {key.kind.accepts} | {default} |')
    return '\n'.join(rows)


PAGES = {'focus.1': manual_of_focus, 'focusd.8': manual_of_focusd, 'focusd.json.5': manual_of_the_configuration}


def main(arguments: list[str]) -> int:
    if arguments == ['--table-of-keys']:
        print(table_of_keys())
        return 0
    if len(arguments) != 1 or arguments[0].startswith('-'):
        print('usage: manual.py DIRECTORY | --table-of-keys', file=sys.stderr)
        return 2
    try:
        directory = Path(arguments[0])
        directory.mkdir(parents=True, exist_ok=True)
        for name, manual in PAGES.items():
            (directory / name).write_text(manual(), encoding='ascii')
    except OSError as error:
        print(f'manual.py: {error.filename}: cannot be written: {error.strerror}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
