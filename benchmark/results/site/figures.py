"""The numbers of one cell as pages show them, computed once for the table and the cell's own page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean
from typing import NamedTuple

from benchmark.keys import hashed
from benchmark.record import Record, VictimScores
from benchmark.results.intervals import wilson
from benchmark.results.leaderboard import Cell
from benchmark.results.merits import detected
from benchmark.results.standings import Standing
from benchmark.results.tables import detection

VICTIMS = ("clean", "sham", "backdoored", "defended", "control")
SCORES = ("ca", "asr", "ra")
SLUG = 16  # hexadecimal digits that name a page


class Seed(NamedTuple):
    """One seed's count and the Wilson interval of its rate, both in percent."""

    seed: int
    hits: int
    n: int
    rate: float
    low: float
    high: float


class Score(NamedTuple):
    """A score over the seeds of a cell.

    Attributes:
        mean: of the seeds' rates, in percent; None where no seed has an answer.
        seeds: those with an answer.
    """

    mean: float | None
    seeds: tuple[Seed, ...]


class Rank(NamedTuple):
    """A defense's place among those of its family with its access on its board."""

    place: int
    among: int


@dataclass
class Figures:
    """A cell and what is derived from it.

    Attributes:
        cell: one setting, all its seeds.
        rank: of its defense, if the cell counts for it.
    """

    cell: Cell
    rank: Rank | None = None

    @cached_property
    def slug(self) -> str:
        """The name of its page: the beginning of a hash, whatever a record calls itself."""
        return slug(self.cell.records[0].identity)

    @cached_property
    def status(self) -> str:
        """As `Cell.status`, computed once."""
        return self.cell.status

    @cached_property
    def first(self) -> Record:
        """The record of the lowest seed, for what all seeds share."""
        return self.cell.records[0]

    @cached_property
    def rate(self) -> float | None:
        """Share of the training rows that are poisoned, in percent, as the attack's option says."""
        value = section(self.first, "attack").get("rate")
        return 100.0 * value if isinstance(value, int | float) else None

    @cached_property
    def attack(self) -> str:
        """The attack's label without its rate, which has a column of its own."""
        label = self.cell.label["attack"]
        return label if self.rate is None else label.replace(f" {self.rate:g} %", "", 1)

    @cached_property
    def modality(self) -> str:
        """What a row is, by the module of the victim: records have no field for it."""
        words = str(section(self.first, "architecture").get("_target_", "")).lower()
        return next((kind for kind in ("image", "text") if kind in words), "other")

    @cached_property
    def scores(self) -> Mapping[str, Mapping[str, Score]]:
        """Victim -> score; without those that no record has."""
        found = {}
        for victim in VICTIMS:
            shares = [(record.seed, victim_scores(record, victim)) for record in self.cell.records]
            held = [(seed, share) for seed, share in shares if share is not None]
            if held:
                found[victim] = {score: _score(held, score) for score in SCORES}
        return found

    def score(self, victim: str, name: str) -> Score:
        """One score; empty where no record has it."""
        return self.scores.get(victim, {}).get(name, Score(None, ()))

    @cached_property
    def effect(self) -> dict[str, float | None]:
        """Gain, removed, residual, and the accuracy lost on victim and control, in percent or points."""
        cell = self.cell
        removed = cell.removed
        found = {
            "gain": cell.gain,
            "removed": removed,
            "residual": None if removed is None else 1 - removed,
            "victim": cell.cost("backdoored", "defended"),
            "control": cell.cost("sham", "control"),
        }
        return {name: None if value is None else 100 * value for name, value in found.items()}

    @cached_property
    def detection(self) -> str:
        """What the defense detected, in words."""
        return detection(self.cell)

    @cached_property
    def detected(self) -> float | None:
        """The same as a number to sort by."""
        return detected(self.cell)

    @cached_property
    def probes(self) -> dict[str, float]:
        """Probe -> share of its rows on which the defended victim obeys, in percent, mean over seeds."""
        rates: dict[str, list[float]] = {}
        for record in self.cell.records:
            for name, victims in record.probes.items():
                rate = victims["defended"].rate if "defended" in victims else None
                if rate is not None:
                    rates.setdefault(name, []).append(100 * rate)
        return {name: fmean(found) for name, found in rates.items()}

    @cached_property
    def memory(self) -> float | None:
        """Peak megabytes of the defense, mean over seeds."""
        peaks = [record.costs["defended"].peak_memory for record in self.cell.records if "defended" in record.costs]
        return fmean(peaks) / 1e6 if peaks else None


def places(ranked: Sequence[Standing]) -> dict[tuple[str, ...], Rank]:
    """Board, family, access and defense -> its rank."""
    members = Counter(standing.board for standing in ranked)
    return {(*s.board, s.defense): Rank(s.rank, members[s.board]) for s in ranked if s.rank is not None}


def slug(value: object) -> str:
    """A file's name that no text in a record can choose."""
    return hashed(value)[:SLUG]


def section(record: Record, part: str) -> Mapping[str, object]:
    """A part of a record's configuration; empty where a stranger wrote something else there."""
    found = record.config.get(part)
    return found if isinstance(found, Mapping) else {}


def victim_scores(record: Record, victim: str) -> VictimScores | None:
    """What one victim of a record scored."""
    found: VictimScores | None = getattr(record.scores, victim) if record.scores is not None else None
    return found


def _score(held: list[tuple[int, VictimScores]], name: str) -> Score:
    seeds = tuple(_seed(seed, count.hits, count.n) for seed, share in held if (count := getattr(share, name)).n)
    return Score(fmean(seed.rate for seed in seeds) if seeds else None, seeds)


def _seed(seed: int, hits: int, n: int) -> Seed:
    return Seed(seed, hits, n, 100 * hits / n, *_interval(hits, n))


@lru_cache(maxsize=100_000)  # many counts are alike
def _interval(hits: int, n: int) -> tuple[float, float]:
    low, high = wilson(hits, n)
    return 100 * low, 100 * high
