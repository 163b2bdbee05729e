# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of a focuser channel and of the hub itself.

docs/protocol.md has them in its command index. Its section on motion says which of them each phase accepts.
"""
from __future__ import annotations

from re import Match

from . import reports
from .command_table import Call, CommandTable
from .error_replies import BAD_PARAMETER, MOVING, NO_PROBE, WIFI_INCOMPLETE
from .focuser import Phase
from .settings import TYPES, is_homing

__all__ = ['CHANNEL_COMMANDS', 'HUB_COMMANDS']

CHANNEL_COMMANDS = CommandTable()
HUB_COMMANDS = CommandTable()
_on_channel = CHANNEL_COMMANDS.add
_on_hub = HUB_COMMANDS.add
_M, _H, _SET = b'M\n', b'H\n', b'SET\n'


# Reports

@_on_channel('HELLO')
def _hello(call: Call) -> bytes:
    return call.focuser.memory.nickname.encode('latin-1') + b'\n'


@_on_channel('GETSTATUS')
def _status(call: Call) -> bytes:
    return reports.status(call.focuser, call.hub.variants)


@_on_channel('GETCONFIG')
def _config(call: Call) -> bytes:
    return reports.config(call.focuser, call.hub.variants, call.hub.memory)


@_on_channel('GETTCI')
def _tci(call: Call) -> bytes:
    return reports.temperature_compensation(call.focuser, call.hub.variants)


# Motion

@_on_channel('MA', '([0-9]{5,6})')
def _move(call: Call) -> bytes:
    if len(call.argument[1]) != (5 if call.hub.variants.five_digit_ma else 6):
        return BAD_PARAMETER
    return _go(call, call.number())


@_on_channel('CENTER')
def _center(call: Call) -> bytes:
    return _go(call, call.focuser.memory.max_pos // 2)


def _go(call: Call, goal: int) -> bytes:
    focuser, variants = call.focuser, call.hub.variants
    if goal > focuser.memory.max_pos:
        if variants.ma_over_limit == 'error':
            return BAD_PARAMETER
        goal = focuser.memory.max_pos
    if focuser.in_homing_run or (variants.ma_while_moving == 'error' and focuser.phase is not Phase.IDLE):
        return MOVING
    focuser.move(goal, call.time)
    return _M


@_on_channel('MIR', '([01])')
def _run_in(call: Call) -> bytes:
    return _run(call, outward=False)


@_on_channel('MOR', '([01])')
def _run_out(call: Call) -> bytes:
    return _run(call, outward=True)


def _run(call: Call, outward: bool) -> bytes:
    if call.focuser.in_homing_run:
        return MOVING
    call.focuser.run(outward, slow=call.flag(), time=call.time)
    return _M


@_on_channel('ERM')
def _end_run(call: Call) -> bytes:
    if call.focuser.in_homing_run:
        return MOVING
    call.focuser.stop(call.time)
    return b'STOPPED\n'


@_on_channel('HALT')
def _halt(call: Call) -> bytes:
    call.focuser.halt()
    return b'HALTED\n'


@_on_channel('HOME')
def _home(call: Call) -> bytes:
    focuser = call.focuser
    if focuser.in_homing_run:
        return MOVING
    if is_homing(focuser.memory.type):
        focuser.home(call.time)
        return _H
    return BAD_PARAMETER if call.hub.variants.home_on_syncing == 'error' else _H


@_on_channel('SCCP', '([0-9]{6})')
def _sync(call: Call) -> bytes:
    focuser = call.focuser
    if focuser.phase is not Phase.IDLE:
        return MOVING
    if is_homing(focuser.memory.type) or call.number() > focuser.memory.max_pos:
        return BAD_PARAMETER
    focuser.sync(call.number())
    return b'' if call.hub.variants.sccp_no_set else _SET


# Configuration of the channel

@_on_channel('SCDT', '([A-Z]{2})')
def _set_type(call: Call) -> bytes:
    focuser, device_type = call.focuser, call.argument[1]
    if device_type not in TYPES:
        return BAD_PARAMETER
    if focuser.phase is not Phase.IDLE:
        return MOVING
    if device_type != focuser.memory.type:
        call.hub.retype(focuser, device_type, call.time)
    return _SET


@_on_channel('RESET')
def _reset(call: Call) -> bytes:
    if call.focuser.phase is not Phase.IDLE:
        return MOVING
    call.hub.reset_channel(call.focuser.channel, call.time)
    return _SET


@_on_channel('SETMAX', '([0-9]{6})')
def _set_max(call: Call) -> bytes:
    focuser, value = call.focuser, call.number()
    in_use = max(focuser.position, focuser.target, focuser.leg.goal if focuser.leg else 0)
    if is_homing(focuser.memory.type) or value == 0 or value < in_use:
        return BAD_PARAMETER
    focuser.memory.max_pos = value
    return _stored(call)


@_on_channel('SCNN', '([ -;=?-~]{1,16})')
def _set_nickname(call: Call) -> bytes:
    call.focuser.memory.nickname = call.argument[1]
    return _stored(call)


@_on_channel('REVERSE', '([01])')
def _set_reverse(call: Call) -> bytes:
    call.focuser.memory.reverse = call.flag()
    return _stored(call)


@_on_channel('SETFSS', '([0-9]{6})')
def _set_step_size(call: Call) -> bytes:
    call.focuser.memory.step_size = call.number()
    return _stored(call)


# Temperature and backlash compensation

@_on_channel('SCTE', '([01])')
def _enable_compensation(call: Call) -> bytes:
    if call.flag() and not call.focuser.thermometer.attached:
        return NO_PROBE
    call.focuser.set_compensation(call.flag(), call.time)
    return _SET


@_on_channel('SCTS', '([01])')
def _compensate_at_start(call: Call) -> bytes:
    call.focuser.memory.tc_at_start = call.flag()
    return _stored(call)


@_on_channel('SCTM', '([A-E])')
def _select_slot(call: Call) -> bytes:
    call.focuser.memory.tc_mode = call.argument[1]
    return _stored(call)


@_on_channel('SCTC', '([A-E])([+-][0-9]{4})')
def _set_coefficient(call: Call) -> bytes:
    call.focuser.memory.tempco = _with_slot(call.focuser.memory.tempco, call.argument)
    return _stored(call)


@_on_channel('SETINT', '([A-E])([+-][0-9]{6})')
def _set_intercept(call: Call) -> bytes:
    call.focuser.memory.tempin = _with_slot(call.focuser.memory.tempin, call.argument)
    return _stored(call)


def _with_slot(values: tuple[int, ...], argument: Match[str]) -> tuple[int, ...]:
    index = 'ABCDE'.index(argument[1])
    return (*values[:index], int(argument[2]), *values[index + 1:])


@_on_channel('SCBE', '([01])')
def _enable_backlash(call: Call) -> bytes:
    call.focuser.memory.backlash = call.flag()
    return _stored(call)


@_on_channel('SCBS', '([0-9]{2})')
def _set_backlash(call: Call) -> bytes:
    call.focuser.memory.backlash_steps = call.number()
    return _stored(call)


def _stored(call: Call) -> bytes:
    """Every setter stores the position as well. A new slot or coefficient takes effect at once."""
    call.focuser.save()
    call.focuser.compensate(call.time)
    return _SET


# The hub itself (docs/protocol.md, hub commands)

@_on_hub('GETHUBINFO')
def _hub_info(call: Call) -> bytes:
    return reports.hub_info(call.hub.variants, call.hub.memory)


@_on_hub('SCLB', '([0-9]{1,3})')
def _set_led(call: Call) -> bytes:
    if call.number() > 100:
        return BAD_PARAMETER
    call.hub.memory.led = call.number()
    return _hub_stored(call)


# Wi-Fi. A hub without a Wi-Fi board answers NO_WIFI to all of these; that check is in the model.

@_on_hub('SWSS', '([01])([ -~]{0,16})')
def _set_ssid(call: Call) -> bytes:
    call.hub.memory.ssid = _with_chunk(call.hub.memory.ssid, call.argument)
    return _hub_stored(call)


@_on_hub('SWSK', '([0-3])([ -~]{0,16})')
def _set_security_key(call: Call) -> bytes:
    call.hub.memory.security_key = _with_chunk(call.hub.memory.security_key, call.argument)
    return _hub_stored(call)


def _with_chunk(text: str, argument: Match[str]) -> str:
    # Chunk 0 begins a new text; a later chunk is appended to the earlier ones.
    return text[:16 * int(argument[1])] + argument[2]


@_on_hub('SWSM', '([A-E])')
def _set_security(call: Call) -> bytes:
    call.hub.memory.security = call.argument[1]
    return _hub_stored(call)


@_on_hub('SWWI', '([1-4])')
def _set_wep_index(call: Call) -> bytes:
    call.hub.memory.wep_index = call.number()
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
    return _SET
