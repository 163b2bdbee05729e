# SPDX-License-Identifier: GPL-3.0-or-later
"""The four report blocks, line for line (docs/protocol.md, report blocks)."""
from __future__ import annotations

from collections.abc import Iterable

from .focuser import Focuser
from .settings import HubMemory, Variants

__all__ = ['config', 'hub_info', 'status', 'temperature_compensation']

Fields = Iterable[tuple[str, object]]


def _block(header: str, fields: Fields) -> bytes:
    # Keys have at least eight characters, and the value begins at offset 11. An empty value leaves a space at the end.
    lines = [header]
    lines.extend([f'{key:8} = {value}' for key, value in fields])
    lines.append('END\n')
    return '\n'.join(lines).encode('latin-1')


def status(focuser: Focuser, variants: Variants) -> bytes:
    """GETSTATUS: header, eleven fields, END."""
    mechanics = focuser.mechanics
    probe = focuser.thermometer.attached
    reverse = '' if variants.no_reverse_line else f'Reverse  = {focuser.memory.reverse:d}\n'
    # Written out for speed: hosts ask for this report most of the time.
    header = 'STATUS' if variants.bare_status_header else f'STATUS{focuser.channel}'
    return (f'{header}\n'
            f'Temp(C)  = {mechanics.probe.render() if probe else "NP"}\n'
            f'Curr Pos = {focuser.position:06d}\n'
            f'Targ Pos = {focuser.target:06d}\n'
            f'IsMoving = {focuser.moving:d}\n'
            f'IsHoming = {focuser.homing:d}\n'
            f'IsHomed  = {focuser.shows_homed:d}\n'
            f'FFDetect = {mechanics.ff_detect:d}\n'
            f'TmpProbe = {probe:d}\n'
            f'RemoteIO = {mechanics.remote_io:d}\n'
            f'Hnd Ctlr = {mechanics.hand_controller:d}\n'
            f'{reverse}END\n').encode('latin-1')


def _tcomp(focuser: Focuser, variants: Variants) -> tuple[str, str]:
    on = focuser.memory.tcomp if variants.tcomp_line == 'stored' else focuser.tc_on
    return 'TComp ON', str(int(on))


def config(focuser: Focuser, variants: Variants, hub: HubMemory) -> bytes:
    """GETCONFIG: header, fourteen fields, END; one or two more with home_on_start_line or extra_config_lines."""
    memory = focuser.memory
    fields = [
        ('Nickname', memory.nickname),
        ('Max Pos', f'{memory.max_pos:06d}'),
        ('Dev Typ', memory.type),
    ]
    if variants.extra_config_lines:
        fields += [('MaxSpeed', f'{focuser.mechanics.speed:06.0f}'), ('MaxPower', '100')]
    fields.append(_tcomp(focuser, variants))
    fields += [(f'TempCo {slot}', f'{value:+05d}') for slot, value in zip('ABCDE', memory.tempco)]
    fields += [
        ('TC Mode', memory.tc_mode),
        ('BLC En', str(int(memory.backlash))),
        ('BLC Stps', f'{memory.backlash_steps:+03d}'),
        ('LED Brt', f'{hub.led:03d}'),
        ('TC@Start', str(int(memory.tc_at_start))),
    ]
    if variants.home_on_start_line:
        fields.append(('Home@Str', str(int(focuser.mechanics.home_on_start))))
    return _block('CONFIG' if variants.bare_config_header else f'CONFIG{focuser.channel}', fields)


def temperature_compensation(focuser: Focuser, variants: Variants) -> bytes:
    """GETTCI: header, fourteen fields, END."""
    memory = focuser.memory
    fields = [
        _tcomp(focuser, variants),
        ('TC Mode', '' if variants.tc_mode_empty else memory.tc_mode),
        ('TC@Start', str(int(memory.tc_at_start))),
    ]
    fields += [(f'TempCo {slot}', f'{value:+05d}') for slot, value in zip('ABCDE', memory.tempco)]
    fields += [(f'TempIn {slot}', f'{value:+07d}') for slot, value in zip('ABCDE', memory.tempin)]
    fields.append(('StepSize', f'{memory.step_size:06d}'))
    return _block(f'TEMP COMP{focuser.channel}', fields)


def hub_info(variants: Variants, memory: HubMemory) -> bytes:
    """GETHUBINFO: header, thirteen fields, END; fewer with no_dhcp_line or no_network_lines."""
    board, joined = variants.wifi, variants.wifi and memory.wifi_joined
    fields = [
        ('Hub FVer', variants.firmware),
        ('Sleeping', str(int(variants.sleeping))),
    ]
    if variants.no_network_lines:
        return _block('HUB INFO', fields)
    fields.append(('Wired IP', variants.ip))
    if not variants.no_dhcp_line:
        fields.append(('DHCPisOn', str(int(variants.dhcp))))
    fields += [
        ('WF Atchd', str(int(board))),
        ('WF Conn', str(int(joined))),
        ('WF FVer', '1.0.0' if board else '0.0.0'),
        ('WF FV OK', str(int(board))),
        ('WF SSID', memory.ssid if board else ''),
        ('WF IP', '192.168.1.60' if joined else '0.0.0.0'),
        ('WF SecMd', memory.security if board else 'A'),
        ('WF SecKy', memory.security_key if board else ''),
        ('WF WepKI', str(memory.wep_index if board else 0)),
    ]
    return _block('HUB INFO', fields)
