"""What removal costs: seconds or accuracy against the share removed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, geometric_mean
from typing import Literal

from benchmark.results.charts.look import (
    FEW,
    INK,
    PERCENT,
    SIDE,
    Drawing,
    Spec,
    families,
    nominal,
    part,
    points,
    quantity,
    told_by,
)
from benchmark.results.charts.points import (
    WITHOUT_GAIN,
    Placed,
    Row,
    defenses,
    one_board,
    placed,
    unranked,
)
from benchmark.results.leaderboard import Cell
from benchmark.results.standings import standings
from benchmark.words import counted, percent

LEAST = 0.01  # seconds; what costs less is drawn there on the logarithmic axis
MARGIN = 0.04  # of the removed share, lest marks lie on the frame
HEIGHT = SIDE * 3 // 4
LETTER, LINE = 6, 12  # pixels that a letter is wide and a line of labels high
PLACES = ((9, 1, "left"), (-9, 1, "right"), (0, -13, "center"), (0, 15, "center"), (9, -9, "left"), (9, 11, "left"))

Price = Literal["seconds", "accuracy"]
Box = tuple[float, float, float, float]


def cost_and_effect(cells: Sequence[Cell], price: Price = "seconds") -> Drawing | None:
    """Removed share against what the defense costs: a small point for each attack, a large one for each defense.

    Args:
        cells: of one board.
        price: `seconds` of the defense, or the `accuracy` that it costs a model without a backdoor.
    """
    shown = [cell for cell in one_board(cells) if cell.status not in WITHOUT_GAIN]
    found = placed((_price(cell, price), cell.removed, cell) for cell in shown)
    if not found:
        return None
    in_time = price == "seconds"
    low, high = _ends([point.x for point in found], in_time)
    title = "seconds of the defense" if in_time else "clean accuracy lost by a model without a backdoor"
    scale = {"type": "log" if in_time else "linear", "domain": [low, high], "nice": False}
    decades = [10.0**at for at in range(math.ceil(math.log10(low)), math.ceil(math.log10(high)))] if in_time else None
    ticks = (FEW | {"format": "~g"} if in_time else PERCENT) | ({"values": decades} if decades else {})
    removed = {"domain": [min(0.0, *(point.y for point in found)) - MARGIN, 1 + MARGIN], "nice": False}
    axes = {
        "x": quantity("x", title=title, scale=scale, axis=ticks),
        "y": quantity("y", title="share of the attack removed", axis=PERCENT, scale=removed),
    }
    middles = _labelled(_middles(found, in_time), low, high, in_time)
    rows = [point.row for point in found]
    places: Spec = {field: {"expr": f"datum.{field}"} for field in ("dx", "dy", "align")}
    keys = families(rows)
    looks = told_by(keys)
    layers = [
        *points(rows, axes),
        part("point", axes | looks, middles, filled=True, size=130, opacity=1, stroke=INK, strokeWidth=1),
        part("text", axes | {"text": nominal("name")}, middles, color=INK, fontSize=11, **places),
    ]
    told = [f"{row['name']} {percent(float(row['y'] or 0))}" for row in middles]
    return Drawing(
        {"width": SIDE, "height": HEIGHT, "layer": layers},
        f"Share of the attack removed against {'its seconds' if in_time else 'its price in accuracy'}",
        [
            "Large: mean over the attacks that all of its family and access are ranked on.",
            "Small: each attack; grey: not ranked.",
        ],
        f"{counted(len(found), 'cell')}{unranked(shown)}. "
        f"Mean share removed: {', '.join(told) or 'no defense is ranked'}.",
        keys,
    )


def _price(cell: Cell, price: Price) -> float | None:
    if price == "accuracy":
        return cell.cost("sham", "control")
    return None if cell.seconds is None else max(cell.seconds, LEAST)


def _ends(values: Sequence[float], in_time: bool) -> tuple[float, float]:
    """Of the axis of prices, with room for labels."""
    low, high = min(values), max(values)
    if in_time:
        return low / 1.5, high * 4
    room = max(high - low, 0.01)
    return low - room / 10, high + room / 4


def _middles(found: Sequence[Placed], in_time: bool) -> list[Row]:
    """A row for each ranked defense: its standing, at the mean of its ranked cells' prices."""
    cells = [point.cell for point in found]
    removed = {row.defense: row.removed for row in standings(cells) if row.removed is not None}
    rows: list[Row] = []
    for name in defenses(cells):
        own = [p for p in found if p.cell.label["defense"] == name and p.cell.status == "ranked"]
        if own and name in removed:
            x = (geometric_mean if in_time else fmean)([point.x for point in own])
            rows.append({"x": x, "y": removed[name], "name": name, "family": own[0].cell.family})
    return rows


def _labelled(rows: Sequence[Row], low: float, high: float, in_time: bool) -> list[Row]:
    """The rows with a place for each label that meets no earlier one and no mark, where there is such a place."""
    scale = math.log if in_time else float
    ends = scale(low), scale(high)
    at = [
        ((scale(float(r["x"] or 0)) - ends[0]) / (ends[1] - ends[0]) * SIDE, -float(r["y"] or 0) * HEIGHT) for r in rows
    ]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in at]
    made = []
    for (x, y), row in zip(at, rows, strict=True):
        boxes = [_box(x + dx, y + dy, align, str(row["name"])) for dx, dy, align in PLACES]
        free = [i for i, box in enumerate(boxes) if box[0] >= 0 and not any(_meet(box, other) for other in taken)]
        chosen = free[0] if free else 0
        taken.append(boxes[chosen])
        dx, dy, align = PLACES[chosen]
        made.append({**row, "dx": dx, "dy": dy, "align": align})
    return made


def _box(x: float, y: float, align: str, text: str) -> Box:
    left = x - LETTER * len(text) * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
    return (left, y - LINE / 2, left + LETTER * len(text), y + LINE / 2)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
