"""Whether a run that was made again came out as the record says: bit for bit, or as near as chance explains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from benchmark.admitting.vetting import shown
from benchmark.record import Count, Detection, Record, Separation, Visibility
from benchmark.results.intervals import Interval, auroc_interval, wilson

MEASURED = ("status", "reason", "rows", "scores", "probes", "detection", "methods")  # must come out bit for bit
BESIDE = ("stealth", "curves", "weights", "evidence")  # the same with the same packages, which compress pictures
GIVEN = ("status", "methods", "rows")  # what another processor does not change
SEEN = 0.1  # share by which the visibility of a trigger that is learnt may differ on another processor

Cause = Literal["record", "chance", "machine"]


class Measure(NamedTuple):
    """A number that another processor may change a little.

    Attributes:
        text: how an error shows it.
        interval: in which the truth lies by 95 %; None where nothing was asked.
        rows: how many were asked, where they are the same rows in both environments; else None.
    """

    text: str
    interval: Interval | None
    rows: int | None = None


class Difference(NamedTuple):
    """What came out otherwise.

    Attributes:
        reason: in a line.
        cause: "record", unless another processor could have made it of an honest run, or this machine could not run it.
    """

    reason: str
    cause: Cause = "record"


def unequal(theirs: Record, ours: Record) -> Difference | None:
    """The first thing in which two runs of one environment differ at all; None if there is none.

    Where scores are equal and weights or pictures are not, two processors of a kind may have rounded otherwise.

    Args:
        theirs: what was sent.
        ours: the same configuration, run here.
    """
    if theirs.key != ours.key:
        return Difference(f"its configuration has the key {ours.key} here")
    if (other := _other(theirs, ours, MEASURED)) or theirs.provenance.versions != ours.provenance.versions:
        return other or apart(theirs, ours)
    beside = _other(theirs, ours, BESIDE if theirs.stealth else BESIDE[1:])  # older records do not tell it
    return Difference(beside.reason, "chance") if beside else None


def apart(theirs: Record, ours: Record) -> Difference | None:
    """What differs between runs of two environments, first what no chance explains; None if nothing does.

    Status, methods and rows must be equal, and so must what was measured at all. Of counts Wilson's 95 % intervals must
    meet, of areas under curves Hanley and McNeil's. A trigger must be as visible, by a tenth. Verdicts on models may
    flip: they have no interval. The intervals are those of rows; how a score varies with another training they do not
    know, so chance may have done it.

    Args:
        theirs: what was sent.
        ours: the same configuration, run here.
    """
    if other := _other(theirs, ours, GIVEN):
        return other
    known = ours if theirs.stealth else ours.model_copy(update={"stealth": None})  # older records do not tell it
    first, second = dict(_measures(theirs)), dict(_measures(known))
    chance: Difference | None = None  # told only where nothing else is
    for name in dict.fromkeys([*first, *second]):
        one, two = first.get(name), second.get(name)
        if one is None or two is None:
            return Difference(f"{name} is {_there(one)}, here it is {_there(two)}")
        if one.rows != two.rows:
            return Difference(f"{name} is asked of {one.rows} rows, here of {two.rows}")
        if one.interval and two.interval and not _meet(one.interval, two.interval):
            told = f"{name} is {one.text}, here {two.text}: their intervals do not meet"
            chance = chance or Difference(told, "chance")
    return chance


def _other(theirs: Record, ours: Record, parts: tuple[str, ...]) -> Difference | None:
    first, second = (dict(_leaves(record.model_dump(include=set(parts)))) for record in (theirs, ours))
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            return Difference(f"{name} is {shown(first.get(name))}, here it is {shown(second.get(name))}")
    return None


def _there(measure: Measure | None) -> str:
    return "missing" if measure is None else "there"


def _meet(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high


def _measures(record: Record) -> Iterator[tuple[str, Measure]]:
    for name, victim in record.scores or ():
        yield from ((f"scores.{name}.{score}", _share(count, count.n)) for score, count in victim or ())
    for probe, victims in record.probes.items():
        yield from ((f"probes.{shown(probe)}.{name}", _share(count, count.n)) for name, count in victims.items())
    if record.detection is not None:
        yield from _found(record.detection, record.rows.challenge)
    for split, visibility in record.stealth or ():
        yield from _seen(f"stealth.{split}", visibility)


def _found(detection: Detection, challenge: int) -> Iterator[tuple[str, Measure]]:
    """A table that is there, and of it counts and areas that are there; what is flagged may be more rows or fewer."""
    for table, found in detection:
        if found is not None:
            yield f"detection.{table}", Measure("there", None)
        for name, value in found or ():
            if isinstance(value, Count):
                yield f"detection.{table}.{name}", _share(value)
            elif isinstance(value, Separation) and value.auroc is not None:
                interval = auroc_interval(value.auroc, value.positives, value.negatives)
                yield f"detection.{table}.{name}.auroc", Measure(f"{value.auroc:.4f}", interval)
    if detection.inputs:  # few of them would make any area likely
        succeed = Count(hits=detection.inputs.successful.positives, n=challenge)
        yield "detection.inputs.successful.positives", _share(succeed)


def _seen(name: str, found: Visibility) -> Iterator[tuple[str, Measure]]:
    yield f"{name}.unchanged", _share(Count(hits=found.unchanged, n=found.n), found.n)
    for measure in ("psnr", "ssim", "colour_difference"):
        if (value := getattr(found, measure)) is not None:
            half = abs(value) * SEEN / 2
            yield f"{name}.{measure}", Measure(f"{value:.4g}", Interval(value - half, value + half))


def _share(count: Count, rows: int | None = None) -> Measure:
    return Measure(f"{count.hits} of {count.n}", wilson(count.hits, count.n) if count.n else None, rows)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key if str(key).isidentifier() else shown(key)}".lstrip("."))
    else:
        yield name, value
