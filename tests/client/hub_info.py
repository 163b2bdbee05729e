# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon answers to hub_info."""

from __future__ import annotations

from typing import Any

VALUES: dict[str, Any] = {
    'nickname': 'North tube', 'backlash': True, 'backlash_steps': 40, 'temperature_compensation': False,
    'compensation_at_start': False, 'compensation_mode': 'B', **{f'coefficient_{slot}': 86 for slot in 'abcde'},
    **{f'intercept_{slot}': None for slot in 'abcde'}, 'led': 75, 'reverse': False, 'step_size': None,
    'max_position': 112000, 'device_type': 'OA'}
CHANNEL: dict[str, Any] = {
    'status': 4, 'status_label': 'IDLE', 'error': None, 'device_type': 'OA', 'device': 'Optec TCF-Lynx 2"',
    'has_home_switch': True, 'homed': True, 'max_counts': 112000, 'soft_step_limits': [-50000, 50000],
    'min_steps': -50000, 'max_steps': 49960, 'temperature': 21.74, 'probe': 'present', 'hand_controller': False,
    'remote': False, 'settings': VALUES}
HUB: dict[str, Any] = {
    'date': '2026-11-23T05:10:00Z', 'software_version': '0.1.0', 'firmware': '2.0.4', 'sleeping': False,
    'wired_ip': '192.168.7.30', 'dhcp': True, 'wifi_attached': True, 'wifi_connected': True, 'wifi_firmware': '1.1',
    'wifi_firmware_ok': True, 'wifi_ssid': 'Dome', 'wifi_ip': '192.168.7.31', 'wifi_security': 'A', 'wifi_wep_index': 0,
    'channel_1': CHANNEL,
    'channel_2': {**CHANNEL, 'status': 2, 'error': 'temperature compensation is on (TComp ON = 1)', 'homed': None,
                  'has_home_switch': False, 'min_steps': None, 'max_steps': None, 'temperature': None,
                  'probe': 'defective'}}

_ESCAPE = 'a\x1b[2J\n'
ESCAPES = {**HUB, 'firmware': _ESCAPE, 'wifi_ssid': _ESCAPE, 'channel_1': {
    **CHANNEL, 'error': _ESCAPE, 'device': _ESCAPE, 'probe': _ESCAPE, 'settings': dict.fromkeys(VALUES, _ESCAPE)}}
"""The same with texts that would clear a terminal."""
