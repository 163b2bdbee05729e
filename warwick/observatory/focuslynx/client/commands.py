# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the client: one table, from which parsing, usage, help, manual page and completion follow.

To add a command, add a row here and the function that its `run` names. An option is a word such as `--yes`. It may be
anywhere after the command, and is passed to the function as a keyword argument with the value True.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..constants import CHANNELS, NO_COMMUNICATION, TERMINATED_BY_USER, CommandStatus

_UNANSWERED = (NO_COMMUNICATION, TERMINATED_BY_USER)


class Outcome(NamedTuple):
    """What a command returns: its exit code, and what to print."""

    status: int
    stdout: str = ''
    stderr: str = ''

    @classmethod
    def of(cls, status: int, stderr: str = '') -> Outcome:
        """A CommandStatus with its message."""
        return cls(status, CommandStatus.message(status), stderr)


class Argument(NamedTuple):
    """One argument: its form in the usage, how it is read, and what completion offers for it.

    `read` takes the word and returns the value; it raises ValueError if the word is wrong. The optional arguments of a
    command are its last ones; all of them are given, or none.
    """

    usage: str
    read: Callable[[str], Any]
    choices: tuple[str, ...] = ()
    optional: bool = False


class Command(NamedTuple):
    """One row of the table.

    `details` are paragraphs of plain text, separated by empty lines. `examples` are pairs: the words after the name of
    the program, and what they do. `statuses` are the failures with which the command can exit, as CommandStatus. `run`
    is `module:function` within this package, and is loaded only when the command is run. The function takes the
    `api.Focusd`, the arguments and the options, and returns an `Outcome` or raises `api.NoAnswer`.
    """

    group: str
    name: str
    arguments: tuple[Argument, ...]
    summary: str
    details: str
    examples: tuple[tuple[str, str], ...]
    statuses: tuple[int, ...]
    run: str
    options: tuple[str, ...] = ()

    @property
    def synopsis(self) -> str:
        """The command as in the usage: `set (1|2) <step position>`."""
        words = [self.name, *(a.usage for a in self.arguments if not a.optional)]
        optional = ' '.join(a.usage for a in self.arguments if a.optional)
        return ' '.join(words + ([f'[{optional}]'] if optional else []) + [f'[{option}]' for option in self.options])

    def parsed(self, words: list[str]) -> tuple[list[Any], dict[str, bool]] | None:
        """The values of the arguments, and the options that are given; None if the words are wrong."""
        options = {word[2:].replace('-', '_'): True for word in words if word in self.options}
        texts = [word for word in words if word not in self.options]
        required = sum(not argument.optional for argument in self.arguments)
        if len(texts) not in (required, len(self.arguments)):
            return None
        try:
            return [argument.read(text) for argument, text in zip(self.arguments, texts)], options
        except ValueError:
            return None


def integer(text: str) -> int:
    """A decimal integer, which may have a sign, leading zeros and blanks around it. Raises ValueError."""
    text = text.strip(' \t\r\n')
    digits = text[1:] if text[:1] in ('+', '-') else text
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError
    return int(text)  # raises ValueError for thousands of digits


def channel(text: str) -> int:
    """The number of a channel. Raises ValueError."""
    number = integer(text)
    if number not in CHANNELS:
        raise ValueError
    return number


def one_of(*choices: str, optional: bool = False) -> Argument:
    """An argument that is one of these words."""
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Argument(f'({"|".join(choices)})', read, choices, optional)


CHANNEL = Argument('(1|2)', channel, tuple(map(str, CHANNELS)))

# Their choices are in hub_settings, which is loaded only by the command that needs it
SETTING = Argument('<setting>', str, optional=True)
VALUE = Argument('<value>', str, optional=True)

COMMANDS = (
    Command(
        'general', 'set', (CHANNEL, Argument('<step position>', integer)),
        'move to a position and wait until it is reached',
        'Moves the focuser of a channel to a position, in signed steps. It returns when the hub has reported the '
        'focuser at rest there, or when the move has failed. A position may have a sign, blanks or leading zeros.\n\n'
        'On a terminal a live line on standard error shows the progress of the move. In a pipe, or if NO_COLOR is set, '
        'there is no such line. Ctrl-C stops the motor and says where it stopped; the exit code is then that of the '
        'stop. A second Ctrl-C ends the wait for the stop.',
        (('set 1 500', 'move channel 1 to step +500'), ('set 2 -12000', 'move channel 2 to step -12000')),
        (1, 2, 3, 5, 6, *_UNANSWERED), 'move:set_position'),
    Command(
        'general', 'offset', (CHANNEL, Argument('<step delta>', integer)),
        'move by a number of steps, up or down, and wait',
        'Moves the focuser of a channel by a number of steps, and waits as set does. The steps are counted from the '
        'last target. After a motion that was stopped, that failed, or that was made by hand or by another program, '
        'they are counted from the present position.',
        (('offset 1 100', '100 steps up'), ('offset 1 -100', '100 steps down')),
        (1, 2, 3, 5, 6, *_UNANSWERED), 'move:set_offset'),
    Command(
        'general', 'center', (CHANNEL,),
        'move to step 0 and wait',
        'Moves the focuser of a channel to step 0, the middle of its range, and waits as set does.',
        (('center 1', 'channel 1 to the middle of its range'),),
        (1, 2, 3, 5, 6, *_UNANSWERED), 'move:center'),
    Command(
        'general', 'stop', (CHANNEL,),
        'stop the motor',
        'Halts the motor of a channel, whatever has started it, and returns when the motor has stopped. A move that is '
        'in progress fails. While the daemon is connected to the hub the halt is always sent, whatever the state of '
        'the channel is.',
        (('stop 1', 'halt channel 1'),),
        (1, 3, 5, *_UNANSWERED), 'calls:stop'),
    Command(
        'general', 'status', (),
        'show the state of both channels',
        'Shows the time of the data, in UTC, and for each channel its position and temperature, its target while it '
        'moves, or why it cannot be used. Data older than 10 seconds by the clock of this machine are marked with '
        'their age. On a terminal the states are coloured, unless NO_COLOR is set.\n\n'
        'The daemon answers from its last reports and never waits for the hub.',
        (('status', 'both channels, once'),),
        _UNANSWERED, 'status:status'),
    Command(
        'general', 'json', (),
        'print the state as one line of JSON',
        'Prints the status dictionary of the daemon as one line of JSON, for scripts. The numbers of a channel that '
        'cannot be used are null, and error_1 or error_2 gives the reason.',
        (('json', 'everything that the daemon reports'),),
        _UNANSWERED, 'status:json_line'),
    Command(
        'general', 'info', (),
        'show the hub, both channels and their settings',
        'Shows firmware and networks of the hub and, for each channel, its name, device type, range, limits, '
        'temperature probe, hand controller and settings: compensation, backlash, direction, LED. A value that the hub '
        'has not reported is shown as unknown.\n\n'
        'With --json it prints all of that as one line of JSON, for scripts.',
        (('info', 'the hub and both channels'), ('info --json', 'the same for a script')),
        _UNANSWERED, 'info:info', ('--json',)),
    Command(
        'general', 'watch', (),
        'show both channels live until Ctrl-C',
        'Fills the terminal with a live view of both channels: state, position within the range, target, temperature, '
        'age of the data, and charts of position and temperature over the last minutes. If the daemon does not answer, '
        'it waits for the daemon. Ctrl-C or q ends it, with exit code 0.\n\n'
        'In a pipe or on a dumb terminal it prints a line whenever a channel changes.',
        (('watch', 'both channels on the whole terminal'), ('watch >>night.log &', 'a record of every change')),
        (), 'watch:watch'),
    Command(
        'engineering', 'zero', (CHANNEL,),
        'make the present position step 0',
        'Makes the present position of a channel its step 0, in the hub, without moving the focuser. From then on all '
        'positions and targets are counted from there. A focuser with a home switch refuses this command: use home.',
        (('zero 1', 'the position of channel 1 becomes step 0'),),
        (1, 2, 3, 5, 10, *_UNANSWERED), 'calls:zero'),
    Command(
        'engineering', 'home', (CHANNEL,),
        'move to the home switch and back',
        'Moves a focuser that has a home switch (device types that begin with O) to that switch, at its mechanical '
        'end, and back to where it was, and waits. The daemon never does this by itself. A focuser without a home '
        'switch refuses this command: use zero.\n\n'
        'The live line and Ctrl-C are those of set. After homing that was stopped the position is not known, and the '
        'channel has to be homed before it can be moved.',
        (('home 1', 'channel 1 finds its position'),),
        (1, 2, 3, 5, 10, *_UNANSWERED), 'move:home'),
    Command(
        'engineering', 'configure', (CHANNEL, SETTING, VALUE),
        'list or change settings of the hub',
        'Without a setting it lists all settings, each with its present value, its meaning and the values that it '
        'accepts. With a setting and a value it changes that setting in the hub, which stores it. It returns when the '
        'daemon has read the new value back from the hub. On a terminal it prints the old value on standard error. A '
        'wrong setting or value is refused before anything is sent.\n\n'
        'Settings that can damage a focuser or lose its position are changed only with --yes: device_type, reset and '
        'max_position. The first two restart the channel, which takes up to 20 seconds. Most settings cannot be '
        'changed while the focuser moves.\n\n'
        'A channel in error because the hub would move the focuser by itself can be used again when '
        'temperature_compensation, compensation_at_start and backlash are off.',
        (('configure 1', 'list the settings'),
         ('configure 1 temperature_compensation off', 'end motion by the hub'),
         ('configure 2 led 20', 'dim the power LED'),
         ('configure 1 max_position 112000 --yes', 'change the range')),
        (1, 2, 3, 5, 9, 10, 11, *_UNANSWERED), 'configure:configure', ('--yes',)),
    Command(
        'engineering', 'init', (),
        'connect the daemon to the hub',
        'Returns when the daemon is connected, or when it has failed to connect. From then on, in both cases, the '
        'daemon connects by itself whenever it is not connected, until kill.',
        (('init', 'connect, and stay connected'),),
        (1, 2, 3, 8, *_UNANSWERED), 'calls:init'),
    Command(
        'engineering', 'kill', (),
        'disconnect the daemon from the hub',
        'Disconnects the daemon, and ends its attempts to connect. The command is refused while a move, a zero, homing '
        'or a change of a setting is in progress. It fails if a motor cannot be halted: the daemon then stays '
        'connected, and goes on halting.',
        (('kill', 'disconnect, and stay disconnected'),),
        (1, 2, 3, 7, *_UNANSWERED), 'calls:kill'),
)
