# SPDX-License-Identifier: GPL-3.0-or-later
"""The fuzzer's targets survive the inputs that are kept, and notice what is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.targets import TARGETS, Broken
from warwick.observatory.focuslynx.core.reply_parser import ReplyParser

CORPUS = Path(__file__).with_name('corpus')
INPUTS = sorted(CORPUS.glob('*/*'))


@pytest.mark.parametrize('path', INPUTS, ids=lambda path: f'{path.parent.name}-{path.name}')
def test_a_kept_input_is_survived(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_each_target_has_kept_inputs() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)


def test_a_reader_that_minds_where_a_reply_is_cut_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(ReplyParser):
        def feed(self, data: bytes) -> object:
            return super().feed(data if data.endswith(b'\n') else data + b'\n')

    monkeypatch.setattr(targets, 'ReplyParser', Careless)
    with pytest.raises(Broken, match='in pieces'):
        TARGETS['reader']((CORPUS / 'reader' / 'status').read_bytes())
