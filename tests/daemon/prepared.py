# SPDX-License-Identifier: GPL-3.0-or-later
"""A focusd whose surroundings a test prepares: the observatory log of its site, and modules in the way of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.daemon.harness import OBJECT_ID, SETTINGS, TOP, Daemon
from tests.ports import free_port
from tests.simulator.harness import eventually


class PreparedDaemon(Daemon):
    """As Daemon, with `log_site` for the entries `daemons.log` and `log` of the site file, and `shim` as the
    sitecustomize of its Python. Standard error is kept apart, and is `errors`."""

    def __init__(self, directory: Path, log_site: dict[str, Any] | None = None, shim: str = '',
                 **settings: Any) -> None:
        self.port = free_port()
        self.config = directory / f'{self.port}.json'
        self.config.write_text(json.dumps({**SETTINGS, **settings}))
        site: dict[str, Any] = {
            'daemons': {'tested': {'name': OBJECT_ID, 'machine': 'LocalHost', 'port': self.port, 'timeout': 5}}}
        if log_site is not None:
            site['daemons']['log'] = {'name': 'log_daemon', 'machine': 'LocalHost', **log_site}
            site['log'] = {'daemon': 'log', 'network': '127.0.0.0/8'}
        site_path = directory / f'site-{self.port}.json'
        site_path.write_text(json.dumps(site))
        python_path = [str(TOP / 'common')]
        if shim:
            shims = directory / f'shims-{self.port}'
            shims.mkdir()
            (shims / 'sitecustomize.py').write_text(shim)
            python_path[:0] = [str(shims), str(TOP)]
        self.environment = {**os.environ, 'OBSERVATORY_SITE': str(site_path), 'FOCUSD_CONFIG_PATH': str(self.config),
                            'PYTHONPATH': os.pathsep.join(python_path), 'PYTHONUNBUFFERED': '1'}
        self.log_path = directory / f'{self.port}.log'
        self.errors_path = directory / f'{self.port}.err'
        with open(self.log_path, 'w') as log, open(self.errors_path, 'w') as errors:
            self.process = subprocess.Popen([sys.executable, str(TOP / 'focusd'), str(self.config)],
                                            env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=errors)
        eventually(self._answers)

    @property
    def errors(self) -> str:
        return self.errors_path.read_text()
