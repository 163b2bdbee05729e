# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the benchmark: what is wrong with it is said in one line, before anything is measured."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import GROUPS, STAGES, main


@pytest.mark.parametrize(('arguments', 'reason'), [
    (['--only', 'moovs'], "argument --only: unknown name 'moovs': moves, both, "),
    (['--only', 'moves,'], "argument --only: unknown name '': moves, both, "),
    (['--only', 'cpu,Moves'], "argument --only: unknown name 'Moves': moves, both, "),
    (['moves'], 'unrecognized arguments: moves'),
    (['--json'], 'argument --json: expected one argument'),
])
def test_a_wrong_command_line_is_refused_in_one_line(arguments: list[str], reason: str,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    said = capsys.readouterr()
    assert exit.value.code == 2
    assert said.out == ''
    assert said.err.startswith(f'error: {reason}')
    assert said.err.count('\n') == 1


def test_the_help_names_everything_that_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(['--help'])
    assert exit.value.code == 0
    text = ' '.join(capsys.readouterr().out.split())
    assert ', '.join(GROUPS) in text


def test_everything_has_its_turn_once() -> None:
    assert sorted(name for stage in STAGES for name in stage) == sorted(GROUPS)
