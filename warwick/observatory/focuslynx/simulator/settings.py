# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of settings.

The command line, the query of a lynxsim:// URL, the control socket and the state file all read this table: a setting
has the same name, range and help everywhere. The dataclasses below hold the values. A field that `setting` makes is a
row of the table. A field that `stored` makes is no setting, but is kept in the state file.
"""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .kinds import Choice, Flag, Kind, Number, Probe, ProbeKind, Text, Whole, WholeList
from .personalities import DEFAULT_PERSONALITY, PERSONALITIES

__all__ = [
    'SETTINGS',
    'TYPES',
    'BadSetting',
    'ChannelMemory',
    'HubMemory',
    'LinkSettings',
    'Mechanics',
    'Setting',
    'Variants',
    'check_stored',
    'default_max_pos',
    'find',
    'is_homing',
    'read',
    'stored_fields',
]

# Device types (docs/protocol.md, device types). The first letter O means a home switch.
TYPES = ('OA', 'OB', 'OC', 'OD', 'OE', 'OF', 'OG', 'OI', 'OJ', 'OK', 'OL', 'FA', 'FB', 'FC', 'FD', 'FE', 'FF',
         'SA', 'SB', 'SC', 'SD', 'SE', 'SF', 'SG', 'SH', 'SI', 'SJ', 'SK', 'SL', 'SM', 'SN', 'SO', 'SP', 'SQ',
         'TA', 'RA', 'ZZ')


def is_homing(device_type: str) -> bool:
    """Whether this type has a home switch. All other types are synced."""
    return device_type.startswith('O')


def default_max_pos(device_type: str) -> int:
    """The Max Pos of a new device type: known for OE, OB, OI and the syncing types, our choice for the others."""
    if not is_homing(device_type):
        return 65535
    return 112000 if device_type in ('OB', 'OI') else 125440


class BadSetting(ValueError):
    """A setting does not exist, or does not accept a value. The text is one line that says which, and why."""


def setting(default: Any, kind: Kind, help: str) -> Any:
    """Make a field that is a row of the table."""
    return field(default=default, metadata={'kind': kind, 'help': help})


def stored(default: Any, kind: Kind) -> Any:
    """Make a field that is kept in the state file, but is no setting."""
    return field(default=default, metadata={'kind': kind})


@dataclass
class ChannelMemory:
    """What one channel keeps over a power cycle."""

    type: str = setting('FA', Choice(TYPES), 'device type; sets max_pos as well; ZZ means no focuser')
    max_pos: int = setting(65535, Whole(1, 999999, 'counts'), 'highest position; if given at the start, the '
                           'focuser is at the middle')
    position: int = setting(32767, Whole(0, 999999, 'counts'), 'position of the focuser; it is put there, at rest')
    nickname: str = setting('', Text(re.compile(r'[ -;=?-~]{1,16}'), '1 to 16 printable characters without < and >'),
                            'name of the channel')
    reverse: bool = setting(False, Flag(), 'motor direction is reversed')
    backlash: bool = setting(False, Flag(), 'backlash compensation (BLC En)')
    backlash_steps: int = setting(40, Whole(-99, 99, 'counts'), 'overshoot of backlash compensation (BLC Stps); '
                                  'below 0 it is for inward moves, which no request can set')
    tcomp: bool = setting(False, Flag(), 'temperature compensation (TComp ON)')
    tc_at_start: bool = setting(False, Flag(), 'compensate at power-up (TC@Start)')
    tc_mode: str = setting('A', Choice(tuple('ABCDE')), 'compensation slot in use (TC Mode)')
    tempco: tuple[int, ...] = setting((86, 86, 86, 0, 0), WholeList(5, -9999, 9999),
                                      'coefficients of the slots A to E, counts per degree C')
    tempin: tuple[int, ...] = setting((0,) * 5, WholeList(5, -999999, 999999), 'intercepts of the slots A to E, counts')
    step_size: int = setting(0, Whole(0, 999999, 'nm'), 'step size shown by GETTCI')
    reference_c: float = stored(0.0, Number(-700, 700))
    reference_counts: int = stored(-1, Whole(-1, 999999))


@dataclass
class Mechanics:
    """The parts of one channel, and their defects."""

    probe: Probe = setting(  # noqa: RUF009 (a frozen value, which all channels may share)
        Probe(celsius=21.7), ProbeKind(),
        'temperature (degrees C), NP for no probe, or the raw text of a defective probe')
    speed: float = setting(800.0, Number(0.1, 1e5, 'steps/s'), 'high speed: moves, homing')
    low_speed: float = setting(400.0, Number(0.1, 1e5, 'steps/s'), 'low speed: slow relative moves, hand controller')
    compensation_speed: float = setting(50.0, Number(0.1, 1e5, 'steps/s'), 'speed of temperature compensation')
    slow_start: float = setting(3.0, Number(0, 3600, 's'), 'for how long a fast relative move is slow at first')
    ramp: float = setting(0.0, Number(0, 60, 's'), 'time from rest to full speed, and from full speed to rest')
    start_latency: float = setting(0.0, Number(0, 60, 's'), 'time from the reply to the first step and to IsMoving = 1')
    moving_latency: float = setting(0.0, Number(0, 60, 's'), 'IsMoving and IsHoming become 1 so long after the first '
                                    'step; a shorter motion never shows')
    late_target: bool = setting(False, Flag(), 'Targ Pos changes when the motor begins, not with the reply')
    halt_cancels_start: bool = setting(True, Flag(), 'HALT within start_latency cancels the start; with 0 the hub '
                                       'replies HALTED, and the motor begins all the same')
    blc_target: str = setting('overshoot', Choice(('overshoot', 'final')), 'Targ Pos in the first leg with backlash')
    ff_detect: bool = setting(False, Flag(), 'FastFocus secondary is attached (FFDetect)')
    remote_io: bool = setting(False, Flag(), 'in/out remote is attached in place of the probe (RemoteIO)')
    hand_controller: bool = setting(False, Flag(), 'hand controller is attached (Hnd Ctlr)')
    syncing_homed: bool = setting(True, Flag(), 'a syncing type shows IsHomed = 1')
    home_switch_missing: bool = setting(False, Flag(), 'homing never finds the switch')
    home_on_start: bool = setting(True, Flag(), 'a homing type homes at power-up')


@dataclass
class HubMemory:
    """What the hub keeps over a power cycle, apart from its channels."""

    led: int = setting(75, Whole(0, 100, 'percent'), 'brightness of the power LED')
    ssid: str = stored('', Text(re.compile(r'[ -;=?-~]{0,32}'), 'at most 32 printable characters'))
    security: str = stored('A', Choice(tuple('ABCDE')))
    security_key: str = stored('', Text(re.compile(r'[ -;=?-~]{0,64}'), 'at most 64 printable characters'))
    wep_index: int = stored(0, Whole(0, 4))
    wifi_joined: bool = stored(False, Flag())


@dataclass
class Variants:
    """Firmware and hardware of the hub: all the ways in which one real hub differs from another."""

    firmware: str = setting('2.0.4', Text(re.compile(r'[0-9]{1,3}(\.[0-9]{1,3}){2}'), 'three numbers such as 2.0.4'),
                            'firmware version')
    ip: str = setting('169.254.190.196', Text(re.compile(r'[0-9]{1,3}(\.[0-9]{1,3}){3}'), 'a dotted quad'),
                      'address shown by GETHUBINFO')
    dhcp: bool = setting(True, Flag(), 'the address is from DHCP')
    wifi: bool = setting(False, Flag(), 'a Wi-Fi board is fitted')
    thirdlynx: bool = setting(False, Flag(), 'the hub has one channel and ignores everything addressed to F2')
    sleeping: bool = setting(False, Flag(), 'the hub sleeps: all commands but reports and HALT get ER=5')
    sccp_no_set: bool = setting(False, Flag(), 'the hub carries out SCCP, but does not reply SET')
    no_reverse_line: bool = setting(False, Flag(), 'GETSTATUS without Reverse')
    no_dhcp_line: bool = setting(False, Flag(), 'GETHUBINFO without DHCPisOn')
    no_network_lines: bool = setting(False, Flag(), 'GETHUBINFO without all lines about Ethernet and Wi-Fi')
    bare_status_header: bool = setting(False, Flag(), 'GETSTATUS with the header STATUS, without digit')
    bare_config_header: bool = setting(False, Flag(), 'GETCONFIG with the header CONFIG, without digit')
    extra_config_lines: bool = setting(False, Flag(), 'GETCONFIG with two lines after Dev Typ, MaxSpeed and MaxPower')
    home_on_start_line: bool = setting(False, Flag(), 'GETCONFIG with a fifteenth line, Home@Str')
    tcomp_line: str = setting('working', Choice(('working', 'stored')), 'what TComp ON shows: whether compensation '
                              'works now (HALT ends that), or whether it is stored as on')
    no_gettci: bool = setting(False, Flag(), 'GETTCI is unknown')
    no_reverse: bool = setting(False, Flag(), 'REVERSE is unknown')
    no_setmax: bool = setting(False, Flag(), 'SETMAX is unknown')
    no_setfss: bool = setting(False, Flag(), 'SETFSS is unknown')
    no_setint: bool = setting(False, Flag(), 'SETINT is unknown')
    five_digit_ma: bool = setting(False, Flag(), 'MA has five digits, not six')
    tc_mode_empty: bool = setting(False, Flag(), 'GETTCI shows an empty TC Mode')
    ma_over_limit: str = setting('error', Choice(('error', 'clamp')), 'what the hub does with a move beyond Max Pos')
    ma_while_moving: str = setting('retarget', Choice(('retarget', 'error')), 'what the hub does with a move during '
                                   'a move')
    home_on_syncing: str = setting('error', Choice(('error', 'ignore')), 'what a syncing type does with HOME; ignore: '
                                   'it replies H and does not move')
    restart: float = setting(5.0, Number(0, 60, 's'), 'for how long nothing is answered after SCDT or RESET has '
                             'changed the type')
    restarts: str = setting('channel', Choice(('channel', 'hub')), 'what restarts then')


@dataclass
class LinkSettings:
    """Settings of the link between hub and host."""

    pace: bool = setting(False, Flag(), 'real timing: 115200 baud each way, and hub_latency')
    hub_latency: float = setting(0.001, Number(0, 10, 's'), 'time from the end of a request to its reply, with pace')
    delay: float = setting(0.0, Number(0, 600, 's'), 'all replies come this much later')
    drip: float = setting(0.0, Number(0, 10, 's'), 'replies come byte by byte, with this time between two bytes')
    request_delay: float = setting(0.3, Number(0, 600, 's'), 'how much later the requests of delay-requests come')
    reply_delay: float = setting(0.3, Number(0, 600, 's'), 'how much later the replies of delay-replies come')
    deliver_after_close: bool = setting(False, Flag(), 'requests on their way when the host opens its connection '
                                        'again still reach the hub, and their replies are lost')
    seed: int = setting(1, Whole(0, 999999999), 'seed of the random choices of all faults')


@dataclass(frozen=True)
class Setting:
    """A row of the table. `scope` is 'channel', 'hub' or 'link'; `place` is the dataclass with the value."""

    name: str
    scope: str
    place: type
    kind: Kind
    help: str
    default: Any


_PRESENT = Text(re.compile(r'none|[12]|1,2'), '1, 2 or 1,2, or none')


def _rows() -> list[Setting]:
    # `channels` is a short name for types and probes, `personality` for any settings; neither has a field. They come
    # first because settings are applied in this order, and a later one may change what an earlier one has set.
    rows = [Setting('personality', 'hub', object, Choice(tuple(PERSONALITIES)), 'the kind of hub, a short name for '
                    'several settings; a setting that is given overrides it; only at the start',
                    DEFAULT_PERSONALITY),
            Setting('channels', 'hub', object, _PRESENT, 'channels that have a syncing focuser (type FA) with a '
                    'probe, at the middle of its travel; only at the start', '1')]
    for place, scope in ((ChannelMemory, 'channel'), (Mechanics, 'channel'), (HubMemory, 'hub'), (Variants, 'hub'),
                         (LinkSettings, 'link')):
        for item in dataclasses.fields(place):
            if 'help' in item.metadata:
                rows.append(Setting(item.name, scope, place, item.metadata['kind'], item.metadata['help'],
                                    item.default))
    return rows


SETTINGS: Mapping[str, Setting] = {row.name: row for row in _rows()}


def find(name: str) -> tuple[Setting, int | None]:
    """Find the setting of this name, and the channel of a name such as `probe.2`. Raises BadSetting."""
    base, dot, channel = name.replace('-', '_').partition('.')
    row = SETTINGS.get(base)
    if row is None:
        raise BadSetting(f'unknown setting {name!r}; there are {" ".join(SETTINGS)}')
    if not dot:
        return row, None
    if row.scope != 'channel':
        raise BadSetting(f'{base} belongs to the whole hub: leave out {"." + channel!r}')
    if channel not in ('1', '2'):
        raise BadSetting(f'{name}: the channel must be 1 or 2')
    return row, int(channel)


def read(name: str, text: str) -> tuple[Setting, int | None, Any]:
    """Return the setting, the channel (None for both) and the value of `text`. Raises BadSetting."""
    row, channel = find(name)
    try:
        return row, channel, row.kind.parse(text)
    except ValueError as error:
        raise BadSetting(f'{name} must be {error}, not {text!r}') from None


def stored_fields(memory: Any) -> dict[str, object]:
    """Return the fields of a memory as JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(memory).items()}


def check_stored(place: Any, values: object, where: str) -> Any:
    """Make a memory of class `place` from JSON values. Raises BadSetting for a missing, unknown or wrong one."""
    if not isinstance(values, dict):
        raise BadSetting(f'{where} must be an object')
    kinds = {item.name: item.metadata['kind'] for item in dataclasses.fields(place)}
    for name in values:
        if name not in kinds:
            raise BadSetting(f'{where} has an unknown entry {name!r}')
    result = {}
    for name, kind in kinds.items():
        if name not in values:
            raise BadSetting(f'{where} lacks {name!r}')
        try:
            result[name] = kind.check(values[name])
        except ValueError as error:
            raise BadSetting(f'{where}: {name} must be {error}, not {values[name]!r}') from None
    return place(**result)
