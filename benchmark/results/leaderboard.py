"""From records to cells (one setting, all its seeds) and their status.

The rules are those of docs/design.md, section 5: gate on the whole cell, never drop a seed, compare only within a
family with the same access, take the attack and not the seed as the unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

from benchmark.errors import BadInput
from benchmark.record import Record, VictimScores
from benchmark.results.archive import Archive
from benchmark.results.labels import labels
from benchmark.results.marks import STANDINGS, Standing, marks, standing_of

GATE = 0.50  # least mean(ASR backdoored - ASR sham) for an attack to have worked
COSTLY = 0.05  # clean accuracy a defense may cost, on victim or control
SEEDS = 3  # fewer are preliminary
PARTS = ("environment", "dataset", "architecture", "recipe", "attack", "transfer", "defense")


def read(source: Path) -> list[Record]:
    """All records of a folder or a Parquet file, in order of their keys, without their evidence.

    Raises:
        BadInput: one of them cannot be read, has an unknown schema or another's name, or is there twice.
    """
    return Archive(source).records


@dataclass(frozen=True)
class Cell:
    """One setting with all its seeds.

    Attributes:
        records: one a seed, ascending; of one setting, one torch version and one kind of device.
        label: part -> what to call it, e.g. "attack" -> "BadNets 5 %".
        standing: the worst of its records: "reported" or "not reproduced" if one came from elsewhere and did not come
            out here.
    """

    records: Sequence[Record]
    label: Mapping[str, str]
    standing: Standing = "reproduced"

    @cached_property
    def board(self) -> tuple[str, ...]:
        """What is never pooled: data set, architecture, recipe, transfer, and the environment's identity."""
        return (*(self.label[part] for part in ("dataset", "architecture", "recipe", "transfer", "environment")),)

    @property
    def family(self) -> str:
        """The defense's family."""
        return self.records[0].methods.defense.family

    @property
    def access(self) -> str:
        """What the defense was given."""
        return " + ".join(self.records[0].methods.defense.needs)

    def rates(self, victim: str, score: str) -> list[float]:
        """One rate a seed, in [0, 1]; a seed without an answer is left out.

        Args:
            victim: clean, sham (the clean one where the attack has no sham), backdoored, defended or control.
            score: ca, asr or ra.
        """
        scored = [_victim(record, victim) for record in self.records if record.scores]
        rates = [count.rate for count in map(attrgetter(score), scored)]
        return [rate for rate in rates if rate is not None]

    def mean(self, victim: str, score: str) -> float | None:
        """Mean over seeds, or None where no seed has an answer."""
        if (victim, score) not in self._means:
            rates = self.rates(victim, score)
            self._means[victim, score] = fmean(rates) if rates else None
        return self._means[victim, score]

    @cached_property
    def _means(self) -> dict[tuple[str, str], float | None]:
        """What was asked before: pages and charts ask again and again."""
        return {}

    @cached_property
    def gain(self) -> float | None:
        """What the attack won: mean ASR of the backdoored victim less that of the sham."""
        backdoored, sham = self.mean("backdoored", "asr"), self.mean("sham", "asr")
        return None if backdoored is None or sham is None else backdoored - sham

    @cached_property
    def removed(self) -> float | None:
        """Share of the attack's gain that the defense took away, 1 - residual; None where there was no gain."""
        defended, control = self.mean("defended", "asr"), self.mean("control", "asr")
        if not self.gain or self.gain <= 0 or defended is None or control is None:
            return None
        return 1 - max(0.0, defended - control) / self.gain

    def cost(self, before: str, after: str) -> float | None:
        """Clean accuracy lost from one victim to another, mean over seeds."""
        first, second = self.mean(before, "ca"), self.mean(after, "ca")
        return None if first is None or second is None else first - second

    @cached_property
    def seconds(self) -> float | None:
        """Mean wall seconds of the defense on the backdoored victim."""
        costs = [record.costs["defended"].seconds for record in self.records if "defended" in record.costs]
        return fmean(costs) if costs else None

    @cached_property
    def status(self) -> str:
        """`ranked`, or why not: the first that holds."""
        checks: list[tuple[str, Callable[[], bool]]] = [
            ("not applicable", lambda: any(record.status == "not applicable" for record in self.records)),
            ("no attack", lambda: self.gain is None),
            ("no defense", lambda: self.family == "none"),
            ("attack failed", lambda: (self.gain or 0) < GATE),
            ("oracle", lambda: any(_has_oracle(record.config.get("defense")) for record in self.records)),
            ("collapsed", self._collapsed),
            ("degraded", self._degraded),
            ("reported", lambda: self.standing != "reproduced"),
            ("preliminary", lambda: len(self.records) < SEEDS),
        ]
        return next((name for name, holds in checks if holds()), "ranked")

    def _collapsed(self) -> bool:
        chance = fmean(record.rows.largest_class or 0 for record in self.records)
        after, before = self.mean("defended", "ca"), self.mean("backdoored", "ca")
        return after is not None and before is not None and after - chance < (before - chance) / 2

    def _degraded(self) -> bool:
        costs = self.cost("backdoored", "defended"), self.cost("sham", "control")
        return any(cost is not None and cost > COSTLY for cost in costs)


def leaderboard(source: Path) -> list[Cell]:
    """All cells of a folder of records or a Parquet file, with their marks.

    Raises:
        BadInput: a record cannot be read, has an unknown schema or another's name, or is there twice; or the marks.
    """
    return cells(Archive(source).records, marks(source))


def cells(records: Iterable[Record], known: Mapping[str, Standing] = MappingProxyType({})) -> list[Cell]:
    """Group records by everything but the seed; ordered by data set, architecture, recipe, attack, family, defense.

    Args:
        records: in any order.
        known: key -> mark, of those that came from elsewhere.

    Raises:
        BadInput: two records say that they are the same run, or one lacks a part of its identity.
    """
    groups: dict[frozenset[tuple[str, str]], dict[int, Record]] = defaultdict(dict)
    for record in records:
        first = groups[frozenset(record.identity.items())].setdefault(record.seed, record)
        if first.key != record.key:
            raise BadInput(f"records {first.key} and {record.key} say that they are the same run; remove one")
    ordered = [[seeds[seed] for seed in sorted(seeds)] for seeds in groups.values()]
    for group in ordered:
        for part in PARTS:
            if part not in group[0].identity:
                raise BadInput(f"record {group[0].key}: its identity has no {part}; remove it")
    names = {part: labels(part, [group[0] for group in ordered]) for part in PARTS}
    found = []
    for group in ordered:
        label = {part: names[part][group[0].identity[part]] for part in PARTS}
        found.append(Cell(group, label, min((standing_of(r.key, known) for r in group), key=STANDINGS.index)))
    return sorted(found, key=lambda cell: (cell.board, cell.label["attack"], cell.family, cell.label["defense"]))


def _victim(record: Record, name: str) -> VictimScores:
    assert record.scores is not None
    found: VictimScores | None = getattr(record.scores, name)
    return found if found is not None else record.scores.clean


def _has_oracle(config: object) -> bool:
    return isinstance(config, Mapping) and any(
        name.startswith("oracle_") and value is not None and value is not False for name, value in config.items()
    )
