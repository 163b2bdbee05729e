# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of control commands, which change settings of a running simulator and inject faults.

A command is one line: a word and its arguments, separated by blanks. The name of a setting is a command as well:
`speed 1000` means `set speed 1000`, and `probe 1 NP` means `set probe.1 NP`.
"""
from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any, Callable

from . import settings
from .kinds import Kind, Number, Text, Whole
from .link import Link, LinkFaults
from .model import Hub
from .personalities import PERSONALITIES
from .settings import SETTINGS, BadSetting

__all__ = ['CONTROL_COMMANDS', 'Control', 'ControlCommand', 'ControlError']

_NUMBER = Whole(1, 2)
_SECONDS = Number(0, 1e5, 's')
_COUNT = Whole(1, 1000000)
_ANY = Text(re.compile(r'.+'), 'a text')


class ControlError(ValueError):
    """A command is not known, has wrong arguments, or cannot be carried out now. The text is one line."""


@dataclass(frozen=True)
class Argument:
    """An argument of a command. With `rest` it takes the remainder of the line, blanks included."""

    name: str
    kind: Kind
    optional: bool = False
    rest: bool = False


@dataclass(frozen=True)
class ControlCommand:
    """A row of the table."""

    name: str
    arguments: tuple[Argument, ...]
    help: str
    action: Callable[..., str | None]

    @property
    def usage(self) -> str:
        words = [f'[{a.name}]' if a.optional else a.name for a in self.arguments]
        return ' '.join([self.name, *words])


CONTROL_COMMANDS: dict[str, ControlCommand] = {}


def _command(name: str, help: str, *arguments: Argument) -> Callable[[Callable[..., str | None]], Callable[..., Any]]:
    def register(action: Callable[..., str | None]) -> Callable[..., str | None]:
        CONTROL_COMMANDS[name] = ControlCommand(name, arguments, help, action)
        return action
    return register


class Control:
    """Carries out control commands on a hub, its faults and its links.

    `say` sends on all of `links`; the server adds the link of each transport to this list.
    """

    def __init__(self, hub: Hub, faults: LinkFaults, links: list[Link] | None = None) -> None:
        self.hub = hub
        self.faults = faults
        self.links = links if links is not None else []

    def run(self, text: str, now: float) -> str:
        """Carry out one command; return its result, which is one line and often empty. Raises ControlError."""
        word, _, rest = text.strip().partition(' ')
        if not word:
            raise ControlError('empty command; "help" lists the commands')
        name = word.lower().replace('_', '-')
        if name not in CONTROL_COMMANDS:
            if word.partition('.')[0].replace('-', '_') in SETTINGS:
                name, rest = 'set', f'{word} {rest.strip()}'
            else:
                raise ControlError(f'unknown command {word!r}; there are {" ".join(CONTROL_COMMANDS)} and the settings')
        command = CONTROL_COMMANDS[name]
        values = self._arguments(command, rest.strip())
        self.hub.advance(now)
        self.faults.advance(now)
        try:
            return command.action(self, now, *values) or ''
        except BadSetting as error:
            raise ControlError(str(error)) from None

    @staticmethod
    def _arguments(command: ControlCommand, rest: str) -> list[Any]:
        values: list[Any] = []
        for argument in command.arguments:
            if not rest and argument.optional:
                break
            if not rest:
                raise ControlError(f'usage: {command.usage}')
            word, _, after = (rest, '', '') if argument.rest else rest.partition(' ')
            rest = after.strip()
            try:
                values.append(argument.kind.parse(word))
            except ValueError as error:
                raise ControlError(f'{command.name}: {argument.name} must be {error}, not {word!r}') from None
        if rest:
            raise ControlError(f'usage: {command.usage}')
        return values


# Settings and the true state

@_command('set', 'changes a setting; for one channel NAME.CHANNEL VALUE or NAME CHANNEL VALUE',
          Argument('NAME', _ANY), Argument('VALUE', _ANY, rest=True))
def _set(control: Control, now: float, name: str, value: str) -> None:
    row, channel = settings.find(name)
    first, _, rest = value.partition(' ')
    if row.scope == 'channel' and channel is None and first in ('1', '2') and rest.strip():
        name, value = f'{name}.{first}', rest.strip()
    if row.scope == 'link':
        control.faults.set(name, value)
    else:
        control.hub.set(name, value, now)


@_command('get', 'the true state as JSON; or one value of it, such as 1.position or drip',
          Argument('NAME', _ANY, optional=True))
def _get(control: Control, now: float, name: str = '') -> str:
    truth: Any = {**control.hub.truth(), **control.faults.truth(now)}
    for key in name.split('.') if name else ():
        if not isinstance(truth, dict) or key not in truth:
            raise ControlError(f'get: nothing has the name {name!r}; "get" alone shows all names')
        truth = truth[key]
    return json.dumps(truth)


@_command('status', 'the same as get')
def _status(control: Control, now: float) -> str:
    return _get(control, now)


@_command('help', 'lists the commands, or explains one command, setting or personality',
          Argument('NAME', _ANY, optional=True))
def _help(control: Control, now: float, name: str = '') -> str:
    if not name:
        return ' | '.join([*(command.usage for command in CONTROL_COMMANDS.values()),
                           'settings: ' + ' '.join(SETTINGS), 'personalities: ' + ' '.join(PERSONALITIES)])
    if name in CONTROL_COMMANDS:
        return f'{CONTROL_COMMANDS[name].usage}: {CONTROL_COMMANDS[name].help}'
    said = [f'personality {name}: {PERSONALITIES[name].help}'] if name in PERSONALITIES else []
    if not said or name in SETTINGS:
        row, _ = settings.find(name)
        said.insert(0, f'{row.name}: {row.help}; accepts {row.kind.accepts}')
    return ' | '.join(said)


# Requests and replies

@_command('mute', 'all replies are lost, but commands are carried out; for SECONDS, or until unmute',
          Argument('SECONDS', _SECONDS, optional=True))
def _mute(control: Control, now: float, seconds: float | None = None) -> None:
    if seconds is None:
        control.faults.mute()
    else:
        control.faults.mute(now + seconds)


@_command('unmute', 'ends mute')
def _unmute(control: Control, now: float) -> None:
    control.faults.unmute()


@_command('mute-next', 'the next N replies are lost, but the commands are carried out', Argument('N', _COUNT))
def _mute_next(control: Control, now: float, count: int) -> None:
    control.faults.mute_next = count


@_command('deaf', 'all requests are lost; for SECONDS, or until undeaf', Argument('SECONDS', _SECONDS, optional=True))
def _deaf(control: Control, now: float, seconds: float | None = None) -> None:
    if seconds is None:
        control.faults.deafen()
    else:
        control.faults.deafen(now + seconds)


@_command('undeaf', 'ends deaf')
def _undeaf(control: Control, now: float) -> None:
    control.faults.undeafen()


@_command('lose-requests', 'the next N requests are lost on their way to the hub', Argument('N', _COUNT))
def _lose_requests(control: Control, now: float, count: int) -> None:
    control.faults.lose_requests = count


@_command('garble-requests', 'in each of the next N requests a digit is wrong, by chance or that of index DIGIT; 0 is '
          'the first, which is the channel if the request has one', Argument('N', _COUNT),
          Argument('DIGIT', Whole(0, 20), optional=True))
def _garble_requests(control: Control, now: float, count: int, digit: int | None = None) -> None:
    control.faults.garble_requests, control.faults.garble_digit = count, digit


@_command('double-requests', 'the next N requests reach the hub twice in a row', Argument('N', _COUNT))
def _double_requests(control: Control, now: float, count: int) -> None:
    control.faults.double_requests = count


@_command('delay-requests', 'the next N requests reach the hub late, by request_delay, and in order',
          Argument('N', _COUNT))
def _delay_requests(control: Control, now: float, count: int) -> None:
    control.faults.delay_requests = count


@_command('hold', 'requests of the connections that are open now are held back, and reach the hub at its end; for '
          'SECONDS, or until release', Argument('SECONDS', _SECONDS, optional=True))
def _hold(control: Control, now: float, seconds: float | None = None) -> None:
    if seconds is None:
        control.faults.hold()
    else:
        control.faults.hold(now + seconds)


@_command('release', 'ends hold: what is held back reaches the hub')
def _release(control: Control, now: float) -> None:
    control.faults.release(now)


@_command('refuse', 'the hub answers ER=1 to the next N requests other than reports and HALT, and does not carry them '
          'out', Argument('N', _COUNT))
def _refuse(control: Control, now: float, count: int) -> None:
    control.faults.refuse = count


@_command('garbage', 'the next N replies begin with noise, before the acknowledgement', Argument('N', _COUNT))
def _garbage(control: Control, now: float, count: int) -> None:
    control.faults.garbage = count


@_command('garble', 'a few bytes of each of the next N replies are wrong', Argument('N', _COUNT))
def _garble(control: Control, now: float, count: int) -> None:
    control.faults.garble = count


@_command('cut', 'the next N replies end after KEEP bytes, or after half their bytes', Argument('N', _COUNT),
          Argument('KEEP', Whole(0, 1000, 'bytes'), optional=True))
def _cut(control: Control, now: float, count: int, keep: int | None = None) -> None:
    control.faults.cut, control.faults.cut_keep = count, keep


@_command('double', 'the next N replies are sent twice', Argument('N', _COUNT))
def _double(control: Control, now: float, count: int) -> None:
    control.faults.double = count


@_command('flip-bit', 'in the next N replies one single bit is wrong', Argument('N', _COUNT))
def _flip_bit(control: Control, now: float, count: int) -> None:
    control.faults.flip_bit = count


@_command('delay-replies', 'the next N replies come late, by reply_delay, and in order', Argument('N', _COUNT))
def _delay_replies(control: Control, now: float, count: int) -> None:
    control.faults.delay_replies = count


@_command('stall', 'replies stall on their way, and come in order at its end; for SECONDS, or until unstall',
          Argument('SECONDS', _SECONDS, optional=True))
def _stall(control: Control, now: float, seconds: float | None = None) -> None:
    if seconds is None:
        control.faults.stall()
    else:
        control.faults.stall(now + seconds)


@_command('unstall', 'ends stall')
def _unstall(control: Control, now: float) -> None:
    control.faults.unstall()


@_command('flicker', 'the last digit of FIELD, such as LED Brt, is another one in each report of CHANNEL; until '
          'unflicker', Argument('CHANNEL', _NUMBER), Argument('FIELD', _ANY, rest=True))
def _flicker(control: Control, now: float, channel: int, field: str) -> None:
    control.faults.flicker(channel, field)


@_command('unflicker', 'ends flicker')
def _unflicker(control: Control, now: float) -> None:
    control.faults.unflicker()


@_command('say', r'the hub sends a text without a request; \n, \r, \t and \xNN are understood',
          Argument('TEXT', _ANY, rest=True))
def _say(control: Control, now: float, text: str) -> None:
    try:
        data = ast.literal_eval("'" + text.replace("'", "\\'") + "'").encode('latin-1')
    except (ValueError, SyntaxError):
        raise ControlError(f'say: TEXT must be bytes, with \\n, \\r, \\t, \\xNN and \\\\, not {text!r}') from None
    for link in control.links:
        link.say(data, now)


@_command('request', 'the hub carries out a request as from another program; shows the reply',
          Argument('TEXT', Text(re.compile(r'[ -~]+'), 'a request such as <F1SCBE1>'), rest=True))
def _request(control: Control, now: float, text: str) -> str:
    return json.dumps(control.hub.receive(text.encode('ascii'), now, port=-1).decode('latin-1'))


# Plug and power

@_command('unplug', 'unplugs the hub; for SECONDS, or until plug', Argument('SECONDS', _SECONDS, optional=True))
def _unplug(control: Control, now: float, seconds: float | None = None) -> None:
    control.faults.unplug(None if seconds is None else now + seconds)


@_command('plug', 'plugs the hub in again')
def _plug(control: Control, now: float) -> None:
    control.faults.plug()


@_command('power-cycle', 'switches the hub off and on; it loses what it has not stored')
def _power_cycle(control: Control, now: float) -> None:
    control.hub.power_off(now)
    control.hub.power_on(now)


@_command('power-cut', 'switches the hub off; for SECONDS, or until power-on',
          Argument('SECONDS', _SECONDS, optional=True))
def _power_cut(control: Control, now: float, seconds: float | None = None) -> None:
    control.hub.power_off(now, seconds)


@_command('power-on', 'ends a power cut')
def _power_on(control: Control, now: float) -> None:
    control.hub.power_on(now)


# Mechanics

@_command('jam', 'the motor is driven, but the focuser does not move: IsMoving stays 1', Argument('CHANNEL', _NUMBER))
def _jam(control: Control, now: float, channel: int) -> None:
    control.hub.jam(channel, now)


@_command('unjam', 'ends a jam; an interrupted motion continues', Argument('CHANNEL', _NUMBER))
def _unjam(control: Control, now: float, channel: int) -> None:
    control.hub.unjam(channel, now)


@_command('hand', 'the hand controller moves the focuser by COUNTS',
          Argument('CHANNEL', _NUMBER), Argument('COUNTS', Whole(-999999, 999999, 'counts')))
def _hand(control: Control, now: float, channel: int, counts: int) -> None:
    control.hub.hand(channel, counts, now)


@_command('lose-steps', 'the next move ends COUNTS before its target', Argument('CHANNEL', _NUMBER),
          Argument('COUNTS', Whole(0, 999999, 'counts')))
def _lose_steps(control: Control, now: float, channel: int, counts: int) -> None:
    control.hub.focusers[channel].short_by = counts


@_command('slip', 'the draw tube slips inward by COUNTS, and the hub does not notice', Argument('CHANNEL', _NUMBER),
          Argument('COUNTS', Whole(-999999, 999999, 'counts')))
def _slip(control: Control, now: float, channel: int, counts: int) -> None:
    control.hub.focusers[channel].slip(counts)


@_command('temperature-ramp', 'the temperature at the probe changes evenly to CELSIUS within SECONDS',
          Argument('CHANNEL', _NUMBER), Argument('CELSIUS', Number(-700, 700, 'degrees C')),
          Argument('SECONDS', _SECONDS))
def _temperature_ramp(control: Control, now: float, channel: int, celsius: float, seconds: float) -> None:
    control.hub.temperature_ramp(channel, celsius, seconds, now)


# Time

@_command('freeze', "stops the hub's clock: nothing moves, but commands are answered")
def _freeze(control: Control, now: float) -> None:
    control.hub.freeze(now)


@_command('step', "puts the hub's clock forward by SECONDS", Argument('SECONDS', _SECONDS))
def _step(control: Control, now: float, seconds: float) -> None:
    control.hub.step(seconds, now)


@_command('run-to', 'freezes the clock when the channel reaches the position COUNTS in its present motion',
          Argument('CHANNEL', _NUMBER), Argument('COUNTS', Whole(0, 999999, 'counts')))
def _run_to(control: Control, now: float, channel: int, counts: int) -> None:
    try:
        control.hub.run_to(channel, counts, now)
    except ValueError as error:
        raise ControlError(f'run-to: {error}') from None


@_command('thaw', "lets the hub's clock continue")
def _thaw(control: Control, now: float) -> None:
    control.hub.thaw(now)


@_command('clear', 'ends all faults: link without faults, plugged in, powered, nothing jammed; settings of the link at '
          'their defaults')
def _clear(control: Control, now: float) -> None:
    control.faults.clear()
    control.hub.power_on(now)
    for channel, focuser in control.hub.focusers.items():
        focuser.short_by = 0
        control.hub.unjam(channel, now)
