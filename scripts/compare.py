"""Compare defenses with the first-named: python scripts/compare.py FineTuning FinePruning [--markdown] [--figure F]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmark.cli import Parser, guarded
from benchmark.results.comparison import Comparison, compare
from benchmark.results.comparison_tables import comma_separated, latex, markdown, terminal
from benchmark.results.outputs import drawable, writable
from benchmark.results.selecting import add_slice, add_source, chosen, every
from benchmark.results.tables import TABLE_WIDTH
from benchmark.results.verdicts import remarks, verdict

FORMS: Mapping[str, Callable[[Sequence[Comparison]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}


def main() -> None:
    """Read, compare, print; the figure is written beside."""
    arguments = parsed()
    if arguments.figure:
        drawable(arguments.figure)
        writable(arguments.figure)
    made = compare(chosen(every(arguments), {"dataset": arguments.dataset}), arguments.defenses)
    if arguments.form:
        print(FORMS[arguments.form](made), end="")
    else:
        show(made)
    if arguments.figure:
        from benchmark.results.charts.differences import differences  # seconds, for those who want a picture
        from benchmark.results.charts.files import write

        write(differences(made), arguments.figure)


def show(made: Sequence[Comparison]) -> None:
    """Verdicts, remarks, the table of attacks, and what to run for a fair pairing."""
    for one in made:
        print(verdict(one, len(made)), *(f"  {remark}" for remark in remarks(one)), sep="\n")
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    for table in terminal(made):
        console.print(table)
    commands = dict.fromkeys(missing.command for one in made for missing in one.missing)
    if commands:
        print("What is missing for a fair pairing:", *(f"  {command}" for command in commands), sep="\n")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    about = "two or more: names of classes or yaml files; the first is the reference"
    parser.add_argument("defenses", nargs="+", metavar="defense", help=about)
    add_source(parser)
    add_slice(parser, ("dataset",))
    parser.add_argument("--figure", type=Path, metavar="FILE", help="paired attacks as .svg, .pdf or .png")
    forms = parser.add_mutually_exclusive_group()
    for form in FORMS:
        forms.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=f"print {form}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(guarded(main))
