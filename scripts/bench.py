"""Measure the engine beside a plain loop: python scripts/bench.py [--architecture A] [--shape C,H,W] [--json]."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmark.cli import Parser, guarded
from benchmark.config import checked, compose
from benchmark.errors import BadInput
from benchmark.results.tables import TABLE_WIDTH


def main() -> None:
    """Measure, then print one table or, last, one line of JSON."""
    arguments = parsed()
    tree = checked(compose(f"architecture={arguments.architecture}", "recipe=paper"))
    from scripts.bench_training import figures  # only now: it imports torch, seconds that no mistake should cost

    found = figures(arguments, tree)
    if arguments.json:
        print(json.dumps(found))
    else:
        Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(table(found))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--architecture", default="small_cnn", help="a name in conf/architecture")
    parser.add_argument("--shape", default="3,32,32", help="of an image: channels, height, width")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128, help="rows of a training step")
    parser.add_argument("--rows", type=int, help="images of a round (default: what fits --seconds)")
    parser.add_argument("--rounds", type=int, default=3, help="of ours and theirs in turn; medians are reported")
    parser.add_argument("--seconds", type=float, default=30, help="for training rounds, where --rows is not given")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON line instead of a table")
    arguments = parser.parse_args()
    for name in ("classes", "batch", "rounds", "threads"):
        if getattr(arguments, name) < 1 or (arguments.rows is not None and arguments.rows < 2):
            raise BadInput(f"--{name} {getattr(arguments, name)}, --rows {arguments.rows}: too small; give more")
    sides = arguments.shape.split(",")
    if len(sides) != 3 or not all(side.isdigit() and int(side) > 0 for side in sides) or sides[0] not in ("1", "3"):
        raise BadInput(f"--shape {arguments.shape}: must be channels (1 or 3), height and width, as 3,32,32")
    arguments.shape = tuple(int(side) for side in sides)
    return arguments


def table(found: Mapping[str, Any]) -> Table:
    """What was found, one row a figure."""
    view = Table("figure", "value", title=", ".join(f"{name} {value}" for name, value in found["setting"].items()))
    for name, value in found.items():
        for part, figure in value.items() if isinstance(value, dict) else [("", value)]:
            if name != "setting":
                view.add_row(f"{name} {part}".strip().replace("_", " "), f"{figure:,.4g}")
    return view


if __name__ == "__main__":
    sys.exit(guarded(main))
