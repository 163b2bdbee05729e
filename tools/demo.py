# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive two simulated focusers from the shell, and check that each step does what it should: `make demo`.

Runs the daemon of test.json, and `focus` as a person would; each command is printed before it runs. Exits with 0
only if every exit code and position was right, and ends all that it started, whichever way it ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from warwick.observatory.common import daemons

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'test.json'

# Exit codes of focus, and the status of a channel at rest
SUCCEEDED, FAILED, NO_ANSWER = 0, 1, 155
IDLE = 4

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

START_S = 15.0
COMMAND_S = 20.0


class DemoError(Exception):
    """Something was not as it should be; the text says what."""


class Demo:
    """The processes of one demonstration. `close` ends those that are left."""

    def __init__(self) -> None:
        self._environment = {**os.environ, 'FOCUSD_CONFIG_PATH': str(CONFIG), 'PYTHONUNBUFFERED': '1'}
        self._processes: list[subprocess.Popen[Any]] = []
        self._log = tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace')  # noqa: SIM115
        self._daemon: subprocess.Popen[Any] | None = None
        self._starting = False
        self._interrupted = 0

    def _start(self, script: str, *args: str, output: Any) -> subprocess.Popen[Any]:
        # A session of its own: Ctrl-C reaches this program alone, which then ends the others in order. A signal that
        # comes before the process is noted has to wait, or it would never be ended.
        self._starting = True
        process = subprocess.Popen(
            [sys.executable, str(ROOT / script), *args], cwd=ROOT, env=self._environment, text=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )
        self._processes.append(process)
        self._starting = False
        if self._interrupted:
            sys.exit(128 + self._interrupted)
        return process

    def interrupt(self, number: int, _frame: object) -> None:
        """A signal wants the end."""
        self._interrupted = number
        if not self._starting:
            sys.exit(128 + number)

    def start_daemon(self) -> None:
        """Start focusd and wait until it answers."""
        entry = getattr(daemons, json.loads(CONFIG.read_text(encoding='utf-8'))['daemon'])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((entry.host, entry.port))
            except OSError as error:
                raise DemoError(
                    f'{entry.host}:{entry.port} cannot be used ({error.strerror}): '
                    'end the focusd or other program that has it'
                ) from None
        print('$ ./focusd test.json &', flush=True)
        self._daemon = self._start('focusd', CONFIG.name, output=self._log)
        deadline = time.monotonic() + START_S
        while self._quiet('status')[0] == NO_ANSWER:
            if self._daemon.poll() is not None:
                raise DemoError(f'focusd ended with exit code {self._daemon.returncode}')
            if time.monotonic() > deadline:
                raise DemoError(f'focusd did not answer within {START_S:.0f} s')
            time.sleep(0.1)

    def focus(self, *args: str) -> str:
        """Show and run one `focus` command, and what it prints; it must succeed."""
        print(f'$ focus {" ".join(args)}', flush=True)
        process = self._start('focus', *args, output=subprocess.PIPE)
        output = self._wait(process)
        print(output, end='', flush=True)
        self._check(process, SUCCEEDED)
        return output

    def begin(self, *args: str) -> subprocess.Popen[Any]:
        """Show and start a `focus` command that goes on in the background."""
        print(f'$ focus {" ".join(args)} &', flush=True)
        return self._start('focus', *args, output=subprocess.PIPE)

    def end(self, process: subprocess.Popen[Any], expect: int = SUCCEEDED) -> None:
        """Wait for a `focus` command from the background, say how it ended, and check its exit code."""
        message = self._wait(process).partition('\n')[0]  # more lines say where it is, which is seen anyway
        print(f'[{self._command(process)}: exit code {process.returncode}{message and ", "}{message}]', flush=True)
        self._check(process, expect)

    def _check(self, process: subprocess.Popen[Any], expect: int) -> None:
        if process.returncode != expect:
            self._wrong(process, f'exit code {process.returncode}, not {expect}')

    def steps(self, channel: int) -> int:
        """The position of an idle channel, from `focus json`."""
        code, output = self._quiet('json')
        try:
            status = json.loads(output)
            state, steps = status[f'status_{channel}'], status[f'current_steps_{channel}']
        except (ValueError, KeyError, TypeError):
            raise DemoError(f'focus json: exit code {code}, {output.strip()!r}') from None
        if state != IDLE or not isinstance(steps, int):
            raise DemoError(f'channel {channel} should be idle, and is {status[f"status_label_{channel}"]} at {steps}')
        return steps

    def _quiet(self, *args: str) -> tuple[int, str]:
        process = self._start('focus', *args, output=subprocess.PIPE)
        output = self._wait(process)
        return process.returncode, output

    def _wait(self, process: subprocess.Popen[Any]) -> str:
        try:
            output: str = process.communicate(timeout=COMMAND_S)[0]
        except subprocess.TimeoutExpired:
            self._wrong(process, f'no end within {COMMAND_S:.0f} s')
        self._processes.remove(process)
        return output

    def _command(self, process: subprocess.Popen[Any]) -> str:
        assert isinstance(process.args, list)
        script, *args = process.args[1:]
        return ' '.join([Path(script).name, *args])

    def _wrong(self, process: subprocess.Popen[Any], what: str) -> NoReturn:
        raise DemoError(f'{self._command(process)}: {what}')

    def close(self, failed: bool) -> None:
        """End every process that is left, the daemon last; after a failure show what the daemon said."""
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self._daemon is not None and failed:
            self._log.seek(0)
            print('focusd said:', *self._log.read().splitlines(), sep='\n  ', flush=True)
        self._log.close()

    def stop_daemon(self) -> None:
        """End focusd as systemd would, and check that it ends well."""
        assert self._daemon is not None
        print('$ kill %1', flush=True)
        self._daemon.terminate()
        self._wait(self._daemon)
        self._check(self._daemon, SUCCEEDED)


def require(condition: bool, what: str) -> None:
    if not condition:
        raise DemoError(what)


def play(demo: Demo) -> None:
    """The scene: connect, move both, stop one on its way, call that place zero."""
    demo.start_daemon()
    demo.focus('init')
    demo.focus('status')
    first, second = demo.steps(1) + 2000, demo.steps(2) - 8000

    one = demo.begin('set', '1', str(first))
    two = demo.begin('set', '2', str(second))
    seen = []
    for _ in range(4):
        time.sleep(0.5)
        seen.append(demo.focus('status'))
    demo.end(one)
    require(any(text.count('moving to') == 2 for text in seen), 'the channels did not move at the same time')
    require(demo.steps(1) == first, f'channel 1 should be at {first:+d} steps, and is at {demo.steps(1):+d}')

    demo.focus('stop', '2')
    demo.end(two, expect=FAILED)
    stopped = demo.steps(2)
    on_its_way = second < stopped < second + 8000
    require(on_its_way, f'channel 2 should have stopped on its way to {second:+d}, and is at {stopped:+d}')

    demo.focus('zero', '2')
    demo.focus('status')
    require(demo.steps(2) == 0, f'channel 2 should be at 0 steps after zero, and is at {demo.steps(2):+d}')
    require(demo.steps(1) == first, f'channel 1 should still be at {first:+d} steps, and is at {demo.steps(1):+d}')
    demo.focus('kill')
    demo.stop_daemon()


def main() -> int:
    demo = Demo()
    failed = False
    for number in ENDING_SIGNALS:
        signal.signal(number, demo.interrupt)
    try:
        play(demo)
    except DemoError as error:
        failed = True
        print(f'demo: error: {error}', file=sys.stderr)
    finally:
        demo.close(failed)
    if not failed:
        print('demo: all went as it should')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
