"""The page of a cell: its scores with every seed, and of each run pictures, curves, costs, hashes and origin."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import Any, NamedTuple

from pydantic_core import to_json

from benchmark.errors import BadInput
from benchmark.record import Evidence, Record
from benchmark.results.reproduce import command
from benchmark.results.site.drawings import curve, histogram, roc
from benchmark.results.site.figures import VICTIMS, Figures, Score
from benchmark.results.site.listings import listings, terms
from benchmark.results.site.pictures import Pictures
from benchmark.results.site.templating import number

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
    "reported": "sent by others, and not reproduced here",
    "preliminary": "fewer than 3 seeds",
}
STANDING = {  # the same of what came from elsewhere
    "reported": "sent by others, and not run again here",
    "not reproduced": "sent by others, and something else came out when it was run again here",
}


class Run(NamedTuple):
    """A record and its evidence, as HTML.

    Attributes:
        seed: of the record.
        pictures: inputs without and with the trigger, and what the defense drew.
        drawings: what its detectors' scores look like, and its curves.
        losses: of each training.
        lists: everything else.
    """

    seed: int
    pictures: str
    drawings: str
    losses: str
    lists: str


class Link(NamedTuple):
    """The page beside this one."""

    slug: str
    title: str


def page(figures: Figures, evidence: Mapping[str, Evidence], pictures: Pictures) -> dict[str, Any]:
    """What cell.html shows.

    Args:
        figures: of the cell.
        evidence: by the keys of its records.
        pictures: where those of its records are left.
    """
    cell = figures.cell
    return {
        "f": figures,
        "cell": cell,
        "label": cell.label,
        "meaning": STANDING[cell.standing] if figures.status == "reported" else STATUS[figures.status],
        "standing": None if figures.status == "reported" else STANDING.get(cell.standing),
        "scores": _scores(figures),
        "facts": _facts(figures),
        "identity": terms([(part, escape(told)) for part, told in figures.first.identity.items()], code=True),
        "runs": [_run(record, evidence.get(record.key, EMPTY), pictures) for record in cell.records],
        "config": to_json(_settings(figures.first), indent=1).decode(),
        "command": _command(figures),
    }


def _scores(figures: Figures) -> str:
    """A table row for each victim, as HTML of numbers and our own words alone; empty where nothing was scored."""
    shares = [(victim, figures.scores[victim]) for victim in VICTIMS if victim in figures.scores]
    rows = [f'<tr><th scope="row">{victim}</th>{"".join(map(_score, share.values()))}</tr>' for victim, share in shares]
    return "\n".join(rows)


def _score(score: Score) -> str:
    """The mean, and below it each seed with its interval and counts."""
    told = [_counted(seed.hits, seed.n, seed.low, seed.high) for seed in score.seeds]
    return f"<td><b>{number(score.mean)}</b>{''.join(told)}</td>"


@lru_cache(maxsize=100_000)  # many counts are alike
def _counted(hits: int, n: int, low: float, high: float) -> str:
    return f"<small>{100 * hits / n:.1f} <i>[{low:.1f}, {high:.1f}]</i> {hits}/{n}</small>"


def _facts(figures: Figures) -> str:
    """What the scores come to, and what else was measured."""
    effect = figures.effect
    lines = [
        ("Gain of the attack", number(effect["gain"])),
        ("Removed, %", number(effect["removed"])),
        ("Left (residual), %", number(effect["residual"])),
        ("Accuracy cost, victim", number(effect["victim"])),
        ("Accuracy cost, control", number(effect["control"])),
        ("Detection", escape(figures.detection)),
        ("Re-activation", escape("; ".join([f"{name} {rate:.1f}" for name, rate in figures.probes.items()])) or "-"),
        ("Seconds", number(figures.cell.seconds)),
        ("Peak memory, MB", number(figures.memory, ".0f")),
    ]
    return terms(lines)


def _settings(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.config.items() if name != "seed"}


def _command(figures: Figures) -> str | None:
    """How to make the cell again; None where a stranger's configuration is none that this version could run."""
    seeds = [record.seed for record in figures.cell.records]
    try:
        return command(figures.first, seed=seeds if len(seeds) > 1 else seeds[0])
    except (BadInput, KeyError, TypeError, AttributeError, ValueError):
        return None


def _run(record: Record, evidence: Evidence, pictures: Pictures) -> Run:
    figures = [
        pictures.figure(evidence.clean_inputs, "Clean test inputs", "clean inputs"),
        pictures.figure(evidence.triggered_inputs, "The same inputs with the trigger", "the same with the trigger"),
        *(
            pictures.figure(uri, f"From the defense: {name}", f"from the defense: {name}")
            for name, uri in evidence.pictures.items()
        ),
    ]
    drawings = [_detector(record, evidence, name) for name in {**evidence.roc, **evidence.histograms}]
    drawings += [curve(name, values) for name, values in evidence.curves.items()]
    losses = [_losses(stage, tuple(values)) for stage, values in record.curves.items()]
    return Run(record.seed, "".join(figures), "".join(drawings), "".join(losses), listings(record))


@lru_cache(maxsize=1000)  # runs share most of their victims
def _losses(stage: str, values: tuple[float, ...]) -> str:
    return curve(f"training loss, {stage}", values)


def _detector(record: Record, evidence: Evidence, name: str) -> str:
    """What a detector's scores look like in one run."""
    drawn = roc(name, [evidence.roc.get(name, [])], _auroc(record, name))
    return histogram(name, evidence.histograms.get(name, {})) + drawn


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
