"""The page of a cell: its scores with every seed, and of each run pictures, curves, costs, hashes and origin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmark.errors import BadInput
from benchmark.record import Evidence, Record
from benchmark.results.reproduce import command
from benchmark.results.site.drawings import Histogram, Line, curve, histogram, line, picture, roc
from benchmark.results.site.figures import VICTIMS, Figures, Score
from benchmark.results.site.listings import Listing, listings, terms

EMPTY = Evidence(clean_inputs=None, triggered_inputs=None, pictures={}, curves={}, roc={}, histograms={})
STATUS = {  # what a status means, in a sentence that goes on after the word
    "ranked": "counts in its family's ranking",
    "not applicable": "these methods do not meet",
    "no attack": "the victim has no backdoor",
    "no defense": "a baseline without a defense",
    "attack failed": "the attack gained under 50 points",
    "oracle": "the defense was told what a defender cannot know",
    "collapsed": "half of the accuracy above chance is gone",
    "degraded": "over 5 points of clean accuracy lost on the victim or on the control",
    "reported": "sent by others, and not run again here",
    "preliminary": "fewer than 3 seeds",
}


class Detector(NamedTuple):
    """What a detector's scores look like in one run."""

    name: str
    auroc: float | None
    roc: str
    histogram: Histogram | None


class Run(NamedTuple):
    """A record and its evidence, ready to be shown."""

    record: Record
    clean: str | None
    triggered: str | None
    pictures: list[tuple[str, str]]
    detectors: list[Detector]
    curves: list[tuple[str, Line]]
    losses: list[tuple[str, Line]]
    lists: list[Listing]


class Link(NamedTuple):
    """The page beside this one."""

    slug: str
    title: str


def page(figures: Figures, evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """What cell.html shows.

    Args:
        figures: of the cell.
        evidence: by the keys of its records.
    """
    cell = figures.cell
    return {
        "f": figures,
        "cell": cell,
        "label": cell.label,
        "meaning": STATUS[figures.status],
        "victims": [(victim, figures.scores[victim]) for victim in VICTIMS if victim in figures.scores],
        "seeds": _seeds,
        "curve": curve,
        "identity": terms(figures.first.identity.items(), code=True),
        "runs": [_run(record, evidence.get(record.key, EMPTY)) for record in cell.records],
        "config": json.dumps(_settings(figures.first), indent=1, ensure_ascii=False),
        "command": _command(figures),
    }


def _seeds(score: Score) -> str:
    """Each seed of a score with its interval and counts, as HTML of numbers alone."""
    told = [f"{s.rate:.1f} <i>[{s.low:.1f}, {s.high:.1f}]</i> {s.hits}/{s.n}" for s in score.seeds]
    return "".join([f"<small>{seed}</small>" for seed in told])


def _settings(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.config.items() if name != "seed"}


def _command(figures: Figures) -> str | None:
    """How to make the cell again; None where a stranger's configuration is none that this version could run."""
    seeds = [record.seed for record in figures.cell.records]
    try:
        return command(figures.first, seed=seeds if len(seeds) > 1 else seeds[0])
    except (BadInput, KeyError, TypeError, AttributeError, ValueError):
        return None


def _run(record: Record, evidence: Evidence) -> Run:
    shown = ((name, picture(uri)) for name, uri in evidence.pictures.items())
    return Run(
        record,
        picture(evidence.clean_inputs),
        picture(evidence.triggered_inputs),
        [(name, uri) for name, uri in shown if uri is not None],
        [_detector(record, evidence, name) for name in {**evidence.roc, **evidence.histograms}],
        _lines(evidence.curves),
        _lines(record.curves),
        listings(record),
    )


def _lines(curves: Mapping[str, list[float]]) -> list[tuple[str, Line]]:
    drawn = ((name, line(values)) for name, values in curves.items())
    return [(name, curve) for name, curve in drawn if curve is not None]


def _detector(record: Record, evidence: Evidence, name: str) -> Detector:
    bins = evidence.histograms.get(name)
    return Detector(
        name, _auroc(record, name), roc(evidence.roc.get(name, [])), None if bins is None else histogram(bins)
    )


def _auroc(record: Record, name: str) -> float | None:
    """Of a curve, by the name that `benchmark.detection` gave it."""
    rows = record.detection.rows if record.detection else None
    inputs = record.detection.inputs if record.detection else None
    held = {
        "rows": rows and rows.separation,
        "rows within target": rows and rows.within_target,
        "inputs separation": inputs and inputs.separation,
        "inputs successful": inputs and inputs.successful,
    }
    found = held.get(name)
    return found.auroc if found else None
