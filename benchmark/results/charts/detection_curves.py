"""How much detectors find over their false alarms."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

import altair as alt
from altair.typing import ChartType

from benchmark.results.charts.look import COLOURS, DASHES, INK, SIDE, data, finished, lines
from benchmark.results.charts.points import Row
from benchmark.results.leaderboard import Cell
from benchmark.words import counted, percent

HEIGHT = SIDE * 5 // 6
LEAST = 1e-3  # false positive rate at which a logarithmic axis begins
MOST = len(COLOURS) * len(DASHES)  # detectors whose lines can be told apart
SEED = re.compile(r", seed -?\d+$")
LOOKED_AT = ("rows", "inputs separation")  # names of the evidence's curves over all rows, or all inputs

Roc = Sequence[tuple[float, float]]


def rocs(cells: Sequence[Cell]) -> dict[str, Roc]:
    """The curves in the cells' evidence, named by attack and defense (where there are several) and by seed.

    Filters are shown on all training rows, input detectors on all triggered inputs.
    """
    told = [part for part in ("defense", "attack") if len({cell.label[part] for cell in cells}) > 1] or ["defense"]
    found: dict[str, Roc] = {}
    for cell in cells:
        for record in cell.records:
            curves = record.evidence.roc if record.evidence else {}
            name = " on ".join(cell.label[part] for part in told)
            found |= {f"{name}, seed {record.seed}": curves[looked] for looked in LOOKED_AT if looked in curves}
    return found


def detectors(found: Mapping[str, Roc]) -> list[str]:
    """Names of the curves without their seeds, each once."""
    return list(dict.fromkeys(SEED.sub("", name) for name, roc in found.items() if roc))


def detection_curves(found: Mapping[str, Roc], log: bool = False) -> ChartType | None:
    """True over false positive rates, a line each; names that differ in `, seed N` alone share a colour.

    Args:
        found: name -> points (false positive rate, true positive rate), ascending.
        log: a logarithmic axis of false positives, from 0.1 %; what lies left of it is cut off.
    """
    drawn = {name: roc for name, roc in found.items() if roc}
    if not drawn:
        return None
    labels = detectors(drawn)
    rows: list[Row] = [
        {"detector": SEED.sub("", name), "curve": name, "x": x, "y": y}
        for name, roc in drawn.items()
        for x, y in (_from(roc, LEAST) if log else roc)
    ]
    even = [LEAST ** (1 - at / 30) for at in range(31)] if log else [0.0, 1.0]
    scale = alt.Scale(type="log", domain=[LEAST, 1]) if log else alt.Scale(domain=[0, 1])
    ticks = alt.Axis(format="~%", values=[LEAST, 0.01, 0.05, 0.1, 1]) if log else alt.Axis(format="~%")
    found_axis = alt.Scale(domain=[0, 1])
    axes = (
        alt.X("x:Q", title="false positive rate", scale=scale, axis=ticks),
        alt.Y("y:Q", title="true positive rate", scale=found_axis, axis=alt.Axis(format="~%")),
    )
    chance = alt.Chart(data([{"x": x, "y": x} for x in even])).mark_line(color=INK, strokeDash=[1, 3], strokeWidth=1)
    curves = alt.Chart(data(rows)).mark_line(strokeWidth=1.6, opacity=0.85)
    made = alt.layer(
        chance.encode(*axes), curves.encode(*axes, *lines(labels, "detector"), detail="curve:N", order="x:Q")
    )
    told = [f"{label} {percent(fmean(at))}" for label, at in _at(drawn, 0.05).items()]
    return finished(
        made.properties(width=HEIGHT, height=HEIGHT),
        "What detectors find, over their false alarms",
        ["A line for each seed. Dotted: chance."],
        f"{counted(len(drawn), 'curve')} of {counted(len(labels), 'detector')}. "
        f"Found at 5 % false positives, mean over their curves: {', '.join(told)}.",
    )


def _from(roc: Roc, least: float) -> list[tuple[float, float]]:
    """A curve from a false positive rate on, where it has what it had reached."""
    return [(least, _reached(roc, least)), *((x, y) for x, y in roc if x > least)]


def _reached(roc: Roc, limit: float) -> float:
    """The highest true positive rate at no more false positives."""
    return max((y for x, y in roc if x <= limit), default=0.0)


def _at(drawn: Mapping[str, Roc], limit: float) -> dict[str, list[float]]:
    reached: dict[str, list[float]] = defaultdict(list)
    for name, roc in drawn.items():
        reached[SEED.sub("", name)].append(_reached(roc, limit))
    return reached
