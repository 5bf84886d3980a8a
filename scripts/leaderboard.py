"""Turn records into the leaderboard: python scripts/leaderboard.py [--store S | --records DIR] [--json]."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmark.cli import Parser, guarded
from benchmark.results.leaderboard import Cell
from benchmark.results.selecting import COMMITTED, add_source, every, folder
from benchmark.results.standings import standings
from benchmark.results.tables import TABLE_WIDTH, board, markdown, row, terminal
from benchmark.store import replace

PAGE = Path("leaderboard/README.md")
INTRODUCTION = """# Leaderboard

Made by `python scripts/leaderboard.py` from the records in `records/`; do not edit by hand. Means over n seeds in
percent, every seed of the defended attack success in brackets. *Removed* is the share of the attack's gain that a
defense took away, 1 - max(0, ASR defended - ASR control) / (ASR backdoored - ASR sham). Defenses are ranked only
within a family with the same access, by the mean over the attacks they share. Not ranked: `attack failed` (gain under
50 points), `collapsed` (half of the accuracy above chance is gone), `degraded` (over 5 points of clean accuracy lost
on the victim or on a model without a backdoor), `reported` (sent by others, and not reproduced here), `preliminary`
(fewer than 3 seeds), `oracle`, `not applicable`. docs/design.md tells why.

"""


def main() -> None:
    """Read, group, print; without --store and --records the committed page is written too."""
    arguments = parsed()
    found = every(arguments)
    ranks = standings(found)
    if arguments.json:
        print(json.dumps([described(cell) for cell in found]))
    else:
        console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
        for table in terminal(found):
            console.print(table)
    if folder(arguments) == COMMITTED:
        replace(PAGE, (INTRODUCTION + markdown(found, ranks)).encode())


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    add_source(parser)
    parser.add_argument("--json", action="store_true", help="one JSON list of cells instead of tables")
    return parser.parse_args()


def described(cell: Cell) -> dict[str, object]:
    """A cell as JSON: its labels, status, row in words and the keys of its records."""
    victims = ("clean", "backdoored", "defended", "control")
    rates = {victim: {score: cell.rates(victim, score) for score in ("ca", "asr", "ra")} for victim in victims}
    return {
        "board": board(cell),
        **cell.label,
        "family": cell.family,
        "access": cell.access,
        "status": cell.status,
        "standing": cell.standing,
        "removed": cell.removed,
        "rates": rates,
        "seeds": [record.seed for record in cell.records],
        "keys": [record.key for record in cell.records],
        "row": row(cell),
    }


if __name__ == "__main__":
    sys.exit(guarded(main))
