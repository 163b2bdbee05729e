# SPDX-License-Identifier: GPL-3.0-or-later
"""The report blocks of the hub as values, and the requests that ask for them (docs/protocol.md, section 6).

Fields are read by their key, in any order. Unknown keys are ignored. Only the keys that a driver cannot do without are
required: firmware versions differ in the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from ..hub_settings import NO_FOCUSER_TYPE, SLOTS, Value
from .requests import HEADER_FIELD, Garbled, Request, quoted


class StatusReport(NamedTuple):
    """Where a focuser is and what it does (section 6.1)."""

    counts: int                      # encoder position, 0 to Max Pos
    target_counts: int               # where the hub believes it is going, or last went
    moving: bool                     # in motion for whatever reason, homing included
    temperature_c: float | None      # None without a probe, or with one that reads nonsense
    probe_present: bool              # False for `NP`
    homing: bool = False
    homed: bool | None = None        # means nothing for types without a home switch; None if not reported
    reverse: bool | None = None
    hand_controller: bool | None = None
    remote: bool | None = None       # the in/out remote, which takes the place of the probe


class ConfigReport(NamedTuple):
    """The settings of a channel (section 6.2). None: not reported, or not in a known form."""

    nickname: str
    device_type: str                 # two letters; ZZ for none
    max_counts: int                  # Max Pos
    compensating: bool               # temperature compensation is on (TComp ON)
    compensates_at_start: bool       # it is switched on at power-up (TC@Start)
    backlash: bool                   # backlash compensation is on (BLC En)
    backlash_steps: int | None = None
    slot: str | None = None          # one of SLOTS
    coefficients: tuple[int | None, ...] = (None,) * len(SLOTS)   # counts per degree C
    led: int | None = None           # percent; one for both channels
    names_channel: bool = True       # the header did, which is not so for pre-release firmware

    @property
    def self_moving_settings(self) -> tuple[str, ...]:
        """The settings by which the hub moves the focuser by itself, as sentences that quote them."""
        return tuple(f'{what} ({key} = 1)' for on, key, what in (
            (self.compensating, 'TComp ON', 'temperature compensation is on'),
            (self.compensates_at_start, 'TC@Start', 'temperature compensation at power-up is on'),
            (self.backlash, 'BLC En', 'backlash compensation is on')) if on)


class CompensationReport(NamedTuple):
    """What only newer firmware reports (section 6.3)."""

    intercepts: tuple[int | None, ...]   # counts, for each of SLOTS
    step_size: int | None                # nanometres, as the hub stores it


class HubInfo(NamedTuple):
    """The hub itself (section 6.4). The key of its wireless network is not kept."""

    firmware: str | None
    sleeping: bool | None
    wired_ip: str | None
    dhcp: bool | None
    wifi_attached: bool | None
    wifi_connected: bool | None
    wifi_firmware: str | None
    wifi_firmware_ok: bool | None
    wifi_ssid: str | None
    wifi_ip: str | None
    wifi_security: str | None            # A to E; A is open
    wifi_wep_index: int | None           # which of its keys a WEP network uses


class GetStatus(Request):
    """Request where the focuser is; the hub answers with the block `STATUSx`."""

    header: ClassVar[str] = 'STATUS'

    @property
    def text(self) -> str:
        return 'GETSTATUS'

    def read(self, fields: dict[str, str]) -> StatusReport:
        temperature_c, probe_present = _temperature(_required(fields, 'Temp(C)'))
        homing = 'IsHoming' in fields and _flag(fields, 'IsHoming')
        return StatusReport(
            counts=_number(fields, 'Curr Pos'),
            target_counts=_number(fields, 'Targ Pos'),
            moving=_flag(fields, 'IsMoving') or homing,
            temperature_c=temperature_c,
            probe_present=probe_present,
            homing=homing,
            homed=_flag(fields, 'IsHomed') if 'IsHomed' in fields else None,
            reverse=_known_flag(fields, 'Reverse'),
            hand_controller=_known_flag(fields, 'Hnd Ctlr'),
            remote=_known_flag(fields, 'RemoteIO'))


class GetConfig(Request):
    """Request the channel's settings; the hub answers with the block `CONFIGx`."""

    header: ClassVar[str] = 'CONFIG'

    @property
    def text(self) -> str:
        return 'GETCONFIG'

    def read(self, fields: dict[str, str]) -> ConfigReport:
        slot = fields.get('TC Mode')
        return ConfigReport(
            nickname=fields.get('Nickname', ''),
            device_type=fields.get('Dev Typ', fields.get('Dev Type', '')),
            max_counts=_number(fields, 'Max Pos'),
            compensating=_flag(fields, 'TComp ON'),
            compensates_at_start=_flag(fields, 'TC@Start'),
            backlash=_flag(fields, 'BLC En'),
            backlash_steps=_known_number(fields, 'BLC Stps'),
            slot=slot if slot and slot in SLOTS else None,
            coefficients=tuple(_known_number(fields, f'TempCo {each}') for each in SLOTS),
            led=_known_number(fields, 'LED Brt'),
            names_channel=fields.get(HEADER_FIELD) != self.header)


class GetCompensation(Request):
    """Request intercepts and step size; the hub answers with the block `TEMP COMPx`, older firmware with an error."""

    header: ClassVar[str] = 'TEMP COMP'

    @property
    def text(self) -> str:
        return 'GETTCI'

    def read(self, fields: dict[str, str]) -> CompensationReport:
        return CompensationReport(intercepts=tuple(_known_number(fields, f'TempIn {each}') for each in SLOTS),
                            step_size=_known_number(fields, 'StepSize'))


class GetHubInfo(Request):
    """Request the report about the hub itself; it answers with the block `HUB INFO`. The channel has no meaning."""

    header: ClassVar[str] = 'HUB INFO'

    @property
    def target(self) -> str:
        return 'H'

    @property
    def text(self) -> str:
        return 'GETHUBINFO'

    def read(self, fields: dict[str, str]) -> HubInfo:
        return HubInfo(
            firmware=fields.get('Hub FVer'), sleeping=_known_flag(fields, 'Sleeping'),
            wired_ip=fields.get('Wired IP'), dhcp=_known_flag(fields, 'DHCPisOn'),
            wifi_attached=_known_flag(fields, 'WF Atchd'), wifi_connected=_known_flag(fields, 'WF Conn'),
            wifi_firmware=fields.get('WF FVer'), wifi_firmware_ok=_known_flag(fields, 'WF FV OK'),
            wifi_ssid=fields.get('WF SSID'), wifi_ip=fields.get('WF IP'), wifi_security=fields.get('WF SecMd'),
            wifi_wep_index=_known_number(fields, 'WF WepKI'))


def _required(fields: Mapping[str, str], key: str) -> str:
    if key not in fields:
        raise Garbled(f'the report lacks {key!r}')
    return fields[key]


def _number(fields: Mapping[str, str], key: str) -> int:
    value = _required(fields, key)
    if not re.fullmatch(r'[0-9]{1,8}', value):
        raise Garbled(f'{key!r} should be a number of counts, got {quoted(value)}')
    return int(value)


def _flag(fields: Mapping[str, str], key: str) -> bool:
    value = _required(fields, key)
    if value not in ('0', '1'):
        raise Garbled(f'{key!r} should be 0 or 1, got {quoted(value)}')
    return value == '1'


def _known_flag(fields: Mapping[str, str], key: str) -> bool | None:
    return {'0': False, '1': True}.get(fields.get(key, ''))


def _known_number(fields: Mapping[str, str], key: str) -> int | None:
    value = fields.get(key, '')
    return int(value) if re.fullmatch(r'[+-]?[0-9]{1,8}', value) else None


def _temperature(value: str) -> tuple[float | None, bool]:
    if value == 'NP':
        return None, False
    if not re.fullmatch(r'[+-]?[0-9]{1,3}\.[0-9]{1,6}', value):
        return None, True
    temperature_c = float(value)
    # A broken probe can also give a well-formed number; no telescope works where it is this cold or this hot.
    return (temperature_c if -60 <= temperature_c <= 80 else None), True


def setting_value(key: str, report: ConfigReport | CompensationReport | StatusReport) -> Value | None:
    """The value of a hub setting in the report that shows it (`HubSetting.shown_by`); None if it is not known."""
    slot = SLOTS.find(key[-1].upper())
    if isinstance(report, StatusReport):
        return report.reverse
    if isinstance(report, CompensationReport):
        return report.step_size if key == 'step_size' else report.intercepts[slot]
    if key.startswith('coefficient_'):
        return report.coefficients[slot]
    factory = report.device_type == NO_FOCUSER_TYPE and not report.self_moving_settings
    values: dict[str, Value | None] = {
        'nickname': report.nickname, 'backlash': report.backlash, 'backlash_steps': report.backlash_steps,
        'temperature_compensation': report.compensating, 'compensation_at_start': report.compensates_at_start,
        'compensation_mode': report.slot, 'led': report.led, 'max_position': report.max_counts,
        'device_type': report.device_type, 'reset': 'defaults' if factory else 'other settings',
    }
    return values[key]
