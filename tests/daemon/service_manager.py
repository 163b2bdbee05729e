# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd of the test's own, which runs focusd@.service: a user manager and a journal in private namespaces.

Started by root it can do all that the unit requires, sandbox and runtime user included, and runs the file as it is.
The one thing that its drop-in replaces is ExecStart: what is under test is not installed in /usr/bin, nor is its
configuration in /etc. Started by anybody else it lacks the privileges for some settings; PRIVILEGED lists them, and
the drop-in takes them back.
"""

from __future__ import annotations

import grp
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from functools import partial
from pathlib import Path
from typing import Any

import Pyro4
import pytest

from tests.daemon.harness import SETTINGS, TOP
from tests.ports import free_port
from tests.simulator import harness

UNIT = TOP / 'focusd@.service'
EXEC_START = 'ExecStart=/usr/bin/focusd /etc/focusd/%i.json\n'
SYSTEMD = '/lib/systemd/systemd'
PATIENCE_S = 90.0
"""A hang takes twice WatchdogSec until it is ended for good, and RestartSec until the next start."""

eventually = partial(harness.eventually, limit_s=PATIENCE_S, every_s=0.1)

# A user has no other user to change to, and is in no group but those that he has brought along.
PRIVILEGED = {'DynamicUser': 'no', 'SupplementaryGroups': ''}

# The sitecustomize of the daemon. A file with the name of a trap makes the thread that comes along there hang.
SHIM = '''
import os
import sys
import threading

from warwick.observatory.focuslynx.core.hub import Hub
from warwick.observatory.focuslynx.daemon import serial_port
from warwick.observatory.focuslynx.daemon.pyro_connection import Connection


def lay(trap, owner, name):
    original = getattr(owner, name)

    def call(*args):
        if os.path.exists(sys.argv[-1].replace('.json', '.' + trap)):
            print('trapped: ' + trap, file=sys.stderr, flush=True)
            threading.Event().wait()
        return original(*args)
    setattr(owner, name, call)


lay('hub', Hub, 'advance')
lay('opener', serial_port, 'open_port')
lay('server', Connection, '__init__')
'''

# Runs as process 1 of its namespaces. $1 is the directory of the test, $2 that of the interpreter, $3 the clone, $4 the
# installed packages. Process 1 of a machine makes the nodes in /run/systemd/inaccessible, with which ProtectHome and
# others cover what they hide. The cgroups of the test are below one of its own, and are removed at the end.
INIT = r'''
set -eu
umask 022
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/manager /run/systemd/system /run/systemd/inaccessible/dir /run/systemd/journald.conf.d /run/log/journal
cd /run/systemd/inaccessible
touch reg
mkfifo fifo
mknod chr c 0 0 2>/dev/null || true
mknod blk b 0 0 2>/dev/null || true
mkdir -p /run/focusd/python /run/focusd/clone /run/focusd/packages /run/focusd/etc
mount -o remount,rw /sys/fs/cgroup 2>/dev/null || true
mount --bind "$1/etc" /run/focusd/etc
mount --bind "$2" /run/focusd/python
mount --bind "$3" /run/focusd/clone
mount --bind "$4" /run/focusd/packages
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if [ -w "$hierarchy/cgroup.procs" ] && mkdir "$hierarchy/$5" 2>/dev/null; then
        echo $$ 2>/dev/null >"$hierarchy/$5/cgroup.procs" || rmdir "$hierarchy/$5"
    fi
done
printf '[Journal]\nAudit=no\nReadKMsg=no\nStorage=volatile\nRateLimitBurst=0\nForwardToSyslog=no\nForwardToWall=no\n' \
    >/run/systemd/journald.conf.d/test.conf
/lib/systemd/systemd-journald &
while [ ! -S /run/systemd/journal/stdout ]; do sleep 0.02; done
umask 0
/lib/systemd/systemd --user --unit=basic.target &
manager=$!
read -r end || true
XDG_RUNTIME_DIR=/run/manager systemctl --user exit || true
wait $manager || true
'''


class ServiceManager:
    """systemd --user in mount and process namespaces of its own, with focusd@.service among its units."""

    def __init__(self, directory: Path) -> None:
        self.privileged = os.geteuid() == 0
        self._configurations = directory / 'etc'
        self._configurations.mkdir(mode=0o755)
        (self._configurations / 'sitecustomize.py').write_text(SHIM)
        unshare = ['unshare', *([] if self.privileged else ['--map-root-user']), '--mount', '--pid', '--mount-proc',
                   '--fork', '--kill-child']
        self._require(unshare)
        self._enter: list[str] = []
        units = directory / 'config' / 'systemd' / 'user'
        (units / 'focusd@.service.d').mkdir(parents=True)
        shutil.copy(UNIT, units)
        (units / 'focusd@.service.d' / 'test.conf').write_text(self._drop_in())
        self._cgroup = f'focusd-test-{os.getpid()}'
        self._errors = open(directory / 'manager.log', 'w+')  # noqa: SIM115
        self._process = subprocess.Popen(
            [*unshare, 'sh', '-c', INIT, 'init', str(directory), sys.base_prefix, str(TOP),
             str(Path(Pyro4.__file__).parents[1]), self._cgroup],
            stdin=subprocess.PIPE, stdout=self._errors, stderr=self._errors, text=True,
            env={'PATH': os.environ['PATH'], 'HOME': str(directory), 'XDG_CONFIG_HOME': str(directory / 'config'),
                 'XDG_RUNTIME_DIR': '/run/manager', 'OBSERVATORY_SITE': '/run/focusd/etc/site',
                 'PYTHONPATH': '/run/focusd/etc:/run/focusd/clone:/run/focusd/clone/common:/run/focusd/packages',
                 'PYTHONDONTWRITEBYTECODE': '1'})
        try:
            eventually(self._is_running)
        except AssertionError:
            self.close()
            raise

    def _require(self, unshare: list[str]) -> None:
        """Skip the test where there is no systemd, or no leave to make namespaces."""
        for program in (SYSTEMD, '/usr/bin/systemctl', '/usr/bin/nsenter', '/usr/bin/unshare'):
            if not os.path.exists(program):
                pytest.skip(f'{program} is not installed')
        tried = subprocess.run([*unshare, 'true'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if tried.returncode:
            pytest.skip(f'namespaces are not to be had here: {tried.stderr.strip()}')
        if not self.privileged and not _may_make_cgroups():
            pytest.skip('no cgroup of our own: run it as root, or by systemd-run --user --scope -p Delegate=yes')

    def _drop_in(self) -> str:
        assert EXEC_START in UNIT.read_text()
        python = '/run/focusd/python/bin/' + os.path.basename(os.path.realpath(sys.executable))
        lines = ['[Service]', 'ExecStart=', f'ExecStart={python} /run/focusd/clone/focusd /run/focusd/etc/%i.json']
        if sysconfig.get_config_var('Py_ENABLE_SHARED'):
            lines.append('Environment=LD_LIBRARY_PATH=/run/focusd/python/lib')   # the interpreter has been moved
        if not self.privileged:
            lines += [f'{setting}={value}' for setting, value in PRIVILEGED.items()]
        return '\n'.join(lines) + '\n'

    def _is_running(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f'the manager does not start: {self.errors}')
        if not self._enter:
            pid = self._process.pid
            children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
            if not children:
                return False
            user = [] if self.privileged else ['--user', '--preserve-credentials']
            self._enter = ['nsenter', f'--target={children[0]}', '--mount', '--pid', *user, '--']
        return self.systemctl('is-system-running').stdout.strip() in ('running', 'degraded')

    @property
    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command where the service runs."""
        return subprocess.run([*self._enter, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_S, env={'PATH': os.environ['PATH'], 'XDG_RUNTIME_DIR': '/run/manager'})

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.inside('systemctl', '--user', *arguments)

    def journal(self) -> list[dict[str, Any]]:
        """The entries of the journal, the oldest first."""
        result = self.inside('journalctl', '--directory=/run/log/journal', '--output=json', '--no-pager', '--quiet')
        return [json.loads(line) for line in result.stdout.splitlines()]

    def service(self, name: str, **settings: Any) -> Service:
        """focusd@NAME with these settings, not started yet."""
        return Service(self, self._configurations, name, settings)

    def close(self) -> None:
        """End the manager, all that it has started, and what is left of their cgroups."""
        try:
            self._process.communicate('\n', timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        for hierarchy in (Path('/sys/fs/cgroup'), *Path('/sys/fs/cgroup').glob('*')):
            own = hierarchy / self._cgroup
            if own.is_dir():
                for directory, _, _ in os.walk(own, topdown=False):
                    eventually(lambda directory=directory: _removed(directory))   # type: ignore[misc]


def _may_make_cgroups() -> bool:
    for line in Path('/proc/self/cgroup').read_text().splitlines():
        _, hierarchy, path = line.split(':', 2)
        if hierarchy in ('', 'name=systemd'):
            for root in ('/sys/fs/cgroup', '/sys/fs/cgroup/systemd'):
                if os.access(f'{root}{path}/cgroup.procs', os.W_OK):
                    return True
    return False


def _removed(cgroup: str) -> bool:
    try:
        os.rmdir(cgroup)
    except OSError:
        return False   # its last process is still being buried
    return True


class Service:
    """An instance of focusd@.service."""

    def __init__(self, manager: ServiceManager, directory: Path, name: str, settings: dict[str, Any]) -> None:
        self._manager = manager
        self._directory = directory
        self._object_id = f'{name}_daemon'
        self.name = name
        self.unit = f'focusd@{name}.service'
        self.port = free_port()
        (directory / f'{name}.json').write_text(json.dumps({**SETTINGS, 'daemon': name, **settings}))
        site = directory / 'site'
        known = json.loads(site.read_text()) if site.exists() else {'daemons': {}}
        known['daemons'][name] = {'name': self._object_id, 'machine': 'LocalHost', 'port': self.port}
        site.write_text(json.dumps(known))

    def start(self) -> Service:
        """Returns when the service is ready."""
        started = self._manager.systemctl('start', self.unit)
        assert started.returncode == 0, f'{started.stderr}\n{self._manager.errors}\n{self.log()}'
        return self

    def stop(self) -> None:
        assert self._manager.systemctl('stop', self.unit).returncode == 0

    def spring(self, trap: str) -> None:
        """Let the daemon hang in a trap of SHIM; its successor will not."""
        laid = self._directory / f'{self.name}.{trap}'
        laid.touch()
        if trap == 'server':
            with socket.create_connection(('127.0.0.1', self.port)):
                pass
        eventually(lambda: any(text == f'trapped: {trap}' for _, text in self.log()))
        laid.unlink()

    def show(self, key: str) -> str:
        return self._manager.systemctl('show', '--value', f'--property={key}', self.unit).stdout.strip()

    def kill(self, signal: str) -> None:
        assert self._manager.systemctl('kill', f'--signal={signal}', self.unit).returncode == 0

    def process_status(self) -> dict[str, str]:
        """/proc/PID/status of the daemon."""
        text = self._manager.inside('cat', f'/proc/{self.show("MainPID")}/status').stdout
        return {key: value.strip() for key, _, value in (line.partition(':') for line in text.splitlines())}

    def log(self) -> list[tuple[int, str]]:
        """Priority and text of each line that the daemons of this unit have left in the journal."""
        return [(int(entry['PRIORITY']), entry['MESSAGE']) for entry in self._manager.journal()
                if entry.get('_SYSTEMD_UNIT') == self.unit or entry.get('_SYSTEMD_USER_UNIT') == self.unit]

    def call(self, method: str, *arguments: Any) -> Any:
        with Pyro4.Proxy(f'PYRO:{self._object_id}@127.0.0.1:{self.port}') as proxy:
            proxy._pyroTimeout = 60
            return getattr(proxy, method)(*arguments)


def dialout() -> int | None:
    """The number of the group dialout, None where there is none."""
    try:
        return grp.getgrnam('dialout').gr_gid
    except KeyError:
        return None
