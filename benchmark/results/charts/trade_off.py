"""Clean accuracy against attack success, and the front that no defense beats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmark.results.charts.look import INK, PERCENT, SIDE, Drawing, families, nominal, part, points, quantity
from benchmark.results.charts.points import Placed, Row, one_board, pareto, placed, unranked
from benchmark.results.leaderboard import Cell
from benchmark.words import counted, percent

CROSS = "M-1,-1L1,1M-1,1L1,-1"
FAR = 0.1  # accuracy below the least ranked one that is worth a place of its own
LISTED = 8  # points of the front that have a number, and a line below the heading
HEIGHT = SIDE * 3 // 4
DIGIT, LINE = 7, 12  # pixels that a digit is wide and a number high

Front = dict[tuple[float, float], list[str]]


def trade_off(cells: Sequence[Cell]) -> Drawing | None:
    """Clean accuracy against attack success of every defended victim, with the front of the ranked ones.

    Args:
        cells: of one board.
    """
    shown = one_board(cells)
    found = placed((cell.mean("defended", "asr"), cell.mean("defended", "ca"), cell) for cell in shown)
    if not found:
        return None
    attacked = {c.label["attack"]: (c.mean("backdoored", "asr"), c.mean("backdoored", "ca"), c) for c in shown}
    start, front = placed(attacked.values()), _front(found)
    floor = _floor([*start, *found])
    below = sum(point.y < floor for point in found)
    accuracy = {"domain": [floor, 1], "clamp": True, "nice": False}
    axes = {
        "x": quantity("x", title="attack success, defended (lower is better)", axis=PERCENT),
        "y": quantity("y", title="clean accuracy, defended (higher is better)", axis=PERCENT, scale=accuracy),
    }
    corners: list[Row] = [{"x": x, "y": y} for x, y in front]
    numbers = _numbers(list(front)[:LISTED], max(point.x for point in (*start, *found)), floor)
    beside = axes | {"text": nominal("name")}
    rows = [point.row for point in found]
    layers = [
        part("line", axes, corners, color=INK, strokeDash=[4, 3], interpolate="step-after"),
        part("point", axes, [point.row for point in start], shape=CROSS, color=INK, size=30),
        *points(rows, axes),
        part("text", beside, numbers, color=INK, align="left", dx=3, dy=-10, fontSize=11),
    ]
    return Drawing(
        {"width": SIDE, "height": HEIGHT, "layer": layers},
        "Clean accuracy against attack success: a point for each attack and defense",
        _subtitle(front, below),
        f"{counted(len(found), 'defended victim')} by clean accuracy and attack success{unranked(shown)}. "
        + (f"No ranked one beats {'; '.join(_told(*each) for each in front.items())}." if front else "None is ranked."),
        families(rows),
    )


def _floor(found: Sequence[Placed]) -> float:
    """Where the axis of accuracies begins, in steps of 5 points: below the least, but for those that lost too much."""
    least = min((point.y for point in found if point.cell.status in ("ranked", "reported", "preliminary")), default=1.0)
    near = [point.y for point in found if point.y >= least - FAR]
    return max(0.0, (min(near or [0.0]) - 0.01) // 0.05 * 0.05)


def _front(found: Sequence[Placed]) -> Front:
    """Points of the Pareto front of ranked cells, and who is there."""
    ranked = [point for point in found if point.cell.status == "ranked"]
    front: Front = {}
    for at in pareto([(point.x, point.y) for point in ranked]):
        label = ranked[at].cell.label
        front.setdefault((ranked[at].x, ranked[at].y), []).append(f"{label['defense']} on {label['attack']}")
    return front


def _numbers(front: Sequence[tuple[float, float]], right: float, floor: float) -> list[Row]:
    """A number beside each point; points so near that their numbers would overlap share one beside the last, as "1-2".

    Args:
        front: (attack success, accuracy), ascending in both.
        right: the highest attack success on the chart.
        floor: the lowest accuracy on it.
    """
    rows: list[Row] = []
    first, end = 1, (-math.inf, -math.inf)  # of the latest number: the first point's, and its corner up right
    for at, (x, y) in enumerate(front, 1):
        place = x / (right or 1) * SIDE, (y - floor) / (1 - floor) * HEIGHT
        if place[0] < end[0] and place[1] < end[1]:
            rows.pop()
        else:
            first = at
        name = str(at) if first == at else f"{first}-{at}"
        end = place[0] + DIGIT * len(name), place[1] + LINE
        rows.append({"x": x, "y": y, "name": name})
    return rows


def _subtitle(front: Front, below: int) -> list[str]:
    listed = [f"{at}: {'; '.join(names)}" for at, names in enumerate(front.values(), 1)]
    more = [f"and {len(listed) - LISTED} more"] if len(listed) > LISTED else []
    edge = f" On the lower edge: {below} less accurate." if below else ""
    best = "Dashed and numbered: ranked, and beaten by none in both." if front else "None is ranked."
    return [
        f"{best} Crosses: the victims without a defense.",
        f"Grey: not ranked.{edge}",
        *listed[:LISTED],
        *more,
    ]


def _told(place: tuple[float, float], names: Sequence[str]) -> str:
    return f"{', '.join(names)} (accuracy {percent(place[1])}, attack success {percent(place[0])})"
