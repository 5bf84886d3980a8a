"""Small drawings for thousands of pages, as figures with their words.

All of it is HTML already, every text escaped: a template would take several times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pydantic_core import to_json

from benchmark.results.charts.points import Roc

WIDTH, HEIGHT = 160, 80  # units of a histogram or a curve; a ROC is a square of 1
LARGE = 1e9  # counts beyond which bars are written as shares: a drawing's numbers have single precision
BIG, TINY = 1e300, 1e-300  # larger numbers would overflow in a difference, and smaller ones in a quotient


def roc(name: str, curves: Sequence[Roc], auroc: float | None, told: str = "ROC") -> str:
    """ROCs in one square as a figure, false positives to the right; empty without any.

    Args:
        name: of the detector or of its view.
        curves: a line each.
        auroc: the area below them, if records tell it.
        told: what stands below the square, before the area, as HTML.
    """
    lines = "".join([f'<path class="line" d="{_joined(points)}"/>' for points in curves if points])
    if not lines:
        return ""
    area = "" if auroc is None else f"AUROC {auroc:.3f}"
    paths = f'<path class="chance" d="M0 0L1 1"/>{lines}'
    shapes = f'<g transform="matrix(1 0 0 -1 0 1)">{paths}</g>'  # upwards, and no sum for each point
    label = f"ROC, {escape(name)}{area and ': ' + area}"
    return _drawn("plot square", "0 0 1 1", label, shapes, f"{told}{area and ', ' + area}")


def _joined(points: Roc) -> str:
    """Points of the unit square joined by lines; as JSON, whose numbers are written quickest."""
    return "M" + to_json(points)[2:-2].decode().replace("],[", "L")


def histogram(name: str, bins: Mapping[str, Sequence[float]]) -> str:
    """Two histograms over the same bins as a figure, each as high as its largest bin allows; empty without bins.

    Args:
        name: of the detector's view.
        bins: `edges`, `negatives` and `positives`, as records hold them.
    """
    edges = bins.get("edges", [])
    if len(edges) < 2:
        return ""
    kinds = ("negative", "positive")
    shapes = "".join([_steps(kind, bins.get(f"{kind}s", [])) for kind in kinds])
    label = f"Histogram of suspicion, {escape(name)}: {edges[0]:.4g} to {edges[-1]:.4g}"
    keys = '<span class="key negative">clean</span>, <span class="key positive">to be found</span>'
    told = f"{escape(name)}: suspicion from {edges[0]:.3g} to {edges[-1]:.3g}; {keys}, each to its own height"
    return _drawn("plot", f"0 0 {WIDTH} {HEIGHT}", label, shapes, told, stretched=True)


def curve(name: str, values: Sequence[float]) -> str:
    """Values over their index as a figure; empty where there are not two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    if low < -BIG or high > BIG:
        values = [max(-BIG, min(BIG, value)) for value in values]
        low, high = min(values), max(values)
    across, up = WIDTH / (len(values) - 1), (HEIGHT / (high - low)) if high - low > TINY else 0.0
    places = [number for at, value in enumerate(values) for number in (at * across, HEIGHT - (value - low) * up)]
    ends = f"{values[0]:.3g} to {values[-1]:.3g}"
    label = f"{escape(name)}: {len(values)} values from {ends}, between {low:.3g} and {high:.3g}"
    shapes = f'<path class="line" d="{_path(places)}"/>'
    return _drawn("plot", f"0 -2 {WIDTH} {HEIGHT + 4}", label, shapes, f"{escape(name)}: {ends}", stretched=True)


def _drawn(kind: str, box: str, label: str, shapes: str, told: str, stretched: bool = False) -> str:
    """A drawing with its words, which are HTML already."""
    how = ' preserveAspectRatio="none"' * stretched
    drawing = f'<svg class="{kind}" viewBox="{box}"{how} role="img" aria-label="{label}">{shapes}</svg>'
    return f"<figure>{drawing}<figcaption>{told}</figcaption></figure>"


def _steps(kind: str, counts: Sequence[float]) -> str:
    """Bars side by side as a closed outline, one wide and as high as they count, then stretched to the picture."""
    most = max(counts, default=0)
    if most < TINY:
        return f'<path class="{kind}" d=""/>'
    if min(counts) < 0 or most > LARGE:
        counts, most = [max(0, count) / most for count in counts], 1
    stretched = f"matrix({WIDTH / len(counts):.4g} 0 0 {-HEIGHT / most:.4g} 0 {HEIGHT})"
    heights = to_json(counts)[1:-1].decode().replace(",", "h1V")
    return f'<path class="{kind}" transform="{stretched}" d="M0 0V{heights}h1V0Z"/>'


def _path(places: Sequence[float]) -> str:
    """Points, x and y in turn, joined by lines; formatted all at once, since a site has millions."""
    return "M" + "L".join(["%.4g %.4g"] * (len(places) // 2)) % tuple(places) if places else ""
