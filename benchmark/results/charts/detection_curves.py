"""How much detectors find over their false alarms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from benchmark.results.charts.look import (
    COLOURS,
    DASHES,
    INK,
    PERCENT,
    SIDE,
    Drawing,
    line_keys,
    lines,
    nominal,
    part,
    quantity,
)
from benchmark.results.charts.points import Roc, Row, looked_at
from benchmark.results.leaderboard import Cell
from benchmark.words import counted, percent

HEIGHT = SIDE * 5 // 6
LEAST = 1e-3  # false positive rate at which a logarithmic axis begins
MOST = len(COLOURS) * len(DASHES)  # names whose lines can be told apart


class Curve(NamedTuple):
    """What a detector finds of one attack with one seed.

    Attributes:
        detector: label of the defense.
        attack: its label.
        seed: of the run.
        points: (false positive rate, true positive rate), ascending; at least one.
    """

    detector: str
    attack: str
    seed: int
    points: Roc


def rocs(cells: Sequence[Cell]) -> list[Curve]:
    """The curves in the cells' evidence: filters' on all training rows, input detectors' on all triggered inputs."""
    return [
        Curve(cell.label["defense"], cell.label["attack"], record.seed, points)
        for cell in cells
        for record in cell.records
        if (points := looked_at(record.evidence))
    ]


def told_apart(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Curves that differ in their seed alone, by a name: the detector, and the attack where there are several."""
    several = _several(curves)
    found: dict[str, list[Curve]] = defaultdict(list)
    for curve in curves:
        found[" on ".join(getattr(curve, part) for part in several)].append(curve)
    return found


def _several(curves: Sequence[Curve]) -> list[str]:
    """In what the curves differ, seeds apart: the detector, the attack, or both."""
    parts = ("detector", "attack")
    return [part for part in parts if len({getattr(curve, part) for curve in curves}) > 1] or ["detector"]


def detection_curves(curves: Sequence[Curve], log: bool = False) -> Drawing | None:
    """True over false positive rates, a line each; those that differ in their seed alone share a colour.

    Args:
        curves: of one board.
        log: a logarithmic axis of false positives, from 0.1 %; what lies left of it is cut off.
    """
    if not curves:
        return None
    named, field = told_apart(curves), " on ".join(_several(curves))
    rows: list[Row] = [
        {field: name, "curve": f"{name}, seed {curve.seed}", "x": x, "y": y}
        for name, alike in named.items()
        for curve in alike
        for x, y in (_from(curve.points, LEAST) if log else curve.points)
    ]
    even = [LEAST ** (1 - at / 30) for at in range(31)] if log else [0.0, 1.0]
    scale = {"type": "log", "domain": [LEAST, 1]} if log else {"domain": [0, 1]}
    ticks = PERCENT | ({"values": [LEAST, 0.01, 0.05, 0.1, 1]} if log else {})
    axes = {
        "x": quantity("x", title="false positive rate", scale=scale, axis=ticks),
        "y": quantity("y", title="true positive rate", scale={"domain": [0, 1]}, axis=PERCENT),
    }
    told_apart_by = lines(line_keys(list(named)), field) | {"detail": nominal("curve"), "order": quantity("x")}
    layers = [
        part("line", axes, [{"x": x, "y": x} for x in even], color=INK, strokeDash=[1, 3], strokeWidth=1),
        part("line", axes | told_apart_by, rows, strokeWidth=1.6, opacity=0.85),
    ]
    told = [f"{name} {percent(fmean(_reached(c.points, 0.05) for c in alike))}" for name, alike in named.items()]
    detectors, attacks = ({getattr(curve, part) for curve in curves} for part in ("detector", "attack"))
    on = f"{len(attacks)} attacks" if len(attacks) > 1 else min(attacks)
    one = "" if len(detectors) > 1 else f"{min(detectors)}, "
    return Drawing(
        {"width": HEIGHT, "height": HEIGHT, "layer": layers},
        "What detectors find, over their false alarms",
        [f"{one}{on}. A line for each seed. Dotted: chance."],
        f"{counted(len(curves), 'curve')} of {counted(len(detectors), 'detector')} on {on}. "
        f"Found at 5 % false positives, mean over their curves: {', '.join(told)}.",
    )


def _from(roc: Roc, least: float) -> list[tuple[float, float]]:
    """A curve from a false positive rate on, where it has what it had reached."""
    return [(least, _reached(roc, least)), *((x, y) for x, y in roc if x > least)]


def _reached(roc: Roc, limit: float) -> float:
    """The highest true positive rate at no more false positives."""
    return max((y for x, y in roc if x <= limit), default=0.0)
