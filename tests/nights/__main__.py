# SPDX-License-Identifier: GPL-3.0-or-later
"""Nights from the shell: `python3 -m tests.nights -n 100000` plays many, `--seed N` replays one with a trace."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from tests.nights.night import Night
from tests.nights.plan import Event, events, shorten
from tests.nights.play import play, violation


def main() -> int:
    """Returns the exit code: 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(prog='python3 -m tests.nights', description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('-n', type=int, metavar='N', help='play N nights on all cores')
    what.add_argument('--seed', type=int, metavar='N', help='replay night N, with a trace of all that happens')
    parser.add_argument('--first', type=int, default=0, metavar='SEED', help='seed of the first of the N nights')
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed)
    tally = play(range(options.first, options.first + options.n), report=lambda text: print(text, flush=True))
    print(tally)
    for seed, text in tally.violations[:3]:
        print(f'\nseed {seed}: {text}\nmake night SEED={seed} replays it. It takes no more than:')
        print(*shorten(partial(fails, seed), events(seed)), sep='\n')
    return 1 if tally.violations else 0


def fails(seed: int, plan: list[Event]) -> bool:
    """Whether a plan violates an invariant."""
    return violation(seed, plan) is not None


def replay(seed: int) -> int:
    """Print a night as it happens."""
    night = Night(seed, trace=print)
    try:
        night.play_to_the_end()
    except AssertionError as error:
        print(f'VIOLATION {error}')
        return 1
    print('the night passed without a violation')
    return 0


if __name__ == '__main__':
    sys.exit(main())
