# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the manual pages focus(1), focusd(8) and focusd.json(5): `python3 tools/manual.py DIRECTORY`.

Commands, options, keys and exit codes come from the tables that the programs themselves use, so that help texts and
manual cannot differ; only what surrounds them is written here. Nothing but the clone and jsonschema is needed. The date
is that of SOURCE_DATE_EPOCH, or else today.
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
from warwick.observatory.focuslynx.config import SCHEMA  # noqa: E402
from warwick.observatory.focuslynx.daemon import main as daemon_cli  # noqa: E402
from warwick.observatory.focuslynx.hub_settings import SETTINGS, HubSetting  # noqa: E402

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
        'command line client. Pulled plugs, power cuts, lost and garbled replies are survived without a restart, and '
        'without a move that is sent twice.',
        'It does not become a background process. The systemd unit `focusd@`<name> runs `focusd` on '
        '`/etc/focusd/`<name>`.json`. After the start it waits for `focus init`, unless `connect_on_start` is set.',
    ],
    'SIGNALS': {
        'SIGTERM, SIGINT': 'End in good order: focusers that the daemon has set in motion are halted, and whoever '
                           'waits for them is told. A second signal ends the process at once.',
    },
    'LOG': [
        'Each connection made or lost, each move, stop, zero, homing and change of a setting, and each trouble of a '
        'channel is one line on standard output, with a priority for the journal if it goes there, and with the time '
        'otherwise. The lines are also sent to the log daemon of the observatory. `journalctl -u focusd@`<name> shows '
        'them.',
    ],
    'ENVIRONMENT': {
        'OBSERVATORY_SITE': 'The site file, which registers the machines and daemons of an observatory; '
                            '`/etc/observatory/site.json` if it is not set.',
        'JOURNAL_STREAM, NOTIFY_SOCKET, WATCHDOG_USEC': 'Set by systemd: where the log goes, whom to tell the state, '
                                                        'and how often to give a sign of life.',
    },
    'FILES': {
        '/etc/focusd/*.json': 'One configuration for each hub; see `focusd.json`(5).',
        '/etc/observatory/site.json': 'Machines and daemons of an observatory other than those at Warwick.',
    },
    'EXAMPLES': {
        'focusd --check /etc/focusd/clasp.json': 'Is the configuration right, and what does it mean?',
        'focusd test.json': 'In a clone: run on a simulated hub, until Ctrl-C.',
        'systemctl enable --now focusd@clasp': 'Run on `/etc/focusd/clasp.json`, now and after each boot.',
    },
    'SEE ALSO': '`focus`(1), `focusd.json`(5), `journalctl`(1), `systemctl`(1), `udev`(7)',
}

FOCUSD_JSON = {
    'DESCRIPTION': [
        'The configuration of `focusd`(8): one JSON object for each hub. `focus`(1) reads it to learn where the daemon '
        'is. Unknown keys are refused. Times keep their fractions. `focusd --check` <file> tells whether it '
        'is right.',
        'Whatever is wrong with a file is said in one line, which names the key, its value, and what is accepted.',
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
    """Text in the notation of roff, as it stands, wherever it stands in a line."""
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
    body += listed((synopsis(key), _of_setting(setting)) for key, setting in SETTINGS.items())
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
    parser = daemon_cli._parser('focusd')
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
    for heading, wanted in (('REQUIRED KEYS', True), ('OPTIONAL KEYS', False)):
        body.append(f'.SH {heading}')
        body += listed((synopsis(key), _meaning(key)) for key in SCHEMA['properties']
                       if (key in SCHEMA['required']) is wanted)
    body += chapter('FILES', FOCUSD_JSON['FILES'])
    body += chapter('ENVIRONMENT', FOCUSD_JSON['ENVIRONMENT'])
    body.append('.SH EXAMPLES')
    body += list(paragraphs(['A hub on a serial port:']))[1:]
    body += literal((ROOT / 'config/clasp.json').read_text('utf-8'))
    body += paragraphs(['A hub on the network:'])
    body += literal('    "serial_port": "socket://192.168.7.30:9760",')
    body += chapter('SEE ALSO', FOCUSD_JSON['SEE ALSO'])
    return page('focusd.json', 5, 'File Formats', 'configuration of `focusd`(8)', ['/etc/focusd/*.json'], body)


def _meaning(key: str) -> list[str]:
    row = SCHEMA['properties'][key]
    unit = f' Unit: {row["unit"]}.' if 'unit' in row else ''
    default = f' Default: {default_of(key)}.' if key not in SCHEMA['required'] else ''
    text = row['description']
    return [f'{text[0].upper()}{text[1:]}.', f'Accepted: {accepted(row)}.{unit}{default}']


def accepted(schema: dict[str, Any]) -> str:
    """The values that a schema accepts, in a few words."""
    if 'daemon_name' in schema:
        return 'a known entry'
    if schema['type'] == 'array':
        return 'min < max' if schema.get('ascending') else 'list of known names'
    if schema['type'] in ('number', 'integer'):
        whole = schema['type'] == 'integer'
        lowest = f'whole number, {schema["exclusiveMinimum"] + 1}' if whole else f'above {schema["exclusiveMinimum"]},'
        return f'{lowest} to {schema["maximum"]}'
    return {'boolean': '`true`, `false`', 'string': 'not empty'}[schema['type']]


def default_of(key: str) -> str:
    """The default of a key in words; that of one that depends on others is said in words in the schema too."""
    value = SCHEMA['properties'][key]['default']
    return value if isinstance(value, str) else f'`{json.dumps(value)}`'


PAGES = {'focus.1': manual_of_focus, 'focusd.8': manual_of_focusd, 'focusd.json.5': manual_of_the_configuration}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith('-'):
        print('usage: manual.py DIRECTORY', file=sys.stderr)
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
