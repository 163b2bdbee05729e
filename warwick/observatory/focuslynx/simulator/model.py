# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub: it is given bytes and the time, and returns bytes. It has no thread, no clock and no port.

    hub = Hub()
    hub.receive(b'<F1MA040000>', now=0.0)      # b'!\\nM\\n'
    hub.advance(now=10.0)
    hub.focusers[1].position                   # 40000

`now` is any monotonic time in seconds; only differences matter. A time before the last one counts as the last one.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Callable

from . import settings
from .commands import CHANNEL_COMMANDS, HUB_COMMANDS
from .error_replies import NO_WIFI
from .focuser import Focuser
from .kinds import Probe
from .parser import Parser
from .personalities import DEFAULT_PERSONALITY, completed
from .settings import BadSetting, ChannelMemory, HubMemory, Mechanics, Variants

__all__ = ['Hub']


class Hub:
    """A FocusLynx hub with two channels.

    `options` has the text of each setting by name (the table in settings.py; `probe.2` for one channel, `probe` for
    both). They describe a hub that has been on for a while. `memory` is a result of `to_state`: with it, the hub is
    switched on at `now`, and options that belong to the memory (type, max_pos, position ...) are ignored. `on_store`
    is called after the hub has stored something, before the reply is returned. Raises BadSetting.
    """

    def __init__(self, options: Mapping[str, str] | None = None, memory: Mapping[str, Any] | None = None,
                 now: float = 0.0, on_store: Callable[[], None] | None = None) -> None:
        self.on_store = on_store
        self.powered = True
        self.variants = Variants()
        self.memory = HubMemory()
        self.focusers: dict[int, Focuser] = {}
        self._parsers: dict[int, Parser] = {}
        self._dirty = False
        self._lag = now
        self._frozen: float | None = None
        self._back_on: float | None = None
        self._time = 0.0
        options = options or {}
        self.personality = settings.read('personality', options.get('personality', DEFAULT_PERSONALITY))[2]
        self._fit('1')
        # In the order of the table, and settings of both channels before those of one, which override them.
        order = list(settings.SETTINGS)
        chosen = [(settings.read(name, text), name) for name, text in completed(options).items()]
        chosen.sort(key=lambda item: (order.index(item[0][0].name), item[0][1] or 0))
        for (row, channel, value), _ in chosen:
            if row.scope != 'link' and row.name != 'personality':
                self._apply(row, channel, value, starting=True)
        if memory is not None:
            self._restore(memory)
        self._dirty = False

    def _fit(self, channels: str) -> None:
        for channel in (1, 2):
            fitted = str(channel) in channels
            memory = ChannelMemory(nickname=f'FocusLynx Foc{channel}')
            mechanics = Mechanics()
            if not fitted:
                memory.type, memory.position, mechanics.probe = 'ZZ', 0, Probe()
            self.focusers[channel] = Focuser(channel, memory, mechanics, self.store)

    # For the link

    def receive(self, data: bytes, now: float, port: int = 0) -> bytes:
        """Take bytes from the host at `now`; return the replies. Each port has its own unfinished command."""
        self.advance(now)
        if not self.powered:
            return b''
        parser = self._parsers.get(port)
        if parser is None:
            parser = self._parsers[port] = Parser()
        replies = parser.feed(data, self._execute, self._silent)
        self._flush()
        return replies

    def advance(self, now: float) -> None:
        """Bring everything that moves by itself up to `now`."""
        time = now - self._lag if self._frozen is None else self._frozen
        if time > self._time:
            if self._back_on is not None and time >= self._back_on:
                self._power_on(self._back_on)
            self._time = time
            for focuser in self.focusers.values():
                (focuser if self.powered else focuser.thermometer).advance(time)
            if self._dirty:
                self._flush()

    def next_event(self) -> float | None:
        """When something happens by itself next, such as the start or end of a motion; None if never."""
        if self._frozen is not None:
            return None
        times = [self._back_on] if self._back_on is not None else []
        if self.powered:
            times += [time for time in (focuser.next_event() for focuser in self.focusers.values()) if time is not None]
        return min(times) + self._lag if times else None

    def _execute(self, target: str, text: str) -> bytes:
        if self._silent(target):
            return b''
        if target == 'H':
            if text.startswith(('SW', 'WIFI')) and not self.variants.wifi:
                return b'!\n' + NO_WIFI
            return b'!\n' + HUB_COMMANDS.run(text, self, self.focusers[1], self._time)
        return b'!\n' + CHANNEL_COMMANDS.run(text, self, self.focusers[int(target)], self._time)

    def _silent(self, target: str) -> bool:
        """Whether nothing answers: a command just before may have restarted the hub or a channel."""
        if target in ('', 'H') or not self.powered:
            return not self.powered
        return self.focusers[int(target)].restarting or (target == '2' and self.variants.thirdlynx)

    def reset_channel(self, channel: int, time: float) -> None:
        """Give a channel the defaults of one without a focuser (RESET). LED and Wi-Fi belong to the hub and stay."""
        focuser = self.focusers[channel]
        defaults = ChannelMemory(focuser.memory.type, nickname=f'FocusLynx Foc{channel}')
        focuser.memory = defaults
        focuser.set_compensation(False, time)
        self.retype(focuser, 'ZZ', time)

    def retype(self, focuser: Focuser, device_type: str, time: float) -> None:
        """Initialise a channel as this type. If the type changes, the channel restarts, or the whole hub."""
        restarts = device_type != focuser.memory.type
        seconds = self.variants.restart if restarts else 0.0
        focuser.retype(device_type, settings.default_max_pos(device_type), time + seconds)
        focuser.advance(time)
        if restarts and self.variants.restarts == 'hub':
            self._power_off(seconds)
            if not seconds:
                self._power_on(time)

    # Memory

    def store(self) -> None:
        """Note that the memory has changed."""
        self._dirty = True

    def _flush(self) -> None:
        if self._dirty:
            self._dirty = False
            if self.on_store is not None:
                self.on_store()

    def to_state(self) -> dict[str, Any]:
        """What the hub keeps over a power cycle, as JSON values."""
        return {'hub': settings.stored_fields(self.memory),
                'channels': {str(channel): settings.stored_fields(focuser.memory)
                             for channel, focuser in self.focusers.items()}}

    def _restore(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state, dict) or set(state) != {'hub', 'channels'}:
            raise BadSetting('the state must have the entries hub and channels')
        channels = state['channels']
        if not isinstance(channels, dict) or set(channels) != {'1', '2'}:
            raise BadSetting('the state must have the channels 1 and 2')
        self.memory = settings.check_stored(HubMemory, state['hub'], 'hub')
        for channel, focuser in self.focusers.items():
            memory = settings.check_stored(ChannelMemory, channels[str(channel)], f'channel {channel}')
            if memory.position > memory.max_pos:
                raise BadSetting(f'channel {channel}: position {memory.position} is beyond max_pos {memory.max_pos}')
            self.focusers[channel] = Focuser(channel, memory, focuser.mechanics, self.store)
        self.powered = False
        self._power_on(self._time)

    # Settings and faults

    def set(self, name: str, text: str, now: float) -> None:
        """Change a setting of hub or channel (both channels, or one by a name such as `probe.2`). Raises BadSetting."""
        row, channel, value = settings.read(name, text)
        if row.place is object:
            raise BadSetting(f'{row.name} can only be given at the start')
        self.advance(now)
        self._apply(row, channel, value, starting=False)
        self._flush()

    def _apply(self, row: settings.Setting, channel: int | None, value: Any, starting: bool) -> None:
        if row.name == 'channels':
            self._fit(value)
        elif row.place is Variants:
            setattr(self.variants, row.name, value)
        elif row.place is HubMemory:
            setattr(self.memory, row.name, value)
            self.store()
        else:
            chosen = [self.focusers[channel]] if channel else list(self.focusers.values())
            if not starting:
                for focuser in chosen:
                    self._check(focuser, row.name, value)
            for focuser in chosen:
                self._apply_to(focuser, row, value, starting)

    @staticmethod
    def _check(focuser: Focuser, name: str, value: Any) -> None:
        where = f'channel {focuser.channel}'
        if name == 'position' and value > focuser.memory.max_pos:
            raise BadSetting(f'position {value} is beyond max_pos {focuser.memory.max_pos} of {where}')
        if name == 'max_pos' and value < max(focuser.position, focuser.target):
            raise BadSetting(f'max_pos {value} is below the position {focuser.position} '
                             f'or target {focuser.target} of {where}')

    def _apply_to(self, focuser: Focuser, row: settings.Setting, value: Any, starting: bool) -> None:
        memory, name = focuser.memory, row.name
        if row.place is Mechanics:
            setattr(focuser.mechanics, name, value)
            if name == 'probe':
                focuser.thermometer.stay()
            if name in ('probe', 'remote_io') and not starting:
                focuser.compensate(self._time)
            elif name == 'probe':
                focuser.place(focuser.position)  # notes this temperature as the reference
        elif name == 'type':
            memory.type, memory.max_pos = value, settings.default_max_pos(value)
            focuser.homed = True
            focuser.place(0 if value == 'ZZ' else memory.max_pos // 2)
        elif name == 'max_pos':
            memory.max_pos = value
            if starting and memory.type != 'ZZ':
                focuser.place(value // 2)
        elif name == 'position':
            self._check(focuser, name, value)
            focuser.place(value)
        elif name == 'tcomp':
            focuser.set_compensation(value, self._time)
        else:
            setattr(memory, name, value)
            focuser.save()
            focuser.compensate(self._time)

    def power_off(self, now: float, seconds: float | None = None) -> None:
        """Cut the power, for so many seconds or until `power_on`. Unstored state is lost, motion stops."""
        self.advance(now)
        self._power_off(seconds)

    def _power_off(self, seconds: float | None) -> None:
        if self.powered:
            for focuser in self.focusers.values():
                focuser.power_off()
        self.powered = False
        self._parsers.clear()
        self._back_on = None if seconds is None else self._time + seconds

    def power_on(self, now: float) -> None:
        """Switch the hub on. Homing types home; the others are at their stored position."""
        self.advance(now)
        if not self.powered:
            self._power_on(self._time)
            self._flush()

    def _power_on(self, time: float) -> None:
        self.powered = True
        self._back_on = None
        for focuser in self.focusers.values():
            focuser.thermometer.advance(time)
            focuser.power_on(time)

    def hand(self, channel: int, counts: int, now: float) -> None:
        """Move by the hand controller, if there is power. Raises BadSetting while homing or restarting."""
        self.advance(now)
        focuser = self.focusers[channel]
        if focuser.in_homing_run or focuser.restarting:
            raise BadSetting(f'channel {channel} is {"homing" if focuser.in_homing_run else "restarting"}')
        if self.powered:
            focuser.hand(counts, self._time)
        self._flush()

    def temperature_ramp(self, channel: int, celsius: float, seconds: float, now: float) -> None:
        """Change the temperature at a probe evenly. Raises BadSetting if the probe shows no temperature."""
        self.advance(now)
        thermometer = self.focusers[channel].thermometer
        if thermometer.celsius is None:
            raise BadSetting(f'channel {channel} has no probe that shows a temperature')
        thermometer.go_to(celsius, self._time, seconds)

    def jam(self, channel: int, now: float) -> None:
        """Jam a focuser: the hub drives the motor, but the position stays the same."""
        self.advance(now)
        self.focusers[channel].jam()

    def unjam(self, channel: int, now: float) -> None:
        """End a jam. An interrupted motion continues."""
        self.advance(now)
        self.focusers[channel].unjam(self._time)
        self._flush()

    # The hub's own clock

    def freeze(self, now: float) -> None:
        """Stop the hub's clock."""
        self.advance(now)
        self._frozen = self._time

    def step(self, seconds: float, now: float) -> None:
        """Put the hub's clock forward. A frozen clock stays frozen at the new time."""
        if self._frozen is None:
            self._lag -= seconds
        else:
            self._frozen += seconds
        self.advance(now)

    def thaw(self, now: float) -> None:
        """Let the hub's clock continue from the time at which it was frozen."""
        if self._frozen is not None:
            self._lag = now - self._frozen
            self._frozen = None

    def run_to(self, channel: int, counts: int, now: float) -> None:
        """Freeze the hub's clock at the moment when the channel reaches `counts` in its present motion.

        Raises ValueError, and changes nothing, if the channel does not reach it.
        """
        self.advance(now)
        focuser = self.focusers[channel]
        if focuser.leg is None or focuser.jammed:
            raise ValueError(f'channel {channel} does not move')
        time = max(focuser.leg.reaches(counts), self._time)
        if focuser.leg.at(time) != counts:
            raise ValueError(f'channel {channel} has passed {counts} already')
        self._frozen = time
        self.advance(now)

    # The true state

    def truth(self) -> dict[str, Any]:
        """The true state of the hub and its focusers, as JSON values."""
        result: dict[str, Any] = {'powered': self.powered, 'frozen': self._frozen is not None, 'led': self.memory.led,
                                  'personality': self.personality, **dataclasses.asdict(self.variants)}
        for channel, focuser in self.focusers.items():
            result[str(channel)] = {
                'position': focuser.position, 'target': focuser.target, 'moving': focuser.moving,
                'running': focuser.running, 'starting': focuser.starting, 'phase': focuser.phase.value,
                'homing': focuser.homing, 'in_homing_run': focuser.in_homing_run, 'homed': focuser.shows_homed,
                'tube': focuser.tube, 'stored_position': focuser.memory.position, 'jammed': focuser.jammed,
                'restarting': focuser.restarting, 'tc_on': focuser.tc_on,
                **{name: value for name, value in settings.stored_fields(focuser.memory).items()
                   if name != 'position'},
                **dataclasses.asdict(focuser.mechanics), 'probe': str(focuser.mechanics.probe)}
        return result
