# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the hub itself (docs/protocol.md, hub commands)."""
from __future__ import annotations

from re import Match

from . import reports
from .command_table import BAD_PARAMETER, WIFI_INCOMPLETE, Call, Table

__all__ = ['HUB_COMMANDS']

HUB_COMMANDS = Table()
_on_hub = HUB_COMMANDS.add


@_on_hub('GETHUBINFO')
def _hub_info(call: Call) -> bytes:
    return reports.hub_info(call.hub.variants, call.hub.memory)


@_on_hub('SCLB', '([0-9]{1,3})')
def _set_led(call: Call) -> bytes:
    if call.whole() > 100:
        return BAD_PARAMETER
    call.hub.memory.led = call.whole()
    return _hub_stored(call)


# Wi-Fi; without a board the hub answers NO_WIFI before it looks here.

@_on_hub('SWSS', '([01])([ -~]{0,16})')
def _set_ssid(call: Call) -> bytes:
    call.hub.memory.ssid = _with_chunk(call.hub.memory.ssid, call.argument)
    return _hub_stored(call)


@_on_hub('SWSK', '([0-3])([ -~]{0,16})')
def _set_security_key(call: Call) -> bytes:
    call.hub.memory.security_key = _with_chunk(call.hub.memory.security_key, call.argument)
    return _hub_stored(call)


def _with_chunk(text: str, argument: Match[str]) -> str:
    # A later chunk follows on the earlier ones; chunk 0 begins a new text.
    return text[:16 * int(argument[1])] + argument[2]


@_on_hub('SWSM', '([A-E])')
def _set_security(call: Call) -> bytes:
    call.hub.memory.security = call.argument[1]
    return _hub_stored(call)


@_on_hub('SWWI', '([1-4])')
def _set_wep_index(call: Call) -> bytes:
    call.hub.memory.wep_index = call.whole()
    return _hub_stored(call)


@_on_hub('SWPS')
def _apply_wifi(call: Call) -> bytes:
    memory = call.hub.memory
    if not memory.ssid or (memory.security != 'A' and not memory.security_key):
        return WIFI_INCOMPLETE
    memory.wifi_joined = True
    return _hub_stored(call)


@_on_hub('WIFIRESET')
def _reset_wifi(call: Call) -> bytes:
    call.hub.memory.wifi_joined = False
    return _hub_stored(call)


@_on_hub('WIFIDEFAULTS')
def _default_wifi(call: Call) -> bytes:
    memory = call.hub.memory
    memory.ssid, memory.security, memory.security_key, memory.wep_index = '', 'A', '', 0
    memory.wifi_joined = False
    return _hub_stored(call)


def _hub_stored(call: Call) -> bytes:
    call.hub.store()
    return b'SET\n'
