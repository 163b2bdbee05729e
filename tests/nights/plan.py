# SPDX-License-Identifier: GPL-3.0-or-later
"""What a seed becomes: the site of a night, its clients and faults and their moments."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from warwick.observatory.focuslynx.core.limits import Limits
from warwick.observatory.focuslynx.hub_settings import HUB_SETTINGS, SLOTS, HubSetting, Value
from warwick.observatory.focuslynx.simulator.personalities import PERSONALITIES

NIGHT_S = 5 * 3600.0

GAP_S = 400.0
"""Between one burst of events and the next, on the average."""

DENSE_NIGHT_S = 1800.0
DENSE_GAP_S = 60.0
"""The same at the pace of an observatory, where so many polls go out that half an hour stands for five hours."""

COMMANDS = ('move', 'move to a limit', 'offset', 'zero', 'stop', 'init', 'kill', 'end', 'stop during a move',
            'move both', 'home', 'stop while homing', 'configure', 'stop while configuring', 'configure during a move',
            'query', 'query during a move')
FAULTS = ('mute', 'lose replies', 'lose requests', 'garble', 'cut', 'double', 'noise', 'delay', 'drip', 'unplug',
          'power cut', 'jam', 'lose steps', 'hand', 'halt by hand', 'probe', 'setting', 'range', 'start late', 'babble',
          'dead channel', 'refuse', 'late replies to a move', 'no switch', 'weather',
          'weather during a move', 'double requests', 'delay requests', 'misheard move', 'flicker', 'stall',
          'old connection', 'sleep', 'pause', 'late reports', 'halt is too late')

HOMING = ('tcf-s', 'leo', 'sagitta')
SYNCING = tuple(name for name in PERSONALITIES if name not in (*HOMING, 'thirdlynx'))


@dataclass(frozen=True)
class Event:
    """Something that a client does or that goes wrong, `at` seconds after the beginning of the night."""

    at: float
    what: str
    channel: int
    amount: float   # 0 to 1; what it means is a matter of the event

    def __str__(self) -> str:
        return f'{self.at:10.3f} s  {self.what:20} channel {self.channel}  {self.amount:.6f}'


@dataclass(frozen=True)
class Site:
    """Where a night is spent: the configuration of the daemon, the options of the hub, the channels that it has."""

    settings: Limits
    hub: dict[str, str]
    channels: tuple[int, ...]


def is_dense(seed: int) -> bool:
    """Whether a night is at the pace of an observatory: every third one is. The others have slow polls."""
    return seed % 3 == 0


def site(seed: int) -> Site:
    """Sites differ in their paces and timeouts, in the kind of hub, and in what the hub may do by itself."""
    chance = random.Random(seed + 0.5)
    allowed = chance.random() < 0.3
    dense = is_dense(seed)
    settings = Limits(
        soft_step_limits=chance.choice([(-30000, 30000), (-50000, 50000), (-500, 20000)]),
        idle_loop_delay_s=chance.choice([2.0, 3.0, 5.0] if dense else [120.0, 300.0, 600.0]),
        moving_loop_delay_s=0.5 if dense else chance.choice([0.25, 0.5, 1.0]),
        serial_timeout_s=chance.choice([1.0, 2.0, 5.0] if dense else [0.3, 1.0, 2.0]),
        move_timeout_s=chance.choice([20.0, 60.0]),
        home_reset_timeout_s=chance.choice([4.0, 5.0]),
        home_timeout_s=chance.choice([15.0, 60.0]),
        temperature_probe_required=chance.random() < 0.75,
        allow_hub_compensation=allowed)
    hub = {'speed': '2000', 'restarts': chance.choice(['channel', 'hub']),
           'ma_while_moving': chance.choice(['retarget', 'retarget', 'error'])}
    channels: tuple[int, ...] = (1, 2)
    kind = chance.random()
    if kind < 0.3:
        hub['personality'] = chance.choice(HOMING)
        hub['speed'] = '10000'
    elif kind < 0.4:
        hub['personality'], channels = 'thirdlynx', (1,)
    elif kind < 0.5:
        hub.update({'type.2': 'OE', 'speed.2': '10000', 'max_pos.1': '100000'})
    else:
        hub['personality'] = chance.choice(SYNCING)
        hub['max_pos'] = '100000'
    if allowed:
        hub.update({
            'tcomp': chance.choice('011'), 'tc_at_start': chance.choice('001'), 'backlash': chance.choice('011'),
            'tempco': f'{chance.randint(-60, 60)},0,0,0,0', 'backlash_steps': str(chance.randint(1, 99)),
            'blc_target': chance.choice(['overshoot', 'final']), 'tcomp_line': chance.choice(['working', 'stored'])})
    if not settings.temperature_probe_required and chance.random() < 0.5:
        hub['probe.2'] = 'NP'
    return Site(settings, hub, channels)


def events(seed: int) -> list[Event]:
    """The plan of a night. Events come in bursts: trouble begins in the middle of something else."""
    chance = random.Random(seed)
    plan = [Event(1.0, 'init', 1, 0.0)]
    at = 5.0
    end_s, gap_s = (DENSE_NIGHT_S, DENSE_GAP_S) if is_dense(seed) else (NIGHT_S, GAP_S)
    while True:
        at += chance.expovariate(1 / gap_s)
        if at > end_s:
            return plan
        moment = at
        for _ in range(chance.randint(1, 6)):
            what = chance.choice(COMMANDS if chance.random() < 0.6 else FAULTS)
            plan.append(Event(round(moment, 6), what, chance.randint(1, 2), round(chance.random(), 6)))
            moment += chance.choice([0.0, 0.001, 0.02, 0.1, 0.5, 2.0, 6.0]) * chance.random()


_VALUES: dict[str, Callable[[float], Value]] = {
    'nickname': lambda x: f'Tube {int(x * 1000)}',
    'backlash': lambda x: x < 0.5,
    'backlash_steps': lambda x: int(x * 100),
    'temperature_compensation': lambda x: x < 0.5,
    'compensation_at_start': lambda x: x < 0.5,
    'compensation_mode': lambda x: SLOTS[int(x * 5)],
    'coefficient': lambda x: int((x - 0.5) * 200),
    'intercept': lambda x: int((x - 0.5) * 60000),
    'led': lambda x: int(x * 101),
    'reverse': lambda x: x < 0.5,
    'step_size': lambda x: int(x * 1000000),
    'max_position': lambda x: 50000 + int(x * 60000),
    'device_type': lambda x: ('FB', 'OE', 'SC', 'OI', 'ZZ')[int(x * 5)],
    'reset': lambda x: 'defaults',
}


def change(amount: float) -> tuple[HubSetting, Value]:
    """A setting of the hub and a value for it, chosen by a number from 0 to 1."""
    chosen = amount * len(_VALUES)
    key, rest = list(_VALUES)[int(chosen)], chosen % 1
    value = _VALUES[key](rest)
    if key in ('coefficient', 'intercept'):
        key = f'{key}_{SLOTS[int(rest * 5)].lower()}'
    return HUB_SETTINGS[key], value


def shorten(fails: Callable[[list[Event]], bool], plan: list[Event], tries: int = 300) -> list[Event]:
    """A smaller plan that still fails: chunks are left out as long as that goes on failing."""
    size = max(1, len(plan) // 2)
    while size >= 1 and tries > 0:
        start, smaller = 0, False
        while start < len(plan) and tries > 0:
            shorter = plan[:start] + plan[start + size:]
            tries -= 1
            if fails(shorter):
                plan, smaller = shorter, True
            else:
                start += size
        if not smaller:
            size //= 2
    return plan
