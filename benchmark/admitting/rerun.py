"""Run a stranger's cells again, in a store that the stranger's artefacts cannot have reached, and compare."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark import keys
from benchmark.admitting.vetting import installed, shown, targets
from benchmark.record import Count, Record
from benchmark.results.leaderboard import Cell
from benchmark.results.statistics import wilson
from benchmark.run import run

SHARED = ("data", "downloads")  # of the store: decoded rows and what they came from, which no archive brings
OURS = {"tracker": {"_target_": "benchmark.tracker.NoTracker"}, "retry": True}
MEASURED = ("rows", "scores", "probes", "detection", "methods")  # what must come out again, bit for bit


def drawn(cells: Sequence[Cell], count: int, draw: int) -> list[Cell]:
    """The cells to run again: those of `count` places that a seed draws.

    Args:
        cells: in the leaderboard's order.
        count: how many; all where there are fewer.
        draw: the seed, which the submitter must not know beforehand.
    """
    return random.Random(draw).sample(list(cells), min(count, len(cells)))


def workshop(store: Path, draw: int) -> Path:
    """The store of a verification: new but for decoded data; the same draw continues in it.

    A record or victim that was imported from the submitter would otherwise be found, and agree with itself.

    Args:
        store: whose data sets are used.
        draw: the verification's seed.
    """
    root = store / "verifications" / str(draw)
    root.mkdir(parents=True, exist_ok=True)
    for part in SHARED:
        (store / part).mkdir(exist_ok=True)
        if not (root / part).exists():
            (root / part).symlink_to((store / part).resolve())
    return root


def difference(record: Record, store: Path, overlap: bool = False) -> str | None:
    """Run a vetted record's configuration, and tell the first thing that came out otherwise; None if nothing did.

    In the same environment (protocol, torch, kind of device, threads, precision) all that was measured must be equal.
    In another, the Wilson 95 % intervals of every score must overlap.

    Args:
        record: checked by `benchmark.admitting.claims.check`.
        store: of the verification.
        overlap: judge by intervals in the same environment too, where processors are known to calculate otherwise.
    """
    if not all(installed(target) for target in targets(record.config)):
        return "a method of it is not installed, so it cannot be run again"
    if any(keys.is_path(name) and value for name, value in record.config["dataset"].items()):
        return "its data set is a path, so it cannot be run again here"
    try:
        ours = run({**record.config, **OURS, "store": str(store)})
    except Exception as error:  # noqa: BLE001  # whatever a stranger's options led a method to raise
        return f"running it again failed: {shown(error)}"
    same = ours.identity["environment"] == record.identity["environment"]
    if ours.provenance.dataset != record.provenance.dataset:
        return "its data set's rows are not those here"
    return _unequal(record, ours) if same and not overlap else _apart(record, ours)


def _unequal(theirs: Record, ours: Record) -> str | None:
    if theirs.key != ours.key:
        return f"its configuration has the key {ours.key} here"
    first, second = (dict(_leaves(record.model_dump(include=set(MEASURED)))) for record in (theirs, ours))
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            return f"{name} is {shown(first.get(name))}, here it is {shown(second.get(name))}"
    return None


def _apart(theirs: Record, ours: Record) -> str | None:
    if theirs.status != ours.status or theirs.methods != ours.methods or theirs.rows.test != ours.rows.test:
        return "its status, methods or rows are not those here"
    first, second = dict(_scores(theirs)), dict(_scores(ours))
    for name, count in first.items():
        other = second.get(name)
        if other is None or bool(other.n) != bool(count.n):
            return f"{name} is asked of other rows here"
        if count.n and not _overlap(count, other):
            return f"{name} is {count.hits} of {count.n}, here {other.hits} of {other.n}: their intervals do not meet"
    return None


def _overlap(first: Count, second: Count) -> bool:
    one, other = wilson(first.hits, first.n), wilson(second.hits, second.n)
    return one.low <= other.high and other.low <= one.high


def _scores(record: Record) -> Iterator[tuple[str, Count]]:
    for name, victim in record.scores or ():
        yield from ((f"scores.{name}.{score}", count) for score, count in victim or ())
    for probe, victims in record.probes.items():
        yield from ((f"probes.{shown(probe)}.{name}", count) for name, count in victims.items())


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}".lstrip("."))
    else:
        yield name, value
