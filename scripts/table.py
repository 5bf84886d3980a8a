"""A slice of the leaderboard as a table for a paper: python scripts/table.py [--dataset N ...] [--latex] ..."""

from __future__ import annotations

import argparse
import sys

from benchmark.cli import Parser, guarded
from benchmark.results.grids import grids
from benchmark.results.merits import SCORES
from benchmark.results.selecting import add_slice, add_source, selected
from benchmark.results.typeset import comma_separated, latex, markdown


def main() -> None:
    """Read, choose, print."""
    arguments = parsed()
    found = selected(arguments)
    tables = grids(found, arguments.score, arguments.rows or "attack", arguments.columns or "defense")
    if arguments.format == "csv":
        sys.stdout.write(comma_separated(found, arguments.score))
    else:
        sys.stdout.write({"latex": latex, "markdown": markdown}[arguments.format](tables))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    add_source(parser)
    add_slice(parser)
    scores = ", ".join(SCORES)
    parser.add_argument("--score", nargs="+", default=["removed"], metavar="NAME", help=f"one or more of {scores}")
    parser.add_argument("--rows", help="attack (default) or defense")
    parser.add_argument("--columns", help="defense (default), attack, or score")
    formats = parser.add_mutually_exclusive_group()
    for name, told in (("latex", "LaTeX with booktabs"), ("markdown", "Markdown (default)"), ("csv", "one row a cell")):
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=told)
    parser.set_defaults(format="markdown")
    arguments = parser.parse_args()
    for option in ("rows", "columns"):
        if getattr(arguments, option) and arguments.format == "csv":
            parser.error(f"--{option}: CSV has one row a cell; leave out --{option} or --csv")
    return arguments


if __name__ == "__main__":
    sys.exit(guarded(main))
