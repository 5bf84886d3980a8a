"""Let records from elsewhere in: check them, run some again, copy them create-only, and mark them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.admitting.claims import Residents, check
from benchmark.admitting.files import opened, sent
from benchmark.errors import BadInput
from benchmark.record import Record, load
from benchmark.results.archive import Archive
from benchmark.results.leaderboard import SEEDS, cells
from benchmark.results.marks import Standing, mark, marks
from benchmark.store import publish


@dataclass(frozen=True)
class Rules:
    """How an admission goes.

    Attributes:
        allowed: packages whose methods count besides ours.
        preliminary: whether cells of fewer than three seeds may enter.
        verify: how many cells are run again, of those that can be.
        draw: seed of which; not to be known by the submitter beforehand.
        overlap: compare by intervals in the same environment too.
    """

    allowed: Sequence[str] = ()
    preliminary: bool = False
    verify: int = 0
    draw: int = 0
    overlap: bool = False


@dataclass
class Outcome:
    """What became of the files that somebody sent.

    Attributes:
        admitted: new records, by their files.
        there: records that had been admitted before, by their files.
        standing: of what was admitted or run again, by key.
        refused: file -> why, in one line.
        unable: what a cell is called -> why it cannot be run again here, where that was asked for.
        apart: key -> what came out otherwise, of cells that stay reported since another processor may explain it.
        drawn: how many cells were drawn to be run again.
    """

    admitted: dict[Path, Record] = field(default_factory=dict)
    there: dict[Path, Record] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    unable: dict[str, str] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)
    drawn: int = 0


class Admission:
    """Files on their way into a folder of records.

    Args:
        into: the folder.
        rules: what is asked.
        store: whose decoded data verification uses.

    Raises:
        BadInput: it is no folder, or its marks cannot be read.
    """

    def __init__(self, into: Path, rules: Rules, store: Path) -> None:
        if into.exists() and not into.is_dir():
            raise BadInput(f"{into}: is no folder that records could enter; give --into another")
        self.into, self.rules, self.store = into, rules, store
        self.outcome = Outcome()
        self.data: dict[str, bytes] = {}  # key -> the file's content, as it was checked
        self.before = Archive(into).records if into.is_dir() else []
        self.residents = Residents(self.before)
        marks(into)  # before hours of verification

    def admit(self, sources: Iterable[Path]) -> Outcome:
        """Check files or folders of records, copy those that pass, and mark them.

        If a cell that is run again comes out otherwise, nothing of what was sent is admitted; unless another processor
        may explain it: then that cell is not marked. Cells that cannot be run again here are not drawn.

        Args:
            sources: files and folders; of folders all `.json` files at any depth.

        Raises:
            BadInput: there is no file, or what lies in the folder cannot be read.
        """
        outcome = self.outcome
        for path in sent(list(sources)):
            try:
                self._consider(path)
            except BadInput as error:
                outcome.refused[path] = str(error)
        if not self.rules.preliminary:
            self._ask_for_seeds()
        if self.rules.verify:
            self._verify()
        self._keep_ranks()
        fresh = {record.key: outcome.standing.get(record.key, "reported") for record in outcome.admitted.values()}
        outcome.standing.update(fresh)
        if outcome.standing:
            mark(self.into, outcome.standing)  # first: a record without a mark would count as one of ours
        for key in fresh:
            publish(self._place(key), self.data[key])
        return outcome

    def _place(self, key: str) -> Path:
        return self.into / key[:2] / f"{key}.json"

    def _consider(self, path: Path) -> None:
        record, data = opened(path)
        if record.key in self.data:
            raise BadInput(f"record {record.key} is in two files; send one")
        check(record, self.rules.allowed)
        place = self._place(record.key)
        there = place.exists()
        if there and (name := _conflict(record, load(place))):
            raise BadInput(f"{name} differs from the record of this key that is there; if that is wrong, say so")
        self.residents.welcome(record)
        self.data[record.key] = data
        (self.outcome.there if there else self.outcome.admitted)[path] = record

    def _ask_for_seeds(self) -> None:
        """Refuse cells of too few seeds, counting those that are there."""
        outcome = self.outcome
        seeds = Counter(map(_setting, (*outcome.admitted.values(), *self.before)))
        for path, record in list(outcome.admitted.items()):
            if (found := seeds[_setting(record)]) < SEEDS:
                del outcome.admitted[path]
                outcome.refused[path] = f"its cell has {found} of {SEEDS} seeds; send more, or admit it --preliminary"

    def _keep_ranks(self) -> None:
        """Refuse a reported record of a cell that has its seeds: a cell is as good as its weakest record."""
        outcome, known = self.outcome, marks(self.into)
        ours = Counter(_setting(record) for record in self.before if known.get(record.key) != "reported")
        for path, record in list(outcome.admitted.items()):
            if ours[_setting(record)] >= SEEDS and outcome.standing.get(record.key) != "reproduced":
                del outcome.admitted[path]
                outcome.refused[path] = "its cell has its seeds already; --verify it, or leave it out"

    def _verify(self) -> None:
        """Run some of the cells that can be again; mark those that come out, or refuse everything."""
        from benchmark.admitting.rerun import difference, drawn, feasible, workshop

        outcome, rules = self.outcome, self.rules
        candidates = {**outcome.admitted, **outcome.there}
        place = workshop(self.store, rules.draw)
        able, outcome.unable = feasible(cells(candidates.values()), place)
        sample = drawn(able, rules.verify, rules.draw)
        outcome.drawn = len(sample)
        for cell in sample:
            tried = ((record.key, difference(record, place, rules.overlap)) for record in cell.records)
            found = sorted(((key, other) for key, other in tried if other), key=lambda pair: pair[1].chance)
            key, other = found[0] if found else ("", None)  # what chance does not explain comes first
            if other is None:
                outcome.standing |= {record.key: "reproduced" for record in cell.records}
            elif other.chance:
                outcome.apart[key] = other.reason
            else:
                words = f"run again, {key} does not come out: {other.reason}"
                outcome.refused |= dict.fromkeys(candidates, words)
                outcome.admitted, outcome.there, outcome.standing = {}, {}, {}
                return


def _conflict(record: Record, other: Record) -> str | None:
    """The first field, costs and provenance apart, in which two records of a key differ."""
    first, second = (each.model_dump(exclude={"costs", "provenance"}) for each in (record, other))
    return next((name for name in first if first[name] != second[name]), None)


def _setting(record: Record) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(record.identity.items()))
