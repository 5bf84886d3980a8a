"""Small drawings for thousands of pages: lines as SVG path data, and what may be shown as a picture at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
WIDTH, HEIGHT = 160, 80  # units of a histogram or a curve; a ROC is a square of 100
BIG = 1e300  # larger numbers would overflow in a difference


class Histogram(NamedTuple):
    """Two histograms over the same bins, each as high as its largest bin allows."""

    negatives: str
    positives: str
    low: float
    high: float


class Line(NamedTuple):
    """A curve with its range."""

    path: str
    first: float
    last: float
    low: float
    high: float
    length: int


def picture(uri: str | None) -> str | None:
    """A data URI if it is nothing but a PNG, else None."""
    return uri if uri is not None and PICTURE.fullmatch(uri) else None


def roc(points: Sequence[tuple[float, float]]) -> str:
    """Path data of a ROC in a square of 100, false positives to the right; empty without points."""
    if not points:
        return ""
    across, up = 100 * np.clip(np.asarray(points, dtype=np.float64), 0, 1).T
    return _path(np.stack([across, 100 - up], axis=1).ravel().tolist())


def histogram(bins: Mapping[str, Sequence[float]]) -> Histogram | None:
    """Path data of a record's histogram; None where it has no bins."""
    edges = bins.get("edges", [])
    if len(edges) < 2:
        return None
    return Histogram(_steps(bins.get("negatives", [])), _steps(bins.get("positives", [])), edges[0], edges[-1])


def line(values: Sequence[float]) -> Line | None:
    """A curve over its index; None where there are not two values."""
    if len(values) < 2:
        return None
    values = [max(-BIG, min(BIG, value)) for value in values]
    low, high = min(values), max(values)
    across, up = WIDTH / (len(values) - 1), (HEIGHT / (high - low)) if high > low else 0.0
    places = [number for at, value in enumerate(values) for number in (at * across, HEIGHT - (value - low) * up)]
    return Line(_path(places), values[0], values[-1], low, high, len(values))


def curve(name: str, drawn: Line) -> str:
    """A curve as a figure with its words."""
    ends = f"{drawn.first:.3g} to {drawn.last:.3g}"
    told = f"{drawn.length} values from {ends}, between {drawn.low:.3g} and {drawn.high:.3g}"
    return (
        f'<figure><svg class="plot" viewBox="0 -2 {WIDTH} {HEIGHT + 4}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(name)}: {told}"><path class="line" d="{drawn.path}"/></svg>'
        f"<figcaption>{escape(name)}: {ends}</figcaption></figure>"
    )


def _steps(counts: Sequence[float]) -> str:
    """A closed outline of bars side by side."""
    most = max(counts, default=0)
    if most <= 0:
        return ""
    bar = f"V%.4gh{WIDTH / len(counts):.4g}"
    bars = bar * len(counts) % tuple([HEIGHT - HEIGHT * max(0, count) / most for count in counts])
    return f"M0 {HEIGHT}{bars}V{HEIGHT}Z"


def _path(places: Sequence[float]) -> str:
    """Points, x and y in turn, joined by lines; formatted all at once, since a site has millions."""
    return "M" + "L".join(["%.4g %.4g"] * (len(places) // 2)) % tuple(places) if places else ""
