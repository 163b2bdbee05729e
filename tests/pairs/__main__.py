# SPDX-License-Identifier: GPL-3.0-or-later
"""Every pair of faults from the shell: `python3 -m tests.pairs` plays all of them and replays the first that fails."""

from __future__ import annotations

import argparse
import sys

from tests.pairs.every import play_every
from tests.pairs.trial import OPERATIONS, Case, Fault, Trial, hubs_for

SHOWN = 10


def main() -> int:
    """Returns the exit code: 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(prog='python3 -m tests.pairs', description=__doc__)
    parser.add_argument('--replay', nargs='+', metavar='WORD', help='replay one case, with a trace: the operation, the '
                        "hub, then up to two faults, as in: --replay move usual 1 'reply lost' 4 '6 s late'")
    options = parser.parse_args()
    if options.replay:
        operation, hub, *rest = options.replay
        if operation not in OPERATIONS or hub not in hubs_for(operation) or len(rest) % 2:
            parser.error(f'an operation ({", ".join(OPERATIONS)}), a hub that it is played on, and pairs of a number '
                         f'and a fault')
        return replay(Case(operation, hub, tuple(Fault(int(number), kind) for number, kind in zip(*[iter(rest)] * 2))))
    tally = play_every(report=lambda text: print(text, flush=True))
    print(tally)
    for case, what in tally.failures[:SHOWN]:
        print(f'{case}: {what}')
    if tally.failures:
        print('\nThe first of them:')
        replay(tally.failures[0].case)
    return 1 if tally.failures else 0


def replay(case: Case) -> int:
    """Print a case as it happens."""
    try:
        Trial(case, trace=print).play()
    except AssertionError as error:
        print(f'VIOLATION {error}')
        return 1
    print('no violation')
    return 0


if __name__ == '__main__':
    sys.exit(main())
