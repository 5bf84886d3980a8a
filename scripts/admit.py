"""Let records from elsewhere into the leaderboard, if they hold: python scripts/admit.py FOLDER [--verify 3]."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from benchmark.admitting.admission import Admission
from benchmark.admitting.outcome import Outcome, Rules
from benchmark.cli import Parser, SweepFailed, guarded, whole
from benchmark.errors import BadInput
from benchmark.results.marks import COMMITTED


class NotReproduced(SweepFailed):
    """Something did not come out again, and nobody can say whose fault it is."""


def main() -> None:
    """Check, maybe run again, copy and mark; a line for each file.

    Raises:
        BadInput: something was refused.
        NotReproduced: nothing was, but something that was run again lies apart.
    """
    options = parsed()
    draw = secrets.randbits(32) if options.draw is None else options.draw
    if options.verify:
        print(f"cells to run again are drawn with --draw {draw}", flush=True)
    rules = Rules(options.allow, options.preliminary, options.verify, draw, options.overlap)
    outcome = Admission(options.into, rules, options.store).admit(options.sources)
    tell(outcome)
    for number, (path, reason) in enumerate(outcome.refused.items(), start=1):
        line = f"{path}: refused: {reason}"
        if number == len(outcome.refused):
            raise BadInput(line)
        sys.stderr.write(f"postern: {line}\n")
    if outcome.apart:
        raise NotReproduced(f"records that do not come out: {len(outcome.apart)}; none was marked `reproduced`")


def tell(outcome: Outcome) -> None:
    """Print what was run again, and what was let in."""
    for cell, reason in outcome.unable:
        print(f"cannot be run again here: {cell}: {reason}")
    for key, reason in outcome.apart.items():
        print(f"not reproduced: {key}: {reason}")
    if outcome.unable and not outcome.drawn:
        print("no cell can be run again here, and none was")
    for path, record in outcome.admitted.items():
        print(f"admitted, {outcome.standing[record.key]}: {path}")
    for path, record in outcome.there.items():
        raised = outcome.standing.get(record.key)
        print(f"already there{f', {raised}' if raised else ''}: {path}")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path, metavar="FILE", help="records, or folders of them")
    parser.add_argument("--into", type=Path, default=COMMITTED, help="the folder they enter")
    parser.add_argument(
        "--verify", type=whole, default=0, metavar="N", help="run N cells again that can be, and compare"
    )
    parser.add_argument("--draw", type=whole, help="seed that draws the cells (default: one that nobody can foresee)")
    parser.add_argument("--overlap", action="store_true", help="let intervals decide in the same environment too")
    parser.add_argument("--preliminary", action="store_true", help="admit cells of fewer than three seeds")
    parser.add_argument("--allow", action="append", default=[], metavar="PACKAGE", help="whose methods count as known")
    environment = os.environ.get("POSTERN_STORE", "store")
    parser.add_argument("--store", type=Path, default=Path(environment), help="whose data sets --verify uses")
    options = parser.parse_args()
    if not options.verify and (options.overlap or options.draw is not None):
        parser.error("--draw and --overlap say how cells are run again: give --verify too")
    return options


if __name__ == "__main__":
    sys.exit(guarded(main))
