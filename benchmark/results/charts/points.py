"""What charts draw: cells of one board as plain rows, and the front of those that nothing beats."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from benchmark.record import Evidence
from benchmark.results.leaderboard import Cell
from benchmark.words import counted, percent, rounded

Row = dict[str, str | float | bool | None]
Roc = Sequence[tuple[float, float]]  # (false, true positive rate), ascending

DIGITS = re.compile(r"([0-9]+)")
SHORT: Mapping[str, str] = {"attack failed": "failed", "not applicable": "n/a"}  # statuses too long for a square
EFFECT = (
    "Share of the attack's gain that a defense removed, in percent",
    "Mean over seeds. Hatched squares are not ranked, and say why. Compare within a family.",
)  # title of a heat map, and the line below it
REFERENCES = ("no attack", "no defense")  # cells without something to remove, or without something that removes
LOOKED_AT = ("rows", "inputs separation")  # names of the evidence's curves over all rows, or all inputs
WITHOUT_GAIN = ("attack failed", "not applicable")  # their removed share means nothing


class Placed(NamedTuple):
    """A cell on a chart of two numbers."""

    x: float
    y: float
    cell: Cell

    @property
    def row(self) -> Row:
        """The point as data."""
        return {"x": self.x, "y": self.y, "family": self.cell.family, "ranked": self.cell.status == "ranked"}


def placed(found: Iterable[tuple[float | None, float | None, Cell]]) -> list[Placed]:
    """Those that have both numbers."""
    return [Placed(x, y, cell) for x, y, cell in found if x is not None and y is not None]


def one_board(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that hold an attack and a defense.

    Raises:
        ValueError: they belong to several boards, which are never pooled.
    """
    if len({cell.board for cell in cells}) > 1:
        raise ValueError(f"cells of {len({cell.board for cell in cells})} boards in one chart")
    return [cell for cell in cells if cell.status not in REFERENCES]


def defenses(cells: Sequence[Cell]) -> list[str]:
    """Labels of the defenses, those of one family and access together."""
    ordered = sorted((cell.family, cell.access, cell.label["defense"]) for cell in cells)
    return list(dict.fromkeys(label for _, _, label in ordered))


def attacks(cells: Sequence[Cell]) -> list[str]:
    """Labels of the attacks in alphabetical order, numbers by their size."""
    return sorted({cell.label["attack"] for cell in cells}, key=_natural)


def _natural(label: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in DIGITS.split(label)]


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other beats: lower in the first number or higher in the second, and no worse in the other.

    Args:
        points: (to be low, to be high), such as (ASR, CA).

    Returns:
        Their positions, in ascending order of the first number; of equal points, all.
    """
    front, best, met = [], -math.inf, -math.inf  # `met`: the first number at which `best` was reached
    for at in sorted(range(len(points)), key=lambda at: (points[at][0], -points[at][1])):
        low, high = points[at]
        if high > best or (high == best and low == met):
            front.append(at)
            best, met = high, low
    return front


def looked_at(evidence: Evidence | None) -> Roc:
    """A filter's curve on all training rows, or an input detector's on all triggered inputs; empty without either."""
    found = evidence.roc if evidence else {}
    return next((found[name] for name in LOOKED_AT if name in found), ())


class Square(NamedTuple):
    """A cell on a heat map.

    Attributes:
        removed: the share of the attack's gain that the defense took away, at most 1; None where that means nothing.
        number: the same in percent, or empty.
        ranked: whether it counts.
        short: its status in as few letters as fit.
    """

    removed: float | None
    number: str
    ranked: bool
    short: str


def square(cell: Cell) -> Square:
    """What a heat map says of a cell."""
    removed = None if cell.status in WITHOUT_GAIN else cell.removed
    number = "" if removed is None else rounded(100 * removed, 0)
    ranked = cell.status == "ranked" and removed is not None
    return Square(removed, number, ranked, SHORT.get(cell.status, cell.status))


def removed_in_words(cells: Sequence[Cell]) -> str:
    """The least and the most that was removed, and how many cells are not ranked.

    Args:
        cells: as `one_board` leaves them.
    """
    ranked = [(cell.removed, cell) for cell in cells if cell.status == "ranked" and cell.removed is not None]
    size = f"Removed share of {counted(len(attacks(cells)), 'attack')} by {counted(len(defenses(cells)), 'defense')}"
    if not ranked:
        return f"{size}: no cell is ranked{unranked(cells)}."
    least, most = (pick(ranked, key=lambda pair: pair[0]) for pick in (min, max))
    told = [f"{percent(share)} ({c.label['defense']} on {c.label['attack']})" for share, c in (least, most)]
    return f"{size}: from {told[0]} to {told[1]} in {counted(len(ranked), 'ranked cell')}{unranked(cells)}."


def unranked(cells: Sequence[Cell]) -> str:
    """How many cells are not ranked and why, as a clause, or an empty string."""
    counts = Counter(cell.status for cell in cells if cell.status != "ranked")
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return f"; not ranked: {told}" if told else ""
