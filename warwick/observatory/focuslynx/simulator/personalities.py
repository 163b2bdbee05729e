# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of hubs by name: each name is a set of settings (docs/protocol.md, firmware variants).

A personality is nothing but its settings, and a setting that is given as well overrides that of the personality.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ['DEFAULT_PERSONALITY', 'PERSONALITIES', 'Personality', 'completed']

DEFAULT_PERSONALITY = '2.0.4'


@dataclass(frozen=True)
class Personality:
    """A row of the table. `hub` has the settings of the hub, `focuser` those of each channel with a focuser."""

    name: str
    help: str
    hub: Mapping[str, str] = field(default_factory=dict)
    focuser: Mapping[str, str] = field(default_factory=dict)


# What each older firmware lacks, from the newest to the oldest.
_BEFORE_2021 = {'no_setmax': '1', 'no_setfss': '1'}
_BEFORE_2017 = {**_BEFORE_2021, 'no_gettci': '1', 'no_setint': '1', 'no_dhcp_line': '1'}
_BEFORE_2015 = {**_BEFORE_2017, 'no_reverse': '1', 'no_reverse_line': '1', 'bare_config_header': '1'}

_ROWS = [
    Personality('pre-release', 'before release, about 2011: headers without digit, two more lines in GETCONFIG, MA '
                'with five digits (sections 7.1, 14)',
                {**_BEFORE_2015, 'firmware': '0.9.0', 'bare_status_header': '1', 'extra_config_lines': '1',
                 'five_digit_ma': '1'}),
    Personality('rev3', 'as in the manual of 2013, revision 3: no Reverse, no DHCPisOn, CONFIG without digit '
                '(section 14)', {**_BEFORE_2015, 'firmware': '1.0.0'}),
    Personality('1.0.9', 'firmware of 2015: has Reverse, but not DHCPisOn and GETTCI (section 14)',
                {**_BEFORE_2017, 'firmware': '1.0.9'}),
    Personality('2.0.4', 'firmware of 2017 to 2018, the hub of section 6, with all commands of section 5; the default'),
    Personality('focusboss', 'FocusBoss II before about 2019: carries out SCCP without SET (sections 8.1, 14)',
                {**_BEFORE_2017, 'firmware': '1.0.9', 'sccp_no_set': '1'}),
    Personality('1.2.0', 'a hub of 2019: GETCONFIG with a line for homing at power-up (sections 6.2, 14)',
                {**_BEFORE_2021, 'firmware': '1.2.0', 'home_on_start_line': '1'}),
    Personality('2021', 'a hub of 2021 without that line, and with an empty TC Mode in GETTCI (sections 6.3, 14)',
                {'firmware': '2.2.0', 'tc_mode_empty': '1'}),
    Personality('2021-home', 'a hub of 2021 with that line (section 14)',
                {'firmware': '2.2.0', 'home_on_start_line': '1'}),
    Personality('2.3.9', 'the newest firmware that we know of (section 14)', {'firmware': '2.3.9'}),
    Personality('thirdlynx', 'ThirdLynx: one channel, F2 is silent, no network in the hub report, IsMoving late after '
                'M (sections 2, 6.4, 7.1)', {'thirdlynx': '1', 'no_network_lines': '1'}, {'start_latency': '0.2'}),
    Personality('tcf-s', 'with converted TCF-S focusers: home switch, type OE, Max Pos 125440 (sections 7.3, 8.2)',
                focuser={'type': 'OE'}),
    Personality('leo', 'with Leo focusers: home switch, type OI, Max Pos 112000 (sections 7.3, 8.2)',
                {'firmware': '2.3.9'}, {'type': 'OI'}),
    Personality('sagitta', 'with Sagitta focusers, which this hub does not home at power-up: type OK, and the line '
                'for homing at power-up (sections 6.2, 7.3)', {'firmware': '2.3.9', 'home_on_start_line': '1'},
                {'type': 'OK', 'home_on_start': '0'}),
]

PERSONALITIES: Mapping[str, Personality] = {row.name: row for row in _ROWS}


def completed(options: Mapping[str, str]) -> dict[str, str]:
    """Add to `options` (text by name of the setting) the settings of their personality that they do not give.

    The personality must be in the table.
    """
    given = {name.replace('-', '_') for name in options}
    personality = PERSONALITIES[options.get('personality', DEFAULT_PERSONALITY)]
    result = {name: value for name, value in personality.hub.items() if name not in given}
    for channel in set('12') & set(options.get('channels', personality.hub.get('channels', '1'))):
        for name, value in personality.focuser.items():
            if not given & {name, f'{name}.{channel}'}:
                result[f'{name}.{channel}'] = value
    return {**result, **options}
