"""The standing of defenses among their like: the attack, not the seed, is the unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmark.results.leaderboard import Cell


@dataclass(frozen=True)
class Standing:
    """A defense among those of its family with its access, on one data set, architecture and recipe.

    Attributes:
        board: the cells' board, then family and access.
        defense: its label.
        removed: mean removed share over the attacks that every member has a ranked cell for.
        attacks: how many those are.
        rank: from 1; None where there is no such attack.
    """

    board: tuple[str, ...]
    defense: str
    removed: float | None
    attacks: int
    rank: int | None


def standings(found: Sequence[Cell]) -> list[Standing]:
    """Rank defenses within each board by their mean removed share over the attacks they share."""
    boards: dict[tuple[str, ...], dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for cell in found:
        if cell.status == "ranked" and cell.removed is not None:
            board = (*cell.board, cell.family, cell.access)
            boards[board][cell.label["defense"]][cell.label["attack"]] = cell.removed
    table = []
    for board, defenses in boards.items():
        shared = set.intersection(*(set(attacks) for attacks in defenses.values()))
        means = {name: fmean(attacks[a] for a in shared) if shared else None for name, attacks in defenses.items()}
        for name, mean in means.items():
            better = [other for other in means.values() if mean is not None and other is not None and other > mean]
            table.append(Standing(board, name, mean, len(shared), None if mean is None else len(better) + 1))
    return sorted(table, key=lambda row: (row.board, row.rank or 0, row.defense))
