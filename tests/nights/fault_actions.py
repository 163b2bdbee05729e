# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients do and what goes wrong in a night: each kind of event has a function here that brings it about."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable

from tests.core.world import Caller, World
from tests.nights.plan import COMMANDS, Event, Site, change
from warwick.observatory.focuslynx.constants import FocuserStatus
from warwick.observatory.focuslynx.core.commands import (
    Command,
    Configure,
    Connect,
    Disconnect,
    Home,
    MoveFocuser,
    QueryHub,
    SetZero,
    Stop,
)
from warwick.observatory.focuslynx.core.focuser_state import UNHOMED
from warwick.observatory.focuslynx.core.hub import Hub
from warwick.observatory.focuslynx.hub_settings import has_home_switch

DELAY_S = 0.015
LIMITING = ('Curr Pos', 'Max Pos')
FLICKERING = ('LED Brt', 'TempCo C', 'Temp(C)', *LIMITING)
"""Fields of reports of which one digit is another one in each report. With LIMITING ones a channel is not usable."""

MECHANICS = {'start_latency': '0', 'moving_latency': '0', 'late_target': '0', 'halt_cancels_start': '1'}
"""How a focuser usually is, as the simulator names it."""

BY_ITSELF = ('backlash', 'tcomp', 'tc_at_start')
"""Settings by which a hub moves a focuser without a command, as the simulator names them."""


class FaultActions(World):
    """Plays events on a site. What they disturb is noted, for those who judge what comes of it."""

    def __init__(self, site: Site, seed: int, trace: Callable[[str], None] | None,
                 core: type[Hub]) -> None:
        super().__init__(site.settings, site.hub, core=core)
        self.site = site
        self.faults.settings.pace = False
        self.faults.settings.delay = DELAY_S
        self.faults.random.seed(seed)
        self.counts: Counter[str] = Counter()
        self._trace = trace
        self._begin = self.now
        self._types = {n: self.hub.focusers[n].memory.type for n in (1, 2)}
        self._probes = {n: site.hub.get(f'probe.{n}', '12.5') for n in (1, 2)}
        self._disturbed_at = {1: -math.inf, 2: -math.inf}   # when another program may have moved or stopped the focuser
        self._settings_changed_at = {1: -math.inf, 2: -math.inf}    # ... or changed its settings
        self._outage_until = -math.inf
        self._open_callers: deque[Caller] = deque()
        self._halt_first: dict[int, float] = {}             # channels whose next request is HALT, and since when
        self._refusals = 0
        self._unknowable_until = {1: -math.inf, 2: -math.inf}   # a field that limits motion flickers until then
        self._misheard: float | None = None   # how the hub mishears the next move

    def _say(self, text: str) -> None:
        if self._trace is not None:
            self._trace(f'{self.now - self._begin:12.4f}  {text}')

    def play(self, event: Event) -> None:
        """Let an event happen."""
        self._say(f'* {event.what} (channel {event.channel}, {event.amount:.3f})')
        self.counts['commands' if event.what in COMMANDS else 'faults'] += 1
        self.counts[event.what] += 1
        getattr(self, '_do_' + event.what.replace(' ', '_'))(event.channel, event.amount)

    # Commands

    def _submit(self, command: Command, blocked: bool = True) -> None:
        """As the daemon does: commands that another one blocks do not come through to the core."""
        free = isinstance(command, (Stop, QueryHub))
        channels = {1, 2} if isinstance(command, (Connect, Disconnect)) else {getattr(command, 'channel', 0)}
        if blocked and not free and any(
                isinstance(caller.command, (Connect, Disconnect)) or getattr(caller.command, 'channel', 0) in channels
                for caller in self._open_callers if not isinstance(caller.command, Stop)):
            return
        if (isinstance(command, Stop) and self.port_open
                and self.snapshot(command.channel).status != FocuserStatus.Disabled):
            self._halt_first.setdefault(command.channel, self.now)
        caller = Caller(command, self.now)
        self.callers.append(caller)
        self._open_callers.append(caller)
        self.hand_over(caller)

    def limits(self, max_counts: int, overshoot: int) -> tuple[int, int]:
        """Lowest and highest step that may be commanded: the hub must stay within the limits on the way, too."""
        low, high = self.settings.soft_step_limits
        return max(low, 1 - max_counts // 2), min(high, max_counts // 2 - 1) - overshoot

    def overshoot(self, channel: int) -> int:
        """By how much the hub overshoots at present."""
        memory = self.hub.focusers[channel].memory
        return memory.backlash_steps if memory.backlash else 0

    def _do_move(self, channel: int, amount: float) -> None:
        if amount < 0.5 and self.snapshot(channel).error == UNHOMED:
            self._submit(Home(channel))   # as an observer does
        self._submit(MoveFocuser(channel, int((amount - 0.5) * 70000)))

    def _do_move_to_a_limit(self, channel: int, amount: float) -> None:
        low, high = self.limits(self.hub.focusers[channel].memory.max_pos, self.overshoot(channel))
        self._submit(MoveFocuser(channel, [low - 1, low, high, high + 1][int(amount * 4)]))

    def _do_end(self, channel: int, amount: float) -> None:
        """As at the end of the process: nothing blocks it. Another one begins after a while."""
        self._submit(Disconnect(), blocked=False)
        self.after(3 + amount * 5, lambda: self._submit(Connect()))

    def _do_offset(self, channel: int, amount: float) -> None:
        self._submit(MoveFocuser(channel, int((amount - 0.5) * 2000), offset=True))

    def _do_zero(self, channel: int, amount: float) -> None:
        self._submit(SetZero(channel))

    def _do_stop(self, channel: int, amount: float) -> None:
        self._submit(Stop(channel))

    def _do_init(self, channel: int, amount: float) -> None:
        self._submit(Connect())

    def _do_kill(self, channel: int, amount: float) -> None:
        self._submit(Disconnect())
        if amount < 0.8:   # nights without a connection teach little
            self.after(amount * 5, lambda: self._submit(Connect()))

    def _do_stop_during_a_move(self, channel: int, amount: float) -> None:
        self._do_move(channel, amount)
        self.after(amount * 3, lambda: self._submit(Stop(channel)))

    def _do_move_both(self, channel: int, amount: float) -> None:
        self._do_move(1, amount)
        self._do_move(2, 1 - amount)

    def _do_home(self, channel: int, amount: float) -> None:
        self._submit(Home(channel))

    def _do_stop_while_homing(self, channel: int, amount: float) -> None:
        self._submit(Home(channel))
        self.after(5 * amount ** 3, lambda: self._submit(Stop(channel)))

    def _do_configure(self, channel: int, amount: float) -> None:
        setting, value = change(amount)
        self._say(f'  {setting.key} = {value}')
        self._submit(Configure(channel, setting, value))
        if setting.restarts:
            self.after(30 + 60 * (1 - amount), lambda: self._restore_setup(channel))
        elif not self.settings.allow_hub_compensation:
            self.after(60, lambda: self._end_self_motion(channel))

    def _do_stop_while_configuring(self, channel: int, amount: float) -> None:
        self._do_configure(channel, amount)
        self.after(0.3 * (amount * 100 % 1), lambda: self._submit(Stop(channel)))

    def _do_configure_during_a_move(self, channel: int, amount: float) -> None:
        """One on either channel, and one that is blocked."""
        self._do_move(channel, 1 - amount)
        self.after(3 * (amount * 100 % 1), lambda: self._do_configure(3 - channel, amount))
        self.after(3 * (amount * 100 % 1), lambda: self._do_configure(channel, amount))

    def _do_query(self, channel: int, amount: float) -> None:
        self._submit(QueryHub())

    def _do_query_during_a_move(self, channel: int, amount: float) -> None:
        self._do_move_both(channel, amount)
        for n in range(5):
            self.after(n * amount, lambda: self._submit(QueryHub()))

    # Faults

    def _note_outage(self, seconds: float) -> None:
        """The link or the hub may fail for so long."""
        self._outage_until = max(self._outage_until, self.now + seconds)

    def _disturb(self, channel: int | None = None) -> None:
        for n in (1, 2) if channel is None else (channel,):
            self._disturbed_at[n] = self.now

    def _change_setting(self, name: str, value: str) -> None:
        """Another program changes a setting of a channel; the name is one such as `type.2`."""
        channel = int(name[-1])
        self._disturb(channel)
        self._settings_changed_at[channel] = self.now
        self.hub.set(name, value, self.now)

    @property
    def _spoilt(self) -> bool:
        """Whether the next exchanges are going to fail."""
        faults = self.faults
        return bool(faults.mute_next + faults.lose_requests + faults.garble + faults.cut + faults.garbage
                    or self._channel_is_dead)

    @property
    def _channel_is_dead(self) -> bool:
        return self.hub.variants.thirdlynx and 2 in self.site.channels

    def _restore_setup(self, channel: int) -> None:
        """An operator sets the channel up for its focuser again."""
        focuser = self.hub.focusers[channel]
        if focuser.memory.type != self._types[channel]:
            self._change_setting(f'type.{channel}', self._types[channel])
        self._end_self_motion(channel)

    def _end_self_motion(self, channel: int) -> None:
        """... and that the hub moves it by itself only where that is meant to be."""
        if not self.settings.allow_hub_compensation:
            for name in BY_ITSELF:
                if getattr(self.hub.focusers[channel].memory, name):
                    self._change_setting(f'{name}.{channel}', '0')

    def _do_mute(self, channel: int, amount: float) -> None:
        seconds = 40 * amount ** 3
        self._note_outage(seconds)
        self.faults.mute(self.now + seconds)

    def _do_lose_replies(self, channel: int, amount: float) -> None:
        self.faults.mute_next = 1 + int(amount * 5)

    def _do_lose_requests(self, channel: int, amount: float) -> None:
        self.faults.lose_requests = 1 + int(amount * 5)

    def _do_garble(self, channel: int, amount: float) -> None:
        self.faults.garble = 1 + int(amount * 5)

    def _do_cut(self, channel: int, amount: float) -> None:
        self.faults.cut = 1 + int(amount * 5)

    def _do_double(self, channel: int, amount: float) -> None:
        self.faults.double = 1 + int(amount * 5)

    def _do_noise(self, channel: int, amount: float) -> None:
        self.faults.garbage = 1 + int(amount * 5)

    def _do_delay(self, channel: int, amount: float) -> None:
        self.faults.settings.delay = 3 * amount
        self._note_outage(10 * amount)
        self.after(10 * amount, lambda: setattr(self.faults.settings, 'delay', DELAY_S))

    def _do_drip(self, channel: int, amount: float) -> None:
        self.faults.settings.drip = 0.05 * amount
        self._note_outage(10 * amount)
        self.after(10 * amount, lambda: setattr(self.faults.settings, 'drip', 0.0))

    def _do_unplug(self, channel: int, amount: float) -> None:
        self._note_outage(20 * amount)
        self.faults.unplug(replug_at=self.now + 20 * amount)

    def _do_power_cut(self, channel: int, amount: float) -> None:
        self._disturb()
        self._note_outage(15 * amount)
        self._settings_changed_at = {1: self.now, 2: self.now}   # compensation that a halt has ended is on again
        self.hub.power_off(self.now, 15 * amount)

    def _do_jam(self, channel: int, amount: float) -> None:
        self.hub.focusers[channel].jam()
        self.after(30 * amount, lambda: self.hub.unjam(channel, self.now))

    def _do_lose_steps(self, channel: int, amount: float) -> None:
        self.hub.focusers[channel].slip(int(amount * 50))

    def _do_hand(self, channel: int, amount: float) -> None:
        self._disturb(channel)
        focuser = self.hub.focusers[channel]
        if not focuser.in_homing_run and not focuser.restarting:
            self.hub.hand(channel, int((amount - 0.5) * 4000), self.now)

    def _do_halt_by_hand(self, channel: int, amount: float) -> None:
        self._disturb(channel)
        self._settings_changed_at[channel] = self.now   # it ends compensation as well
        self.hub.receive(b'<F%dHALT>' % channel, self.now, port=7)

    def _do_probe(self, channel: int, amount: float) -> None:
        self.hub.set(f'probe.{channel}', 'NP' if amount < 0.7 else '-@1.6', self.now)
        self.after(60 * amount, lambda: self.hub.set(f'probe.{channel}', self._probes[channel], self.now))

    def _do_weather(self, channel: int, amount: float) -> None:
        if self.site.hub.get('tcomp') == '1':   # which every halt has ended
            self._change_setting(f'tcomp.{channel}', '1')
        celsius = self.hub.focusers[channel].thermometer.celsius
        if celsius is not None:
            self.hub.temperature_ramp(channel, celsius + 3 * (amount - 0.5), 1 + 120 * (amount * 100 % 1), self.now)

    def _do_setting(self, channel: int, amount: float) -> None:
        name = BY_ITSELF[int(amount * 3)]
        self._change_setting(f'{name}.{channel}', '1')
        self.after(60 * amount, lambda: self._change_setting(f'{name}.{channel}', self.site.hub.get(name, '0')))

    def _do_range(self, channel: int, amount: float) -> None:
        focuser = self.hub.focusers[channel]
        if not focuser.running and not has_home_switch(focuser.memory.type):
            lowest = max(focuser.position, focuser.target, 60001 + int(60000 * amount))
            self._change_setting(f'max_pos.{channel}', str(lowest))

    def _do_weather_during_a_move(self, channel: int, amount: float) -> None:
        """And the hand controller stops it there, or corrects it."""
        self._do_weather(channel, amount)
        self._do_move(channel, amount * 100 % 1)
        if amount < 0.5:
            self.after(0.1 + 4 * amount, lambda: self._do_halt_by_hand(channel, amount))

    def _do_no_switch(self, channel: int, amount: float) -> None:
        self.hub.set(f'home_switch_missing.{channel}', '1', self.now)
        self.after(60 * amount, lambda: self.hub.set(f'home_switch_missing.{channel}', '0', self.now))

    def _do_start_late(self, channel: int, amount: float) -> None:
        self.hub.set(f'start_latency.{channel}', f'{3 * amount:.3f}', self.now)
        self.after(60, lambda: self.hub.set(f'start_latency.{channel}', '0', self.now))

    def _do_babble(self, channel: int, amount: float) -> None:
        self._note_outage(2)
        for n in range(20):
            self.after(0.1 * n, self._babble)

    def _babble(self) -> None:
        if self.port_open:
            self.simulated_link.say(b'$GPRMC,,,*00\r\n', self.now)

    def _do_dead_channel(self, channel: int, amount: float) -> None:
        if 2 in self.site.channels:
            self.hub.variants.thirdlynx = True
            self.after(60 * amount, lambda: setattr(self.hub.variants, 'thirdlynx', False))

    def _do_refuse(self, channel: int, amount: float) -> None:
        self._refusals = 1 + int(amount * 3)

    def _do_late_replies_to_a_move(self, channel: int, amount: float) -> None:
        self._note_outage(4)
        self._do_move(channel, amount)
        self.after(0.01 + 0.05 * amount, lambda: setattr(
            self.faults.settings, 'delay', self.settings.serial_timeout_s * (0.8 + 2 * amount)))
        self.after(3 * (1 - amount) + 0.5, lambda: setattr(self.faults.settings, 'delay', DELAY_S))

    def _do_double_requests(self, channel: int, amount: float) -> None:
        self.faults.double_requests = 1 + int(amount * 5)

    def _do_delay_requests(self, channel: int, amount: float) -> None:
        self.faults.settings.request_delay = 6 * (amount * 10 % 1) ** 2
        self.faults.delay_requests = 1 + int(amount * 2)
        self._note_outage(15)

    def _do_misheard_move(self, channel: int, amount: float) -> None:
        """The hub hears another target, or the other channel."""
        self._misheard = amount
        self._do_move(channel, amount * 10 % 1)
        self.after(20, self._end_mishearing)

    def _end_mishearing(self) -> None:
        self._misheard = None

    def _do_flicker(self, channel: int, amount: float) -> None:
        """A digit of a field is another one in each report."""
        field = FLICKERING[int(amount * len(FLICKERING))]
        seconds = 60 * (amount * 100 % 1)
        self.faults.unflicker()
        if field in LIMITING:
            self._note_outage(seconds)
            self._unknowable_until[channel] = self.now + seconds
        self._disturb(channel)
        self.faults.flicker(channel, field)
        self.after(seconds, self.faults.unflicker)

    def _do_stall(self, channel: int, amount: float) -> None:
        """Replies stall on their way, and come in order."""
        seconds = 5 + 15 * amount
        self._note_outage(seconds)
        self.faults.stall(self.now + seconds)

    def _do_old_connection(self, channel: int, amount: float) -> None:
        """Requests are held up just as a move goes out, and reach the hub when there is another connection."""
        seconds = 2 + 30 * amount
        self._note_outage(seconds + 1)
        self.faults.settings.deliver_after_close = True
        self._do_move(channel, amount * 10 % 1)
        self.after(0.06 * (amount * 100 % 1), lambda: self.faults.hold(self.now + seconds))
        self.after(seconds + 1, lambda: setattr(self.faults.settings, 'deliver_after_close', False))

    def _do_sleep(self, channel: int, amount: float) -> None:
        """The machine sleeps, and the hub goes on."""
        self._pause(1 + 40 * amount ** 3)
        self.core.machine_slept(self.now)

    def _do_pause(self, channel: int, amount: float) -> None:
        """The process is stopped, and the hub goes on."""
        self._pause(1 + 40 * amount ** 3)

    def _pause(self, seconds: float) -> None:
        for caller in self._open_callers:
            caller.at += seconds
        self._halt_first = {n: at + seconds for n, at in self._halt_first.items()}
        self._note_outage(seconds)
        self.now += seconds
        self._note_outage(0.0)
        self.hub.advance(self.now)
        self.faults.advance(self.now)

    def _do_late_reports(self, channel: int, amount: float) -> None:
        """IsMoving and Targ Pos follow late."""
        self._for_a_minute(channel, moving_latency=f'{1.5 * amount:.3f}', late_target='1')

    def _do_halt_is_too_late(self, channel: int, amount: float) -> None:
        """A motor begins late, and HALT does not cancel that."""
        self._for_a_minute(channel, start_latency=f'{2.3 * amount:.3f}', halt_cancels_start='0')

    def _for_a_minute(self, channel: int, **settings: str) -> None:
        for name, value in settings.items():
            self.hub.set(f'{name}.{channel}', value, self.now)
        self.after(60, lambda: self._restore_mechanics(channel))

    def _restore_mechanics(self, channel: int) -> None:
        for name, value in MECHANICS.items():
            self.hub.set(f'{name}.{channel}', value, self.now)

    def heal(self) -> None:
        """The last fault is over: from now on nothing moves without a command."""
        self.faults.clear()
        self.faults.settings.delay = DELAY_S
        self.hub.variants.thirdlynx = 2 not in self.site.channels
        self._refusals = 0
        self._misheard = None
        if not self.hub.powered:
            self.hub.power_on(self.now)
        for n in (1, 2):
            self.hub.set(f'probe.{n}', self._probes[n], self.now)
            self._restore_mechanics(n)
            self.hub.set(f'home_switch_missing.{n}', '0', self.now)
            self.hub.unjam(n, self.now)
            self._restore_setup(n)
            self._change_setting(f'tcomp.{n}', '0')
        self._say('the last fault is over')
