# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the client: one table, from which parsing, usage, help, manual page and completion follow.

A new command is a row here and a function where its `run` says. Options are words such as `--yes` that may stand
anywhere after the command; they reach the function as keywords with the value True.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..constants import NO_COMMUNICATION, TERMINATED_BY_USER

_UNANSWERED = (NO_COMMUNICATION, TERMINATED_BY_USER)


class Argument(NamedTuple):
    """One argument: how usage writes it, how it is read, and what completion offers for it.

    `read` is given the word and returns the value, or raises ValueError where it is none. The optional arguments of a
    command are its last ones, and are given together or not at all.
    """

    usage: str
    read: Callable[[str], Any]
    choices: tuple[str, ...] = ()
    optional: bool = False


class Command(NamedTuple):
    """One row of the table.

    `details` are paragraphs of plain text, parted by empty lines; `examples` are pairs of what stands after the name
    of the program, and what that does. `statuses` are the failures that it can exit with, as CommandStatus.
    `run` is `module:function` within this package, loaded only when the command is run; the function is given the
    `cli_call.Focusd`, the arguments and the options, and returns a `cli_call.Outcome`.
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
        """The command as usage writes it: `set (1|2) <step position>`."""
        words = [self.name, *(a.usage for a in self.arguments if not a.optional)]
        optional = ' '.join(a.usage for a in self.arguments if a.optional)
        return ' '.join(words + ([f'[{optional}]'] if optional else []) + [f'[{option}]' for option in self.options])

    def parsed(self, words: list[str]) -> tuple[list[Any], dict[str, bool]] | None:
        """The values of the arguments and the options that are given; None if that is not what the command takes."""
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
    """A decimal integer with an optional sign, leading zeros and surrounding blanks. Raises ValueError."""
    text = text.strip(' \t\r\n')
    digits = text[1:] if text[:1] in ('+', '-') else text
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError
    return int(text)  # which refuses thousands of digits


def channel(text: str) -> int:
    """The number of a channel. Raises ValueError."""
    number = integer(text)
    if number not in (1, 2):
        raise ValueError
    return number


def one_of(*choices: str, optional: bool = False) -> Argument:
    """An argument that is one of some words."""
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Argument(f'({"|".join(choices)})', read, choices, optional)


CHANNEL = Argument('(1|2)', channel, ('1', '2'))

# What these may be stands in hub_settings, which is loaded only where it is needed
SETTING = Argument('<setting>', str, optional=True)
VALUE = Argument('<value>', str, optional=True)

COMMANDS = (
    Command(
        'general', 'set', (CHANNEL, Argument('<step position>', integer)),
        'move to a position, and wait until it is reached',
        'Moves the focuser of a channel to a position, in signed steps, and returns when the hub has reported it at '
        'rest there, or when the move has failed. Positions may carry a sign, blanks or leading zeros.\n\n'
        'On a terminal a live line on standard error shows how far it has come; in a pipe, or with NO_COLOR set, there '
        'is none. Ctrl-C stops the motor and says where it stopped; the exit code is then that of the stop. A second '
        'Ctrl-C gives up waiting for the stop.',
        (('set 1 500', 'move channel 1 to step +500'), ('set 2 -12000', 'move channel 2 to step -12000')),
        (1, 2, 3, 5, 6, *_UNANSWERED), 'move:set_position'),
    Command(
        'general', 'offset', (CHANNEL, Argument('<step delta>', integer)),
        'move by so many steps, up or down, and wait',
        'Moves the focuser of a channel by a number of steps, and waits as set does. It counts from where the focuser '
        'was last sent; after a motion that was stopped, failed or came from outside, from where it stands.',
        (('offset 1 100', '100 steps up'), ('offset 1 -100', '100 steps down')),
        (1, 2, 3, 5, 6, *_UNANSWERED), 'move:set_offset'),
    Command(
        'general', 'center', (CHANNEL,),
        'move to step 0, and wait',
        'Moves the focuser of a channel to step 0, the middle of its range, and waits as set does.',
        (('center 1', 'channel 1 to the middle of its range'),),
        (1, 2, 3, 5, 6, *_UNANSWERED), 'move:center'),
    Command(
        'general', 'stop', (CHANNEL,),
        'stop moving',
        'Halts the motor of a channel, whoever set it in motion, and returns when it stands. A move that was under way '
        'has failed. While the daemon has a line to the hub the halt is always sent, whatever state the channel is in.',
        (('stop 1', 'halt channel 1'),),
        (1, 3, 5, *_UNANSWERED), 'api:stop'),
    Command(
        'general', 'status', (),
        'show the state of both channels',
        'Shows when the data are from, in UTC, and for each channel its position and temperature, where it is moving '
        'to, or why it cannot be used. Data older than 10 seconds are marked with their age by the clock of this '
        'machine. On a terminal the states are coloured, unless NO_COLOR is set.\n\n'
        'The daemon answers from what it knows and never waits for the hub.',
        (('status', 'both channels, once'),),
        _UNANSWERED, 'status:status'),
    Command(
        'general', 'json', (),
        'print the same as one line of JSON',
        'Prints the status dictionary of the daemon as one line of JSON, for scripts. Numbers of a channel that cannot '
        'be used are null, and error_1 or error_2 says why.',
        (('json', 'everything that the daemon reports'),),
        _UNANSWERED, 'status:json_line'),
    Command(
        'general', 'info', (),
        'show the hub, both channels, and their settings',
        'Shows firmware and networks of the hub and, for each channel, its name, device type, range, limits, '
        'temperature probe, hand controller, and how it is set: compensation, backlash, direction, LED. What the hub '
        'does not tell, or has not told yet, is unknown.\n\n'
        'With --json it prints all of that as one line of JSON, for scripts.',
        (('info', 'the hub and both channels'), ('info --json', 'the same for a script')),
        _UNANSWERED, 'info:info', ('--json',)),
    Command(
        'general', 'watch', (),
        'show both channels live, until Ctrl-C',
        'Fills the terminal with both channels, live: state, position within the range, target, temperature, age of '
        'the data, and the last minutes of position and temperature as charts. A daemon that does not answer is '
        'awaited. Ctrl-C or q ends it, with exit code 0.\n\n'
        'In a pipe or on a dumb terminal it prints a line for a channel whenever that channel changes.',
        (('watch', 'both channels on the whole terminal'), ('watch >>night.log &', 'a record of every change')),
        (), 'watch:watch'),
    Command(
        'engineering', 'zero', (CHANNEL,),
        'make the present position step 0',
        'Makes the present position of a channel its step 0, in the hub, without moving. All positions and targets '
        'count from there afterwards. A focuser with a home switch refuses it: use home.',
        (('zero 1', 'channel 1 is at step 0 where it stands'),),
        (1, 2, 3, 5, 10, *_UNANSWERED), 'api:zero'),
    Command(
        'engineering', 'home', (CHANNEL,),
        'seek the home switch, and return',
        'Lets a focuser that has a home switch (device types that begin with O) seek it, at its mechanical end, and '
        'return to where it was, and waits. The daemon never does so by itself. A focuser without a home switch '
        'refuses it: use zero.\n\n'
        'The live line and Ctrl-C are those of set. After a search that was stopped the position is not known, and the '
        'channel has to be homed before it can be moved.',
        (('home 1', 'channel 1 finds its zero'),),
        (1, 2, 3, 5, 10, *_UNANSWERED), 'move:home'),
    Command(
        'engineering', 'configure', (CHANNEL, SETTING, VALUE),
        'list or change settings of the hub',
        'Without a setting it lists them all, with their present values, what they mean, and what they may be. With a '
        'setting and a value it changes that one in the hub, which keeps it, and returns when reading it back has '
        'shown the change. On a terminal standard error says what it was before. Wrong settings and values are refused '
        'before anything is sent.\n\n'
        'What can damage a focuser or lose its position is done only with --yes: device_type, reset and max_position. '
        'The first two restart the channel, which takes up to 20 seconds. Most settings are not changed while the '
        'focuser moves.\n\n'
        'A channel in error because the hub would move the focuser by itself is usable again when '
        'temperature_compensation, compensation_at_start and backlash are off.',
        (('configure 1', 'list the settings'),
         ('configure 1 temperature_compensation off', 'no motion by the hub'),
         ('configure 2 led 20', 'dim the power LED'),
         ('configure 1 max_position 112000 --yes', 'another range of the hub')),
        (1, 2, 3, 5, 9, 10, 11, *_UNANSWERED), 'configure:configure', ('--yes',)),
    Command(
        'engineering', 'init', (),
        'connect the daemon to the hub',
        'Returns when the connection stands, or has failed. In either case the daemon wants the connection from then '
        'on, and makes it by itself as soon as it can, until kill.',
        (('init', 'connect, and stay connected'),),
        (1, 2, 3, 8, *_UNANSWERED), 'api:connect'),
    Command(
        'engineering', 'kill', (),
        'disconnect the daemon from the hub',
        'Disconnects, and ends the attempts to connect. It is refused while a move, a zero, homing or a change of a '
        'setting is under way.',
        (('kill', 'let go of the hub'),),
        (1, 2, 3, 7, *_UNANSWERED), 'api:disconnect'),
)
