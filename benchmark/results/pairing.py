"""Which cells of two defenses are met under the same conditions, and what is missing where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from benchmark.results.leaderboard import PARTS, SEEDS, Cell
from benchmark.results.reproduce import command

# An attack that has failed, or that a defense has nothing to say about, is not worth another defense's hours.
FUTILE = ("not applicable", "no attack", "attack failed")
# About the attack, and so of both defenses alike.
SHARED = ("no attack", "attack failed", "preliminary")

Unit = tuple[str, ...]  # identities of everything but the defense


@dataclass(frozen=True)
class Pair:
    """An attack on one board, met by two defenses with the same seeds: the unit of a comparison.

    Attributes:
        reference: the first defense's cell, of the shared seeds alone.
        other: the second's.
    """

    reference: Cell
    other: Cell

    @property
    def board(self) -> tuple[str, ...]:
        """The board both cells are on."""
        return self.reference.board

    @property
    def attack(self) -> str:
        """The attack's label."""
        return self.reference.label["attack"]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that both defenses have."""
        return tuple(record.seed for record in self.reference.records)

    @property
    def reason(self) -> str:
        """Why the pair counts for no mean and no test; empty where it does."""
        told: dict[str, list[str]] = {}
        for cell in (self.reference, self.other):
            if cell.status != "ranked" or not _answered(cell):
                status = cell.status if cell.status != "ranked" else "a seed without an answer"
                told.setdefault(status, []).append(cell.label["defense"])
        return "; ".join(
            status if status in SHARED or len(names) == 2 else f"{status}: {names[0]}" for status, names in told.items()
        )

    @property
    def removed(self) -> float:
        """Share of the attack that the other removes beyond the reference; for pairs that count."""
        return (self.other.removed or 0.0) - (self.reference.removed or 0.0)

    @property
    def residuals(self) -> list[tuple[float, float]]:
        """For each seed what the reference and the other leave of the attack's mean gain, not yet cut at 0."""
        left = []
        for cell in (self.reference, self.other):
            rates = zip(cell.rates("defended", "asr"), cell.rates("control", "asr"), strict=True)
            left.append([(defended - control) / (cell.gain or 1.0) for defended, control in rates])
        return list(zip(*left, strict=True))

    def cost(self, before: str, after: str) -> float:
        """Clean accuracy that the other costs beyond the reference, from one victim to another; mean over seeds."""
        return (self.other.cost(before, after) or 0.0) - (self.reference.cost(before, after) or 0.0)


class Missing(NamedTuple):
    """Runs without which a pair is incomplete.

    Attributes:
        defense: its label.
        attack: its label.
        board: of the attack's cells.
        seeds: which.
        command: what makes them.
    """

    defense: str
    attack: str
    board: tuple[str, ...]
    seeds: tuple[int, ...]
    command: str


def pairs(found: Sequence[Cell], reference: str, other: str) -> tuple[list[Pair], list[Missing]]:
    """Cells of two defenses with the same attack on the same board, and the runs that are missing for more of them.

    Args:
        found: cells of one call of `benchmark.results.leaderboard.cells`.
        reference: a defense's label.
        other: another's.
    """
    units: dict[Unit, dict[str, Cell]] = {}
    for cell in found:
        if cell.label["defense"] in (reference, other):
            units.setdefault(_unit(cell), {})[cell.label["defense"]] = cell
    defenses = {name: cell for unit in units.values() for name, cell in unit.items()}
    met, missing = [], []
    for unit in units.values():
        missing += list(_lacking(unit, defenses))
        shared = set.intersection(*({record.seed for record in cell.records} for cell in unit.values()))
        if len(unit) == 2 and shared:
            met.append(Pair(*(_restricted(unit[name], shared) for name in (reference, other))))
    return met, missing


def _lacking(unit: Mapping[str, Cell], defenses: Mapping[str, Cell]) -> Iterator[Missing]:
    if any(cell.status in FUTILE for cell in unit.values()):
        return
    there = {name: {record.seed for record in cell.records} for name, cell in unit.items()}
    wanted = set.union(*there.values())
    wanted |= set([seed for seed in range(len(wanted) + SEEDS) if seed not in wanted][: max(0, SEEDS - len(wanted))])
    some = next(iter(unit.values()))
    for name, cell in defenses.items():
        seeds = sorted(wanted - there.get(name, set()))
        if seeds:
            told = command(some.records[0], defense=cell.records[0].config["defense"], seed=seeds)
            yield Missing(name, some.label["attack"], some.board, tuple(seeds), told)


def _restricted(cell: Cell, seeds: set[int]) -> Cell:
    return replace(cell, records=[record for record in cell.records if record.seed in seeds])


def _answered(cell: Cell) -> bool:
    """Whether every seed has all the rates that a removed share is made of."""
    answers = (("backdoored", "asr"), ("sham", "asr"), ("defended", "asr"), ("control", "asr"))
    return all(len(cell.rates(victim, score)) == len(cell.records) for victim, score in answers)


def _unit(cell: Cell) -> Unit:
    return tuple(cell.records[0].identity[part] for part in PARTS if part != "defense")
