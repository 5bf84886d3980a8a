"""A chart of one board of the leaderboard: python scripts/figure.py KIND OUT.pdf|png|svg [--attack N ...] ..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmark.cli import Parser, guarded
from benchmark.errors import BadInput
from benchmark.results.charts.cost_and_effect import cost_and_effect
from benchmark.results.charts.detection_curves import MOST, detection_curves, rocs, told_apart
from benchmark.results.charts.files import write
from benchmark.results.charts.heat_map import heat_map
from benchmark.results.charts.look import Drawing
from benchmark.results.charts.success_over_rate import success_over_rate
from benchmark.results.charts.trade_off import trade_off
from benchmark.results.leaderboard import Cell
from benchmark.results.outputs import drawable
from benchmark.results.selecting import add_slice, add_source, selected, with_evidence
from benchmark.results.tables import board
from benchmark.words import counted

KINDS = {
    "heat_map": "removed share, attacks by defenses",
    "trade_off": "clean accuracy against attack success",
    "cost_and_effect": "removed share against seconds, or with --price accuracy against clean accuracy",
    "detection_curves": "true over false positive rates, with --log a logarithmic axis",
    "success_over_rate": "attack success over the poison rate",
}


def main() -> None:
    """Read, choose, draw; says what the figure shows."""
    arguments = parsed()
    drawable(arguments.out)
    found = selected(arguments)
    boards = sorted({board(cell) for cell in found})
    if len({cell.board for cell in found}) > 1:
        raise BadInput(
            f"{len(boards)} boards are never drawn as one: {'; '.join(boards)}; "
            "choose by --dataset, --architecture, --recipe and --environment"
        )
    chart = drawn(found, arguments)
    if chart is None:
        raise BadInput(f"{arguments.kind}: nothing to draw in {counted(len(found), 'cell')} ({KINDS[arguments.kind]})")
    write(chart, arguments.out)
    print(f"{arguments.out}: {chart.words}")


def drawn(found: list[Cell], arguments: argparse.Namespace) -> Drawing | None:
    """The chart that was asked for."""
    if arguments.kind == "heat_map":
        return heat_map(found)
    if arguments.kind == "trade_off":
        return trade_off(found)
    if arguments.kind == "cost_and_effect":
        return cost_and_effect(found, arguments.price or "seconds")
    if arguments.kind == "detection_curves":
        curves = rocs(with_evidence(found, arguments))
        if len(named := told_apart(curves)) > MOST:
            raise BadInput(
                f"detection_curves: {len(named)} lines of different detectors or attacks cannot be told apart, "
                f"{MOST} can; choose by --attack and --defense"
            )
        return detection_curves(curves, arguments.log)
    return success_over_rate(found)


def parsed() -> argparse.Namespace:
    """The command line."""
    kinds = "; ".join(f"{name}: {told}" for name, told in KINDS.items())
    parser = Parser(description=__doc__, epilog=kinds)
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("out", type=Path, metavar="OUT", help="a file that ends in .pdf, .png or .svg")
    add_source(parser)
    add_slice(parser)
    parser.add_argument("--price", choices=("seconds", "accuracy"), help="of cost_and_effect (default: seconds)")
    parser.add_argument("--log", action="store_true", help="of detection_curves")
    arguments = parser.parse_args()
    for option, kind in (("price", "cost_and_effect"), ("log", "detection_curves")):
        if getattr(arguments, option) and arguments.kind != kind:
            parser.error(f"--{option}: is of {kind} alone; leave it out of {arguments.kind}")
    return arguments


if __name__ == "__main__":
    sys.exit(guarded(main))
