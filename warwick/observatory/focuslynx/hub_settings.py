# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that the hub keeps for a focuser, in one table: what each means, accepts, and how it is set.

The client lists the settings and checks the value that it is given. The daemon checks the value again. The core sends
the request that `setter` makes, and compares the value with what the hub shows afterwards.
Sources: docs/protocol.md, sections 5.1, 5.2 and 8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Union

from .text import shortened

Value = Union[bool, int, str]

SLOTS = 'ABCDE'
"""The hub's five sets of coefficients for temperature compensation."""

NO_FOCUSER_TYPE = 'ZZ'
"""The device type of a channel without a focuser; also the one that a hub has from the factory."""

DEVICE_TYPES = {
    'OA': 'Optec TCF-Lynx 2"', 'OB': 'Optec TCF-Lynx 3"', 'OC': 'Optec TCF-Lynx 2", extended travel',
    'OD': 'Optec FastFocus secondary focuser', 'OE': 'Optec TCF-S Classic, converted',
    'OF': 'Optec TCF-S3 Classic, converted', 'OG': 'Optec Gemini', 'OI': 'Optec Leo',
    'OJ': 'Optec Leo High-Torque', 'OK': 'Optec Sagitta', 'OL': 'Optec Sagitta 2',
    'FA': 'QuickSync or HSM Hi-Torque', 'FB': 'QuickSync or HSM Hi-Speed', 'FC': 'QuickSync SV',
    'FD': 'DirectSync or PDMS Hi-Torque', 'FE': 'FeatherTouch PDMS', 'FF': 'DirectSync or PDMS Hi-Speed',
    'SA': 'Starlight FTF2008BCR', 'SB': 'Starlight FTF2015BCR', 'SC': 'Starlight FTF2020BCR',
    'SD': 'Starlight FTF2025', 'SE': 'Starlight FTF2515B-A', 'SF': 'Starlight FTF2525B-A',
    'SG': 'Starlight FTF2535B-A', 'SH': 'Starlight FTF3015B-A', 'SI': 'Starlight FTF3025B-A',
    'SJ': 'Starlight FTF3035B-A', 'SK': 'Starlight FTF3515B-A', 'SL': 'Starlight FTF3545B-A',
    'SM': 'AP27FOC3E', 'SN': 'AP4FOC3E', 'SO': 'FeatherTouch MicroTouch MSM Hi-Speed',
    'SP': 'FeatherTouch MicroTouch MSM Hi-Torque', 'SQ': 'Starlight FTM with MicroTouch', 'TA': 'Televue focuser',
    'RA': 'unipolar motor (Robo-Focus)', NO_FOCUSER_TYPE: 'none',
}
"""Names by code (docs/protocol.md, section 12). A hub may show other types: any two capital letters are a type."""


def has_home_switch(device_type: str) -> bool:
    """Whether a focuser of this type has a home switch. One with a switch can home; all others can be synced."""
    return device_type.startswith('O')


def in_words(device_type: str) -> str:
    """The name of a device type."""
    return DEVICE_TYPES.get(device_type, 'unknown type')


class Kind(NamedTuple):
    """One kind of value. `accepts` completes the sentence "must be ...", `read` makes a value of a text."""

    accepts: str
    read: Callable[[str], Value]      # raises ValueError or KeyError
    choices: tuple[str, ...] = ()     # all accepted texts, where there are few


def _whole(low: int, high: int, unit: str) -> Kind:
    def read(text: str) -> int:
        if not re.fullmatch(r'[+-]?[0-9]{1,9}', text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)
    return Kind(f'a whole number from {low} to {high} {unit}', read)


def _one_of(values: Iterable[str]) -> Kind:
    choices = tuple(values)

    def read(text: str) -> str:
        if text.upper() not in choices:
            raise ValueError
        return text.upper()
    return Kind(f'one of {" ".join(choices)}', read, choices)


def _name(text: str) -> str:
    if not re.fullmatch(r'[ -~]{1,16}', text) or re.search('[<>=]', text) or text != text.strip():
        raise ValueError
    return text


def _literally(word: str) -> Kind:
    def read(text: str) -> str:
        if text != word:
            raise ValueError
        return word
    return Kind(f'the word {word}', read, (word,))


_SWITCH = {'on': True, 'off': False, '1': True, '0': False, 'true': True, 'false': False, 'yes': True, 'no': False}
ON_OFF = Kind('on or off', lambda text: _SWITCH[text.lower()], ('on', 'off'))
NAME = Kind('1 to 16 printable ASCII characters without < > = and without blanks at the ends', _name)


class HubSetting(NamedTuple):
    """One setting of the hub: its key, its meaning, and the request that sets it."""

    key: str
    kind: Kind
    meaning: str
    setter: Callable[[Any], str]   # command word and argument
    shown_by: str = 'config'       # the report that shows it: config, compensation or status
    of_hub: bool = False           # both channels share one value
    at_rest: bool = True           # can be changed only while the motor is at rest
    dangerous: bool = False        # can damage a focuser, or lose its position: has to be confirmed
    restarts: bool = False         # restarts the channel, which does not answer for a while

    def parse(self, value: object) -> Value:
        """The value of a text or of a value of JSON. Raises ValueError, which says in a sentence what is accepted."""
        text = {True: 'on', False: 'off'}[value] if isinstance(value, bool) else str(value)
        if isinstance(value, float) and value.is_integer():
            text = str(int(value))
        try:
            if not isinstance(value, (str, int, float)):
                raise ValueError
            return self.kind.read(text)
        except (ValueError, KeyError):
            raise ValueError(f'{self.key}: {shortened(text)!r}: must be {self.kind.accepts}') from None


def find(key: object) -> HubSetting:
    """The setting of that name. Raises ValueError, which lists all names in a sentence."""
    if isinstance(key, str) and key in HUB_SETTINGS:
        return HUB_SETTINGS[key]
    raise ValueError(f'unknown setting {str(key)[:40]!r}; there are {", ".join(HUB_SETTINGS)}')


def shown(value: Value | None) -> str:
    """A value in words."""
    if value is None:
        return 'unknown'
    return {True: 'on', False: 'off'}[value] if isinstance(value, bool) else str(value)


def _flag(word: str) -> Callable[[bool], str]:
    return lambda on: f'{word}{int(on)}'


def _signed(word: str, digits: int) -> Callable[[int], str]:
    return lambda number: f'{word}{number:+0{digits + 1}d}'


_TABLE = [
    HubSetting('nickname', NAME, 'the name that the hub shows', lambda name: f'SCNN{name}', at_rest=False),
    HubSetting('backlash', ON_OFF, 'overshoot on outward moves, so that every move ends inward', _flag('SCBE')),
    HubSetting('backlash_steps', _whole(0, 99, 'steps'), 'how far an outward move overshoots',
               lambda steps: f'SCBS{steps:02d}'),
    HubSetting('temperature_compensation', ON_OFF, 'the hub moves the focuser with the temperature', _flag('SCTE'),
               at_rest=False),
    HubSetting('compensation_at_start', ON_OFF, 'start temperature compensation when the hub powers up', _flag('SCTS'),
               at_rest=False),
    HubSetting('compensation_mode', _one_of(SLOTS), 'the temperature coefficient in use', lambda slot: f'SCTM{slot}'),
    *(HubSetting(f'coefficient_{slot.lower()}', _whole(-9999, 9999, 'steps per degree C'),
                 f'temperature coefficient {slot}', _signed(f'SCTC{slot}', 4)) for slot in SLOTS),
    *(HubSetting(f'intercept_{slot.lower()}', _whole(-32766, 32766, 'steps'),
                 f'intercept {slot}, for other programs; newer firmware', _signed(f'SETINT{slot}', 6),
                 shown_by='compensation') for slot in SLOTS),
    HubSetting('led', _whole(0, 100, 'percent'), 'brightness of the power LED, one for both channels',
               lambda percent: f'SCLB{percent:03d}', of_hub=True, at_rest=False),
    HubSetting('reverse', ON_OFF, 'the motor turns the other way', _flag('REVERSE'), shown_by='status'),
    HubSetting('step_size', _whole(0, 999_999, 'nm'), 'size of a step, for other programs; newer firmware',
               lambda nanometres: f'SETFSS{nanometres:06d}', shown_by='compensation'),
    HubSetting('max_position', _whole(2, 999_999, 'counts'), 'highest count; its half is step 0; newer firmware',
               lambda counts: f'SETMAX{counts:06d}', dangerous=True),
    HubSetting('device_type', _one_of(DEVICE_TYPES), 'type of focuser: sets motor current, speed and direction',
               lambda code: f'SCDT{code}', dangerous=True, restarts=True),
    HubSetting('reset', _literally('defaults'), 'all settings of the channel go back to the factory defaults',
               lambda _: 'RESET', dangerous=True, restarts=True),
]

HUB_SETTINGS = {setting.key: setting for setting in _TABLE}
