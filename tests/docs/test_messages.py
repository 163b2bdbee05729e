# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/operations.md has every message of the programs, each with its cure, and none that no program says."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from tests.docs.messages import Message, of_file
from tests.docs.stage import ROOT
from warwick.observatory.focuslynx.config import KEYS
from warwick.observatory.focuslynx.constants import CommandStatus, FocuserStatus
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS

DOCUMENT = (ROOT / 'docs/operations.md').read_text('utf-8')
CHAPTER = re.split(r'^## ', DOCUMENT.split('\n## Messages\n')[1], flags=re.MULTILINE)[0]
CODE = [' '.join(text.split()) for text in re.findall(r'`([^`]+)`', CHAPTER)]

PACKAGE = ROOT / 'warwick/observatory/focuslynx'
COMMON = ROOT / 'common/warwick/observatory/common'
SOURCES = [*(ROOT / name for name in ('focus', 'focusd')), *sorted(COMMON.glob('*.py')),
           *sorted(path for path in PACKAGE.rglob('*.py') if 'simulator' not in path.parts)]


def place(path: Path) -> str:
    """A source as the table below names it: its path within its package."""
    home = next((home for home in (PACKAGE, COMMON) if home in path.parents), ROOT)
    return path.relative_to(home).as_posix()


# Place and text, with * for what may differ, and why there needs to be no entry.
LEFT_OUT = (
    ('client/commands.py*', '*', 'help texts, which the manual page has'),
    ('client/help.py:*', '*', 'help texts, which the manual page has'),
    ('client/main.py:*', 'usage: *', 'usage'),
    ('client/progress_line.py:*', '*', 'the live line of a move'),
    ('client/info.py:*', '*', 'what is shown of the hub'),
    ('client/configure.py:_group', '*', 'the list of settings'),
    ('client/configure.py:_change', '*', 'what a setting was before'),
    ('client/watch_screen.py:*', '*', 'the screen of watch'),
    ('client/status.py:*', '*', 'the status'),
    ('client/move.py:*', 'Channel * stopped at * steps', 'the answer to Ctrl-C'),
    ('client/api.py:*', '* returned *', 'of a daemon that is not focusd; it counts as no answer'),
    ('core/reports.py:setting_value', 'other settings', 'a value that is compared, and never shown'),
    ('core/commands.py', '*', 'outcomes, for readers of the code'),
    ('core/hub.py', '*', 'states of the link, for readers of the code'),
    ('daemon/main.py', 'CONFIG is a JSON file*', 'help texts, which the manual page has'),
    ('daemon/main.py:make_parser', '*', 'help texts, which the manual page has'),
    ('daemon/main.py:_plan', '*', 'what --check shows'),
    ('hub_settings.py', '[A-Z]* *', 'names of focusers'),
    ('hub_settings.py', 'unipolar motor (Robo-Focus)', 'a name of a focuser'),
    ('daemon/systemd.py:_channel_in_words', '*', 'the state of the service'),
    ('daemon/main.py:_serve', 'ending: moving focusers are halted first', 'the state of the service'),
    ('daemon/serial_port.py:*', 'readiness to read', 'what pyserial says, which is said in other words'),
    ('daemon/serial_port.py:explain', 'socket disconnected', 'the same'),
    ('daemon/serial_port.py:explain', 'reader thread died', 'the same'),
    ('daemon/serial_port.py:explain', 'does not seem to support RFC2217', 'the same'),
    ('daemon/serial_port.py:explain', '*Errno*', 'what is searched for in an error'),
    ('core/requests.py:*', 'a position of * counts cannot be sent: 0 to * can', 'limits are checked before that'),
    ('core/reports.py:*', '[A-Z]* *', 'keys of the hub'),
    ('core/focuser_state.py', '[A-Z]* *', 'keys of the hub'),
    ('core/scheduler.py:received', 'HALTED may be the answer *', 'as_reason() replaces it'),
    ('core/scheduler.py:received', 'the answer to * may be a late one', 'as_reason() replaces it'),
    ('core/scheduler.py:*', '* was given up for a halt', 'as_reason() replaces it'),
    ('core/scheduler.py:machine_slept', 'the machine slept after *', 'as_reason() replaces it'),
    ('core/operation.py', '*', 'phases of an operation, for readers of the code'),
    ('_daemon.py:*', 'timeout must be 0 or more seconds, not *', 'an error of a program that calls connect()'),
    ('_daemon.py:*', '* is served at *', 'what launch() says, which focusd does not use'),
    ('_daemon.py:*', 'Daemon(*', 'what a debugger shows'),
    ('_tables.py:*', 'no * is called *', 'an AttributeError; the configuration says it in its own words'),
    ('validation.py:*', '* is not the name of a *', 'the configuration says it in its own words'),
)


@lru_cache(maxsize=1)
def messages() -> list[Message]:
    return [message for path in SOURCES for message in of_file(path, place(path))]


def matches(message: Message, row: tuple[str, str, str]) -> bool:
    return fnmatchcase(message.place, row[0]) and fnmatchcase(message.text.replace('\0', '?'), row[1])


def is_a_description(message: Message) -> bool:
    """What the manual pages say of keys of the configuration and of settings of the hub."""
    keys = [text for key in KEYS for text in (key.meaning, key.unit, key.kind.accepts, key.default)]
    meanings = [word for setting in HUB_SETTINGS.values() for word in (setting.meaning, setting.kind.accepts)]
    return ((message.place == 'config.py' and any(message.is_in(text) for text in keys if isinstance(text, str)))
            or (message.place.startswith('hub_settings.py') and any(message.is_in(meaning) for meaning in meanings)))


def test_every_message_of_the_sources_has_an_entry() -> None:
    missing = [str(message) for message in messages()
               if not any(matches(message, row) for row in LEFT_OUT) and not is_a_description(message)
               and not any(message.is_in(code) for code in CODE)]
    assert not missing, 'without an entry in docs/operations.md:\n' + '\n'.join(missing)


def test_what_is_left_out_is_still_there() -> None:
    for row in LEFT_OUT:
        assert any(matches(message, row) for message in messages()), row


def entries() -> list[str]:
    """The entries of the chapter, each on one line."""
    found = re.findall(r'^- (`.*?)(?=^- |^\n|\Z)', CHAPTER, re.DOTALL | re.MULTILINE)
    return [' '.join(text.split()) for text in found]


def test_every_entry_has_a_cure() -> None:
    assert len(entries()) > 60
    for entry in entries():
        assert re.search(r'`.*: .*\*\*Cure:\*\* \S+', entry), entry


def test_every_entry_is_of_a_message_that_a_program_can_say() -> None:
    known = [message for message in messages() if len(message.text.replace('\0', '').split()) > 1]
    for entry in entries():
        code = entry.split('`')[1]
        assert any(message.is_in(code) for message in known), entry


def test_every_command_status_has_its_entry_with_its_number() -> None:
    numbers = [value for name, value in vars(CommandStatus).items()
               if name[0] != '_' and isinstance(value, int) and value]
    assert len(numbers) >= 8
    for number in [*numbers, -100, -101]:
        assert f'- `{CommandStatus.message(number)}` ({number % 256})' in CHAPTER


def test_every_state_of_a_channel_is_explained() -> None:
    table = DOCUMENT.split('\n## At night\n')[1]
    for status in range(-1, 4):
        assert f'| `{FocuserStatus.label(status)}` |' in table
