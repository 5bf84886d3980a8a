"""Whether a record's numbers fit each other: everything is counted on the rows that the record has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmark.admitting.vetting import MOST, refuse, shown
from benchmark.record import Detection, InputDetection, Record, RowCounts, RowDetection, Separation


def check_counts(record: Record) -> None:
    """Refuse a record whose numbers no run can have given.

    Args:
        record: read strictly.

    Raises:
        BadInput: which, in one line.
    """
    for name, value in _numbers(record.model_dump()):
        if abs(value) > MOST:
            refuse(f"{shown(name)}: {shown(value)} is too large a number")
    _scores(record)
    if record.detection is not None:
        _detection(record.detection, record)


def _scores(record: Record) -> None:
    """Every score is of the rows that it is a score on."""
    rows, scores = record.rows, record.scores
    if (record.status == "complete") != (scores is not None) or (record.reason is None) != (scores is not None):
        refuse(f"status is {record.status!r}, which its scores or its reason contradict")
    if record.detection is not None and scores is None:
        refuse("detection: nothing was scored")
    victims = {name: victim for name, victim in scores or () if victim is not None}
    for name, victim in victims.items():
        for score, n in (("ca", rows.test), ("asr", rows.challenge), ("ra", rows.challenge)):
            if (found := getattr(victim, score).n) != n:
                refuse(f"scores.{name}.{score}: has n={found}, the record's rows say {n}")
        if (met := victim.asr.hits + victim.ra.hits) > rows.challenge:
            refuse(f"scores.{name}: {met} of {rows.challenge} triggered rows have the attacker's label or their own")
    for field in ("weights", "costs"):
        if set(getattr(record, field)) != set(victims):
            refuse(f"{field}: are of other victims than the scores")
    for split, seen in record.stealth or ():
        if not 0 <= seen.unchanged <= seen.n <= (rows.poisoned if split == "train" else rows.challenge):
            refuse(f"stealth.{split}: {seen.unchanged} unchanged of {seen.n} rows, more than there are")
    for probe, found in record.probes.items():
        if set(found) != set(victims) or len({count.n for count in found.values()}) != 1:
            refuse(f"probes.{shown(probe)}: not every victim was asked the same rows")


def _detection(detection: Detection, record: Record) -> None:
    """What was found is counted on the same rows: with others of somebody's choice every interval would be wide."""
    wanted = [*_of_rows(detection.rows, record.rows)] if detection.rows else []
    wanted += [*_of_inputs(detection.inputs, record)] if detection.inputs else []
    for name, found, least, most in wanted:
        if not least <= found <= most:
            limit = f"{most}" if least == most else f"{least} to {most}"
            refuse(f"detection.{name}: is {found}, the record's rows say {limit}")
    for table, parts in (("rows", detection.rows), ("inputs", detection.inputs)):
        for name, part in parts or ():
            if isinstance(part, Separation):
                _separation(f"detection.{table}.{name}", part)


def _of_rows(found: RowDetection, rows: RowCounts) -> Iterator[tuple[str, int, int, int]]:
    """Name, number, least and most it can be; covers are neither poisoned nor clean."""
    poisoned, clean = rows.poisoned, rows.train - rows.poisoned - rows.covers
    yield "rows.separation.positives", found.separation.positives, poisoned, poisoned
    yield "rows.separation.negatives", found.separation.negatives, clean, clean
    yield "rows.within_target.positives", found.within_target.positives, poisoned, poisoned
    yield "rows.within_target.negatives", found.within_target.negatives, 0, clean
    for name, n in (("recall", poisoned), ("false_flags", clean), ("control_flags", rows.train)):
        if (count := getattr(found, name)) is not None:
            yield f"rows.{name}.n", count.n, n, n
    if found.precision and found.recall and found.false_flags:  # the same flags, counted from the other side
        flagged = found.recall.hits + found.false_flags.hits
        yield "rows.precision.hits", found.precision.hits, found.recall.hits, found.recall.hits
        yield "rows.precision.n", found.precision.n, flagged, flagged


def _of_inputs(found: InputDetection, record: Record) -> Iterator[tuple[str, int, int, int]]:
    """Name, number, least and most it can be; those that succeed are the backdoored victim's attack success."""
    assert record.scores is not None
    rows, succeed = record.rows, record.scores.backdoored.asr.hits
    yield "inputs.separation.positives", found.separation.positives, rows.challenge, rows.challenge
    yield "inputs.separation.negatives", found.separation.negatives, rows.test, rows.test
    yield "inputs.successful.positives", found.successful.positives, succeed, succeed
    yield "inputs.successful.negatives", found.successful.negatives, rows.test, rows.test


def _separation(name: str, found: Separation) -> None:
    for rate, value in (("auroc", found.auroc), ("tpr_at_1", found.tpr_at_1), ("tpr_at_5", found.tpr_at_5)):
        if value is not None and not (0 <= value <= 1 and found.positives and found.negatives):
            refuse(f"{name}.{rate}: is {shown(value)}, of {found.positives} against {found.negatives} rows")


def _numbers(value: object, name: str = "") -> Iterator[tuple[str, int | float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item, name)
    elif isinstance(value, int | float):
        yield name, value
