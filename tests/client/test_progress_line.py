# SPDX-License-Identifier: GPL-3.0-or-later
"""The live line of a move, on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from tests.client.screen import Screen
from warwick.observatory.focuslynx.client.progress_line import ProgressLine

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon


def moving(state: dict[str, Any], steps: int) -> dict[str, Any]:
    return dict(state, status_1=5, current_steps_1=steps, target_steps_1=1000)


def plain(text: str) -> str:
    return re.sub(r'\x1b\[\d*m', '', text)


def frames(text: str) -> list[str]:
    """Each drawing, without its colours."""
    assert re.fullmatch(r'(\r[^\r]*\x1b\[J\r)*', text)
    return re.findall(r'\r([^\r]*)\x1b\[J\r', plain(text))


def finish(terminal: pexpect.spawn[str]) -> tuple[int, str]:
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus, terminal.before


def test_the_line_follows_the_move_in_its_place_and_leaves_nothing(
    client: Client, daemon: Daemon, state: dict[str, Any]
) -> None:
    daemon.control.act('set_focus', 'hold')
    terminal = client.terminal('set', '1', '1000')
    seen = ''
    for steps in (0, 120, 740):
        daemon.control.answer('report_status', moving(state, steps))
        terminal.expect_exact(f'Channel 1 {steps:+7d}')
        seen += terminal.before + terminal.after
    daemon.control.release('set_focus', 0)
    status, rest = finish(terminal)
    assert (status, '\n' in seen + rest) == (0, False)
    drawn = frames(seen + rest)
    assert drawn[-1] == ''
    assert drawn[-2].startswith('Channel 1    +740 ━━━━━━━━━━━')
    assert re.search(r'━── *─+   \+1000 steps|━─+   \+1000 steps', drawn[-2])


def test_the_line_tells_speed_and_time_left(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    daemon.control.act('set_focus', 'hold')
    terminal = client.terminal('set', '1', '1000')
    for steps in range(0, 1000, 20):
        daemon.control.answer('report_status', moving(state, steps))
        if terminal.expect([r'\d steps/s +\d+ s left', re.escape(f'{steps:+d}')]) == 0:
            break
    else:
        raise AssertionError('no speed was shown')
    daemon.control.release('set_focus', 0)
    finish(terminal)


def watched(position: Callable[[float], float], rhythm_s: float, seconds: float) -> dict[float, tuple[int, int] | None]:
    """What a line shows of a motion to +10000 steps that the daemon polls in a rhythm, and the client ten times
    per second: speed and seconds left, by the time since the motion began."""
    stream, shown = StringIO(), {}
    line = ProgressLine(stream, 1, 0.0)
    for tenths in range(round(seconds * 10)):
        now = tenths / 10 + 0.03
        polled_at = max(0.0, (now - 0.7) // rhythm_s * rhythm_s)
        line.show({'status_1': 5, 'current_steps_1': int(position(polled_at)), 'target_steps_1': 10000}, False, now)
        found = re.search(r'(\d+)(?: steps)?/s +(?:(\d+) s|(\d+):(\d\d)) left', frames(stream.getvalue())[-1])
        shown[now - 0.7] = None if found is None else (
            int(found[1]), int(found[2]) if found[2] else 60 * int(found[3]) + int(found[4]))
    return shown


@pytest.mark.parametrize('speed', [35, 800, 3000])
@pytest.mark.parametrize('rhythm_s', [0.2, 0.5, 2.0])
def test_the_speed_and_the_time_left_are_those_of_the_motion(speed: int, rhythm_s: float) -> None:
    for at, told in watched(lambda t: min(t * speed, 10000), rhythm_s, min(10000 / speed, 20)).items():
        if at < 3 * rhythm_s + 1.5:
            continue
        assert told is not None
        assert told[0] == pytest.approx(speed, rel=0.06)
        left_s = (10000 - at * speed) / speed
        assert left_s * 0.94 - 1 <= told[1] <= left_s * 1.06 + rhythm_s + 1


def test_a_focuser_at_rest_has_neither_speed_nor_time_left() -> None:
    shown = watched(lambda t: min(t * 800, 4000), 0.5, 20)
    assert all(told is not None for at, told in shown.items() if 3 < at < 5)
    assert all(told is not None and told[0] < 700 for at, told in shown.items() if 8 < at < 10)
    assert all(told is None for at, told in shown.items() if at > 14)


@pytest.mark.parametrize('homing, stopping, end', [
    (False, False, r'\+1000 steps +not moving'), (False, True, r'\+1000 steps +stopping'),
    (True, False, r'homing, \d+ s, not moving'), (True, True, 'stopping')])
def test_a_motor_that_makes_no_progress_is_not_moving(homing: bool, stopping: bool, end: str) -> None:
    stream = StringIO()
    line = ProgressLine(stream, 1, 0.0, homing)
    for tenths in range(40):   # it runs, and is jammed after 2 s
        state = {'status_1': 5, 'current_steps_1': min(tenths, 20) * 10, 'target_steps_1': 1000}
        line.show(dict(state, stalled_1=False), stopping, tenths / 10)
    assert 'not moving' not in stream.getvalue()
    line.show(dict(state, stalled_1=True), stopping, 4.0)
    assert re.fullmatch(rf'Channel 1 +\+200 .*{end}', frames(stream.getvalue())[-1])
    assert 'steps/s' not in frames(stream.getvalue())[-1]


def test_homing_shows_the_counter_and_how_long_it_takes_and_no_bar(
    client: Client, daemon: Daemon, state: dict[str, Any]
) -> None:
    daemon.control.act('home', 'hold')
    terminal = client.terminal('home', '1')
    seen = ''
    for steps in (300, 56000, 120):   # the counter is set to the end of the range, and runs down
        daemon.control.answer('report_status', moving(state, steps))
        terminal.expect_exact(f'Channel 1 {steps:+7d} steps   homing, ')
        seen += terminal.before + terminal.after
    terminal.sendintr()
    status, rest = finish(terminal)
    rest, told = rest.replace('^C', '').rsplit('\x1b[J\r', 1)
    drawn = frames(seen + rest + '\x1b[J\r')
    assert told == 'Channel 1 stopped at +120 steps\r\n'
    assert status == 0
    assert all(re.fullmatch(r'(Channel 1 +[+-]\d+ steps   (homing, \d+ s|stopping))?', frame) for frame in drawn)
    assert '━' not in seen and '+1000' not in seen


@pytest.mark.parametrize('columns', [60, 40, 30, 12])
def test_the_line_fits_a_narrow_terminal(
    client: Client, daemon: Daemon, state: dict[str, Any], columns: int
) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.answer('report_status', moving(state, 120))
    terminal = client.terminal('set', '1', '1000', columns=columns)
    assert daemon.control.wait_for_call('report_status', 3)
    daemon.control.release('set_focus', 0)
    _, text = finish(terminal)
    drawn = frames(text)
    assert 0 < max(map(len, drawn)) < columns
    assert columns < 60 or '━' in drawn[0] or '─' in drawn[0]


def test_a_locale_without_unicode_gets_a_bar_of_ascii(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.answer('report_status', moving(state, 0))
    terminal = client.terminal('set', '1', '1000', environment={'PYTHONIOENCODING': 'ascii'})
    terminal.expect_exact('------')
    daemon.control.release('set_focus', 0)
    finish(terminal)


def bar(text: str) -> int:
    """The length of the bar."""
    return text.count('━') + text.count('─')


def test_a_window_made_narrower_in_mid_move_leaves_no_remains(
    client: Client, daemon: Daemon, state: dict[str, Any], tmp_path: Any
) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.answer('report_status', moving(state, 0))
    screen = Screen(tmp_path / 'tmux', client.environment, columns=100)
    try:
        screen.start(client.command('set', '1', '1000'))
        wide = bar(screen.wait(lambda text: '+1000 steps' in text))
        screen.resize(60, 24)
        daemon.control.answer('report_status', moving(state, 500))
        text = screen.wait(lambda text: '+500 ━' in text and bar(text) < wide)
        assert text.count('Channel 1') == text.count('+1000') == 1
        assert len(text.rstrip().splitlines()[-1]) < 60
        screen.resize(120, 24)
        daemon.control.answer('report_status', moving(state, 750))
        text = screen.wait(lambda text: '+750 ━' in text and bar(text) > wide)
        assert text.count('Channel 1') == text.count('+1000 steps') == 1
        daemon.control.release('set_focus', 0)
        text = screen.wait(lambda text: text.rstrip().endswith('ready>'))
        assert 'Channel 1' not in text
    finally:
        screen.close()


def test_the_message_of_a_failed_move_has_its_own_line(
    client: Client, daemon: Daemon, state: dict[str, Any]
) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.answer('report_status', moving(state, 0))
    terminal = client.terminal('set', '1', '1000')
    terminal.expect_exact('Channel 1')
    daemon.control.release('set_focus', 4)
    status, text = finish(terminal)
    assert status == 4
    assert text.endswith('\r\x1b[J\rerror: invalid channel\r\n')


def test_ctrl_c_stops_the_channel_and_says_where(
    client: Client, daemon: Daemon, state: dict[str, Any]
) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.answer('report_status', moving(state, 300))
    daemon.control.act('stop_channel', 'hold')
    terminal = client.terminal('offset', '1', '1000')
    terminal.expect_exact('Channel 1')
    terminal.sendintr()
    terminal.expect_exact('stopping')
    daemon.control.answer('report_status', dict(state, current_steps_1=312))
    daemon.control.release('stop_channel', 0)
    status, text = finish(terminal)
    assert status == 0
    assert text.endswith('\x1b[J\rChannel 1 stopped at +312 steps\r\n')


def test_where_it_stopped_is_on_standard_error(
    client: Client, daemon: Daemon, state: dict[str, Any], tmp_path: Any
) -> None:
    daemon.control.act('set_focus', 'hold')
    output = tmp_path / 'output'
    python, script = client.command()
    line = f'exec "{python}" "{script}" set 1 1000 >"{output}"'
    terminal = pexpect.spawn('/bin/sh', ['-c', line], env=client.environment, encoding='utf-8', timeout=20)
    assert daemon.control.wait_for_call('set_focus', 1)
    terminal.sendintr()
    _, text = finish(terminal)
    assert 'Channel 1 stopped at +500 steps' in text
    assert output.read_text() == ''


def test_a_stop_that_leaves_no_position_says_so(client: Client, daemon: Daemon, state: dict[str, Any]) -> None:
    daemon.control.act('set_focus', 'hold')
    terminal = client.terminal('set', '1', '1000')
    assert daemon.control.wait_for_call('set_focus', 1)
    daemon.control.answer('report_status', dict(state, status_1=2, error_1='the hub is silent'))
    terminal.sendintr()
    assert finish(terminal)[1].endswith('\x1b[J\rChannel 1: ERROR (the hub is silent)\r\n')


@pytest.mark.parametrize('script, line', [
    (('raise', 'ValueError'), ''), (('return', None), ''), (('return', {}), 'Channel 1: UNKNOWN')], ids=str)
def test_a_progress_that_cannot_be_had_does_not_disturb_the_move(
    client: Client, daemon: Daemon, script: tuple[str, Any], line: str
) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.act('report_status', *script)
    terminal = client.terminal('set', '1', '1000')
    assert daemon.control.wait_for_call('report_status', 3)
    daemon.control.release('set_focus', 0)
    status, text = finish(terminal)
    assert (status, set(frames(text)) - {''}) == (0, {line} - {''})


@pytest.mark.parametrize('environment', [{'NO_COLOR': '1'}, {'TERM': 'dumb'}], ids=str)
def test_a_terminal_that_wants_no_colour_gets_no_progress_either(
    client: Client, daemon: Daemon, environment: dict[str, str]
) -> None:
    daemon.control.act('set_focus', 'hold')
    terminal = client.terminal('set', '1', '1000', environment=environment)
    assert daemon.control.wait_for_call('set_focus', 1)
    daemon.control.release('set_focus', 0)
    assert finish(terminal) == (0, '')


def test_a_move_in_the_background_does_not_write_into_what_is_typed(
    client: Client, daemon: Daemon, state: dict[str, Any], tmp_path: Any
) -> None:
    daemon.control.act('set_focus', 'hold')
    daemon.control.answer('report_status', moving(state, 300))
    screen = Screen(tmp_path / 'tmux', client.environment)
    try:
        screen.type(' '.join(client.command('set', '1', '1000')) + ' & clear', 'Enter')
        assert daemon.control.wait_for_call('report_status', 3)
        assert 'Channel' not in screen.text()
        screen.type('fg', 'Enter')
        screen.wait(lambda text: '+300' in text)
        daemon.control.release('set_focus', 0)
        screen.wait(lambda text: 'Channel' not in text)
    finally:
        screen.close()


def test_a_terminal_that_goes_away_does_not_end_the_move(
    client: Client, daemon: Daemon, state: dict[str, Any], client_at: Callable[..., Client]
) -> None:
    class Gone(StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, 'Input/output error')

    line = ProgressLine(Gone(), 1, 0.0)
    line.show(state, False, 0.1)
    line.clear()
