"""Let records from elsewhere in: check them, run some again, copy them create-only, and mark them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmark.admitting.claims import Residents, check
from benchmark.admitting.files import opened, sent
from benchmark.admitting.outcome import Outcome, Rules
from benchmark.errors import BadInput
from benchmark.record import Record, load
from benchmark.results.archive import Archive
from benchmark.results.leaderboard import SEEDS, cells
from benchmark.results.marks import mark, marks, standing_of
from benchmark.store import publish

if TYPE_CHECKING:
    from benchmark.admitting.comparing import Cause, Difference


class Admission:
    """Files on their way into a folder of records.

    Args:
        into: the folder.
        rules: what is asked.
        store: whose decoded data verification uses.

    Raises:
        BadInput: it is no folder and cannot become one, or its marks cannot be read.
    """

    def __init__(self, into: Path, rules: Rules, store: Path) -> None:
        _try(into)
        self.into, self.rules, self.store = into, rules, store
        self.outcome = Outcome()
        self.data: dict[str, bytes] = {}  # key -> the file's content, as it was checked
        self.before = Archive(into).records if into.is_dir() else []
        self.residents = Residents(self.before)
        marks(into)  # before hours of verification

    def admit(self, sources: Iterable[Path]) -> Outcome:
        """Check files or folders of records, copy those that pass, and mark them.

        If a cell that is run again comes out otherwise, nothing of what was sent is admitted, and what lies there
        already is marked; unless another processor may explain it: then that cell is not marked. Cells that cannot be
        run again here are not drawn.

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
        ours = Counter(_setting(record) for record in self.before if standing_of(record.key, known) == "reproduced")
        for path, record in list(outcome.admitted.items()):
            if ours[_setting(record)] >= SEEDS and outcome.standing.get(record.key) != "reproduced":
                del outcome.admitted[path]
                outcome.refused[path] = "its cell has its seeds already; --verify it, or leave it out"

    def _verify(self) -> None:
        """Run some of the cells that can be again; mark those that come out, or refuse everything."""
        from benchmark.admitting.rerun import called, difference, doubted, drawn, feasible, workshop

        outcome, rules = self.outcome, self.rules
        candidates = {**outcome.admitted, **outcome.there}
        place = workshop(self.store, rules.draw)
        able, outcome.unable = feasible(cells(candidates.values()), place)
        known = marks(self.into) | dict.fromkeys([record.key for record in outcome.admitted.values()], "reported")
        sample = drawn(doubted(able, known), rules.verify, rules.draw)
        outcome.drawn = len(sample)
        for cell in sample:
            tried = ((record.key, difference(record, place, rules.overlap)) for record in cell.records)
            found = {key: other for key, other in tried if other}
            if lies := _reasons(found, "record"):
                self._turn_away(lies)
                return
            outcome.apart |= _reasons(found, "chance")
            outcome.unable += [(called(cell), reason) for reason in dict.fromkeys(_reasons(found, "machine").values())]
            if not found:
                outcome.standing |= {record.key: "reproduced" for record in cell.records}

    def _turn_away(self, lies: Mapping[str, str]) -> None:
        """Refuse all that is new, and mark what did not come out of what lies there."""
        outcome = self.outcome
        key, reason = next(iter(lies.items()))
        words = f"run again, {key} does not come out: {reason}"
        outcome.refused |= dict.fromkeys(outcome.admitted, words)
        outcome.admitted, outcome.standing = {}, {}
        for path, record in list(outcome.there.items()):
            if record.key in lies:
                del outcome.there[path]
                told = f"it lies there as {self._place(record.key)}, marked `not reproduced`: remove it"
                outcome.refused[path] = f"run again, it does not come out: {lies[record.key]}; {told}"
                outcome.standing[record.key] = "not reproduced"


def _try(into: Path) -> None:
    """Find out before hours of verification whether records can enter a folder, which need not be there yet."""
    home = next(path for path in (into, *into.parents) if path.exists())
    try:
        with TemporaryDirectory(suffix=".tmp", dir=home):
            pass
    except OSError as error:
        raise BadInput(
            f"{into}: is no folder that records could enter ({error.strerror}); give --into another"
        ) from error


def _reasons(found: Mapping[str, Difference], cause: Cause) -> dict[str, str]:
    return {key: other.reason for key, other in found.items() if other.cause == cause}


def _conflict(record: Record, other: Record) -> str | None:
    """The first field, costs and provenance apart, in which two records of a key differ."""
    first, second = (each.model_dump(exclude={"costs", "provenance"}) for each in (record, other))
    return next((name for name in first if first[name] != second[name]), None)


def _setting(record: Record) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(record.identity.items()))
