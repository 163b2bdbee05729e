# SPDX-License-Identifier: GPL-3.0-or-later
"""`focus watch`, on a real terminal and elsewhere."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from tests.client.screen import Screen

if TYPE_CHECKING:
    from tests.client.conftest import Client, Daemon

ENTER, LEAVE = '\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l'
ANSWER = {
    'status_1': 5, 'current_steps_1': 120, 'target_steps_1': 4000, 'temperature_1': 21.74, 'min_steps_1': -5000,
    'max_steps_1': 5000, 'nickname_1': 'east', 'error_1': None,
    'status_2': 2, 'error_2': 'temperature compensation is on (TComp ON = 1)',
}


@pytest.fixture
def answering(daemon: Daemon, state: dict[str, Any]) -> dict[str, Any]:
    """What the daemon answers: one channel moves, the other is in error."""
    answer = {**state, **ANSWER}
    daemon.control.answer('report_status', answer)
    return answer


@pytest.fixture
def show(client: Client, tmp_path: Path) -> Iterator[Callable[..., Screen]]:
    """Start `focus watch` on a terminal of a size."""
    screens = []

    def start(columns: int = 80, rows: int = 24, **environment: str) -> Screen:
        screens.append(Screen(tmp_path / 'tmux', {**client.environment, **environment}, columns, rows))
        screens[-1].start(client.command('watch'))
        return screens[-1]

    yield start
    for screen in screens:
        screen.close()


def is_complete(text: str) -> bool:
    return 'Channel 1  MOVING' in text and 'TComp ON = 1' in text


def test_the_screen_shows_all_of_both_channels(answering: dict[str, Any], show: Callable[..., Screen]) -> None:
    screen = show()
    lines = screen.wait(is_complete).splitlines()
    assert re.fullmatch(r'focusd@test  127\.0\.0\.1:\d+ +data \d s old   \d\d:\d\d:\d\d UTC', lines[0])
    assert lines[2].split() == ['Channel', '1', 'MOVING', '+120', 'steps', '→', '+4000', '21.7°C', 'east']
    assert re.fullmatch(r'  -5000 ─+┼●━+◇─+ \+5000', lines[3])
    assert len(lines[3]) == 80
    assert any('position, 1 min' in line and 'temperature, 1 min' in line for line in lines)
    assert 'Channel 2  ERROR' in lines
    assert '  temperature compensation is on: TComp ON = 1' in lines
    assert screen.colours()
    assert not screen.shows_cursor()


@pytest.mark.parametrize('news, word', [({'compensating_1': True, 'homed_1': True}, 'compensating'),
                                        ({'compensating_1': False, 'homed_1': True}, 'homed')])
def test_the_screen_says_compensating_or_homed_if_there_is_room(
    daemon: Daemon, answering: dict[str, Any], show: Callable[..., Screen], news: dict[str, Any], word: str
) -> None:
    daemon.control.answer('report_status', {**answering, **news})
    screen = show(columns=90)
    assert f'°C  {word} ' in screen.wait(is_complete)
    screen.resize(60, 24)
    screen.wait(lambda text: is_complete(text) and word not in text and '°C' in text)


def test_the_screen_says_not_moving_at_any_width(
    daemon: Daemon, answering: dict[str, Any], show: Callable[..., Screen]
) -> None:
    daemon.control.answer('report_status', {**answering, 'stalled_1': True})
    screen = show(columns=60)
    text = screen.wait(lambda text: 'Channel 1  not moving' in text and '→ +4000' in text)
    assert 'MOVING' not in text


def test_the_charts_draw_what_has_happened(
    daemon: Daemon, answering: dict[str, Any], show: Callable[..., Screen]
) -> None:
    screen = show()
    screen.wait(is_complete)
    daemon.control.answer('report_status', dict(answering, current_steps_1=3120, temperature_1=23.74))
    text = screen.wait(lambda text: '+3120 │' in text and '23.7 │' in text)
    labels = re.findall(r'([-+.\d]+) │', text)
    assert labels[:4] == ['+3120', '23.7', '+120', '21.7']
    assert len(re.findall('[\u2801-\u28ff]', text)) > 6


@pytest.mark.parametrize('columns, rows', [(60, 24), (200, 60), (40, 12), (25, 5), (10, 3), (5, 1)])
def test_the_screen_fits_a_terminal_of_any_size(
    answering: dict[str, Any], show: Callable[..., Screen], columns: int, rows: int
) -> None:
    screen = show()
    screen.wait(is_complete)
    screen.resize(columns, rows)
    text = screen.wait(lambda text: len(text.splitlines()) == rows and text.startswith('focus'))
    if rows >= 5:
        text = screen.wait(lambda text: 'Channel 1' in text and 'Channel 2' in text)
    if columns == 60:
        assert 'position, 1 min' in text and 'temperature, 1 min' in text and '+5000' in text
    screen.resize(80, 24)
    lines = screen.wait(is_complete).splitlines()
    assert lines[0].endswith('UTC')
    assert [line.split()[1] for line in lines if line.startswith('Channel')] == ['1', '2']


def test_no_color_leaves_the_screen_without_colour(answering: dict[str, Any], show: Callable[..., Screen]) -> None:
    screen = show(NO_COLOR='1')
    screen.wait(is_complete)
    assert not screen.colours()


def test_a_locale_without_unicode_gets_ascii(answering: dict[str, Any], show: Callable[..., Screen]) -> None:
    screen = show(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    text = screen.wait(is_complete)
    assert text.isascii()
    assert '?' not in text
    assert re.search(r'-5000 -+\|O=+x-+ \+5000', text)
    assert '*' in text


def test_a_restart_of_the_daemon_is_survived(
    answering: dict[str, Any], daemon: Daemon, show: Callable[..., Screen]
) -> None:
    screen = show()
    screen.wait(is_complete)
    daemon.restart()
    daemon.control.answer('report_status', dict(answering, nickname_1='reborn'))
    screen.wait(lambda text: is_complete(text) and 'reborn' in text)


def test_a_daemon_that_falls_silent_leaves_no_old_data_on_the_screen(
    answering: dict[str, Any], daemon: Daemon, show: Callable[..., Screen]
) -> None:
    screen = show(columns=60)
    screen.wait(is_complete)
    daemon.freeze()
    text = screen.wait(lambda text: text.startswith(f'no answer from focusd at 127.0.0.1:{daemon.port} for '))
    assert 'is focusd@test running?' in text
    assert 'MOVING' not in text and 'TComp' not in text and '+120 steps' not in text
    daemon.thaw()
    screen.wait(is_complete)


def test_watch_waits_for_a_daemon_that_is_not_there_yet(client_at: Callable[..., Client], tmp_path: Path) -> None:
    client = client_at(1)
    screen = Screen(tmp_path / 'tmux', client.environment)
    try:
        screen.start(client.command('watch'))
        screen.wait(lambda text: 'no answer from focusd at 127.0.0.1:1' in text and 'Channel 2  NO ANSWER' in text)
    finally:
        screen.close()


def test_data_that_are_old_have_their_age(
    answering: dict[str, Any], daemon: Daemon, show: Callable[..., Screen]
) -> None:
    daemon.control.answer('report_status', dict(answering, date='2026-11-01T00:00:00Z'))
    show().wait(lambda text: re.search(r'data \d+ d old', text) is not None)


def test_a_clock_that_differs_matters_only_until_the_next_report(
    answering: dict[str, Any], daemon: Daemon, show: Callable[..., Screen]
) -> None:
    daemon.control.answer('report_status', dict(answering, date='2026-11-01T00:00:00Z'))
    screen = show()
    screen.wait(lambda text: re.search(r'data \d+ d old', text) is not None)
    daemon.control.answer('report_status', dict(answering, date='2026-11-01T00:00:05Z'))
    screen.wait(lambda text: re.search(r'data \d s old', text) is not None)


@pytest.mark.parametrize('keys', ['C-c', 'q'])
def test_ctrl_c_and_q_give_the_terminal_back(
    answering: dict[str, Any], show: Callable[..., Screen], keys: str
) -> None:
    screen = show()
    screen.wait(is_complete)
    screen.type(keys)
    text = screen.wait(lambda text: text.rstrip().endswith('ready>'))
    assert 'Channel' not in text
    assert screen.shows_cursor()
    screen.type('echo code $?; stty -a', 'Enter')
    assert ' echo ' in screen.wait(lambda text: 'code 0' in text and ' icanon ' in text)


def test_watch_can_be_suspended_and_resumed(answering: dict[str, Any], show: Callable[..., Screen]) -> None:
    screen = show()
    screen.wait(is_complete)
    screen.type('C-z')
    text = screen.wait(lambda text: text.rstrip().endswith('ready>'))
    assert 'Stopped' in text
    assert screen.shows_cursor()
    screen.type('fg', 'Enter')
    screen.wait(is_complete)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_ends_it_gives_the_terminal_back_first(
    client: Client, answering: dict[str, Any], number: int
) -> None:
    terminal = client.terminal('watch')
    terminal.expect_exact(ENTER)
    terminal.expect_exact('MOVING')
    terminal.kill(number)
    terminal.expect_exact(LEAVE)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.signalstatus == number


def test_a_terminal_that_goes_away_ends_it(client: Client, answering: dict[str, Any]) -> None:
    terminal = client.terminal('watch')
    terminal.expect_exact('MOVING')
    os.close(terminal.fileno())
    terminal.child_fd = -1
    terminal.closed = True
    _, status = os.waitpid(terminal.pid, 0)
    assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGHUP


def test_what_the_hub_calls_itself_can_do_nothing_to_the_terminal(
    client: Client, answering: dict[str, Any], daemon: Daemon
) -> None:
    daemon.control.answer('report_status', dict(answering, nickname_1='a\x1b[31mb\n', error_2='c\x1b[2Jd'))
    terminal = client.terminal('watch')
    terminal.expect_exact('c?[2Jd')
    assert '\x1b[31m' not in terminal.before
    terminal.sendintr()
    terminal.expect(pexpect.EOF)


def test_in_a_pipe_it_prints_a_line_for_each_change(
    client: Client, answering: dict[str, Any], daemon: Daemon
) -> None:
    watching = client.start('watch')
    assert watching.stdout is not None
    stamp = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d '
    assert re.fullmatch(stamp + r'Channel 1:    \+120 steps \(moving to   \+4000 steps\), 21\.7°C\n',
                        watching.stdout.readline())
    assert re.fullmatch(stamp + r'Channel 2: ERROR \(temperature compensation is on: TComp ON = 1\)\n',
                        watching.stdout.readline())
    daemon.control.answer('report_status', dict(answering, status_1=4, current_steps_1=4000))
    assert re.fullmatch(stamp + r'Channel 1:   \+4000 steps, 21\.7°C\n', watching.stdout.readline())
    daemon.freeze()
    assert re.fullmatch(stamp + rf'no answer from focusd at 127\.0\.0\.1:{daemon.port} \(is focusd@test running\?\)\n',
                        watching.stdout.readline())
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=20) == ('', '')
    assert watching.returncode == 0


def test_on_a_dumb_terminal_it_prints_lines_too(client: Client, answering: dict[str, Any]) -> None:
    terminal = client.terminal('watch', environment={'TERM': 'dumb'})
    terminal.expect_exact('Channel 2: ERROR')
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, '\x1b' in terminal.before) == (0, False)


def test_a_reader_that_has_seen_enough_ends_it(client: Client, answering: dict[str, Any], daemon: Daemon) -> None:
    watching = client.start('watch')
    assert watching.stdout is not None and watching.stderr is not None
    watching.stdout.readline()
    watching.stdout.close()
    daemon.control.answer('report_status', dict(answering, current_steps_1=5))
    assert watching.wait(timeout=30) == 0
    assert watching.stderr.read() == ''
    watching.stderr.close()
