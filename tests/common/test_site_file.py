# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site file adds, and what is said about a wrong one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).resolve().parents[2] / 'common' / 'README.md'
SHOW_TABLES = 'from warwick.observatory.common import IP, daemons\nprint(*IP)\nprint(*daemons)\n'
DAEMON = {'name': 'x_daemon', 'machine': 'LocalHost', 'port': 9050}


def with_daemon(**changes: Any) -> dict[str, Any]:
    return {'daemons': {'x': {**DAEMON, **changes}}}


def test_the_example_of_the_readme_registers_what_it_says(run_python: Any, write_site: Any) -> None:
    example = re.search(r'```json\n(.*?)```', README.read_text(encoding='utf-8'), re.DOTALL)
    assert example is not None
    result = run_python(
        'from warwick.observatory.common import IP, daemons\n'
        'print(IP.DomeTCS, daemons.dome_focus.uri, daemons.dome_focus.timeout, daemons.dome_log.timeout)\n'
        'print(daemons.dome_focus.connect()._pyroTimeout, daemons.clasp_focus.connect()._pyroTimeout)\n',
        site=write_site(example[1]),
    )
    assert result.stderr == ''
    assert result.stdout == '192.168.7.20 PYRO:dome_focus_daemon@192.168.7.20:9036 10 5\n10 5\n'


def test_the_error_line_of_the_readme_is_a_real_one(run_python: Any, write_site: Any) -> None:
    text = README.read_text(encoding='utf-8')
    example = re.search(r'```json\n(.*?)```', text, re.DOTALL)
    assert example is not None
    site = write_site(example[1].replace('"machine": "DomeTCS"', '"machine": "DomeTSC"'))
    error = run_python(SHOW_TABLES, site=site).stderr.splitlines()[-1]
    line = error.split('SiteError: ')[1].replace(str(site), '/etc/observatory/site.json')
    assert f'\n{line}\n' in text


def test_whole_numbers_may_be_written_with_a_point(run_python: Any, write_site: Any) -> None:
    result = run_python(
        'from warwick.observatory.common import daemons\nprint(daemons.x.uri, daemons.x.timeout)',
        site=write_site(with_daemon(port=9050.0, timeout=0.5)),
    )
    assert result.stdout == 'PYRO:x_daemon@127.0.0.1:9050 0.5\n'


@pytest.mark.parametrize('content', [with_daemon(), with_daemon(port=0)])
def test_a_site_file_is_read_without_jsonschema(run_python: Any, write_site: Any, content: Any) -> None:
    result = run_python(
        'import sys\n'
        'import warwick.observatory.common as common\n'
        'try:\n'
        '    "x" in common.daemons\n'
        'except common.SiteError:\n'
        '    pass\n'
        'print("jsonschema" in sys.modules)\n',
        site=write_site(content),
    )
    assert (result.stdout, result.stderr) == ('False\n', '')


def test_a_site_file_may_be_empty_of_entries(run_python: Any, write_site: Any) -> None:
    assert run_python(SHOW_TABLES, site=write_site({})).stdout == run_python(SHOW_TABLES).stdout


def test_an_ipv6_machine_is_known_by_its_usual_form(run_python: Any, write_site: Any) -> None:
    site = write_site({'machines': {'Six': '2001:DB8:0::1'}})
    result = run_python('from warwick.observatory.common import IP\nprint(IP.Six)', site=site)
    assert result.stdout == '2001:db8::1\n'


def test_the_names_of_a_site_file_are_good_for_a_configuration(run_python: Any, write_site: Any) -> None:
    result = run_python(
        'from warwick.observatory.common import validation\n'
        'validation.validate_config("x", {"daemon_name": True}, {"daemon_name": validation.daemon_name_validator})\n'
        'print("accepted")',
        site=write_site(with_daemon()),
    )
    assert result.stdout == 'accepted\n'


@pytest.mark.parametrize(('content', 'message'), [
    ('', 'is not JSON: '),
    ('{"machines": ', 'is not JSON: '),
    ('[' * 100_000, 'is not JSON: '),
    ('{"daemons": {"x": {"port": ' + '9' * 5000 + '}}}', ''),
    ([], 'the whole file: []: expected an object'),
    ({'machine': {}}, 'machine: {}: unknown key; known are machines, daemons, log'),
    ({'machines': []}, 'machines: []: expected an object of names and addresses'),
    ({'machines': {'M': 'dome.example.org'}}, 'machines.M: "dome.example.org": expected an IPv4 or IPv6 address'),
    ({'machines': {'M': '10.2.6.256'}}, 'machines.M: "10.2.6.256": expected an IPv4 or IPv6 address'),
    ({'machines': {'M': 7}}, 'machines.M: 7: expected a string'),
    ({'machines': {'my-machine': '10.2.6.1'}}, 'machines.my-machine: "10.2.6.1": a name consists of'),
    ({'machines': {'_M': '10.2.6.1'}}, 'machines._M: "10.2.6.1": a name consists of'),
    ({'machines': {'a\nb': '10.2.6.1'}}, r'machines.a\nb: "10.2.6.1": a name consists of'),
    ({'machines': {'LocalHost': '10.2.6.1'}}, 'machines.LocalHost: "10.2.6.1": this name is registered already'),
    ('{"machines": {"M": "10.2.6.1", "M": "10.2.6.2"}}', 'M: "10.2.6.2": this key is given twice'),
    ({'daemons': {'x': 5}}, 'daemons.x: 5: expected an object with name, machine, port'),
    ({'daemons': {'clasp_focus': DAEMON}}, 'daemons.clasp_focus: "x_daemon": this name is registered already'),
    ({'daemons': {'x': {'name': 'x_daemon', 'port': 9050}}}, 'daemons.x.machine: missing'),
    (with_daemon(machine='Nowhere'), 'daemons.x.machine: "Nowhere": no such machine; known are CLASPTCS, '),
    (with_daemon(name=''), 'daemons.x.name: "": expected a string without blanks'),
    (with_daemon(name='x daemon'), 'daemons.x.name: "x daemon": expected a string without blanks'),
    (with_daemon(port=0), 'daemons.x.port: 0: expected a whole number from 1 to 65535'),
    (with_daemon(port=65536), 'daemons.x.port: 65536: expected a whole number from 1 to 65535'),
    (with_daemon(port='9050'), 'daemons.x.port: "9050": expected a whole number from 1 to 65535'),
    (with_daemon(port=9050.5), 'daemons.x.port: 9050.5: expected a whole number from 1 to 65535'),
    (with_daemon(port=True), 'daemons.x.port: true: expected a whole number from 1 to 65535'),
    (with_daemon(timeout=-1), 'daemons.x.timeout: -1: expected a number of seconds'),
    (with_daemon(timeout=True), 'daemons.x.timeout: true: expected a number of seconds'),
    (with_daemon(timeout=float('nan')), 'is not JSON: NaN is no number'),
    (with_daemon(tiemout=5), 'daemons.x.tiemout: 5: unknown key; known are name, machine, port, timeout'),
    ({'log': {'daemon': 'observatory_log'}}, 'log.network: missing'),
    ({'log': {'daemon': 'nobody', 'network': '10.0.0.0/8'}}, 'log.daemon: "nobody": no such daemon; known are '),
    ({'log': {'daemon': 'observatory_log', 'network': 'here'}}, 'log.network: "here": expected a network such as'),
])
def test_a_wrong_site_file_gets_one_line_with_file_key_value_and_reason(
    run_python: Any, write_site: Any, content: Any, message: str
) -> None:
    site = write_site(content)
    result = run_python(
        'import warwick.observatory.common as common\n'
        'for table, name in ((common.daemons, "clasp_focus"), (common.IP, "LocalHost")):\n'
        '    try:\n'
        '        getattr(table, name)\n'
        '    except common.SiteError as error:\n'
        '        assert isinstance(error, ValueError)\n'
        '        print(error)\n',
        site=site,
    )
    assert result.stderr == ''
    first, second = result.stdout.splitlines()
    assert first == second
    assert first.startswith(f'{site}: {message}')


@pytest.mark.parametrize('place', ['missing.json', '.'])
def test_a_named_site_file_that_cannot_be_read_is_an_error(run_python: Any, tmp_path: Path, place: str) -> None:
    site = tmp_path / place
    result = run_python(SHOW_TABLES, site=site)
    assert re.search(rf'SiteError: {re.escape(str(site))}: cannot be read: [A-Z]', result.stderr)


def test_a_site_file_that_is_not_utf8_is_an_error(run_python: Any, write_site: Any) -> None:
    site = write_site('')
    site.write_bytes(b'{"machines": {"M\xfc": "10.2.6.1"}}')
    assert 'is not UTF-8 text' in run_python(SHOW_TABLES, site=site).stderr


def test_importing_never_fails_for_a_site_file(run_python: Any, tmp_path: Path) -> None:
    result = run_python(
        'from warwick.observatory.common import IP, TFmt, TryLock, daemons, helpers, log, validation\n'
        'hasattr(daemons, "__wrapped__")',
        site=tmp_path / 'missing.json',
    )
    assert (result.returncode, result.stderr) == (0, '')


def test_a_wrong_site_file_goes_through_a_validation_as_itself(run_python: Any, tmp_path: Path) -> None:
    result = run_python(
        'from warwick.observatory.common import validation\n'
        'validation.validate_config("x", {"daemon_name": True}, {"daemon_name": validation.daemon_name_validator})\n',
        site=tmp_path / 'missing.json',
    )
    assert 'SiteError: ' in result.stderr.splitlines()[-1]
