"""What a chart's marks mean, as HTML: it wraps on a phone, and its letters would take longer to draw than the marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from benchmark.results.charts.look import INK, Key

SHAPES: Mapping[str, str] = {  # in a square from -6 to 6
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "square": "M-5 -5H5V5H-5Z",
    "triangle-up": "M0 -5L6 5H-6Z",
    "triangle-down": "M0 5L6 -5H-6Z",
    "diamond": "M0 -6L5 0L0 6L-5 0Z",
}


def legend(keys: Sequence[Key]) -> str:
    """A list of marks and their labels, which are escaped; empty without any."""
    items = [f"<li>{_mark(key)} {escape(key.label)}</li>" for key in keys]
    # Without bullets it is no list to Safari, unless it says so.
    return f'<ul class="keys" role="list">{"".join(items)}</ul>' if items else ""


def _mark(key: Key) -> str:
    colour = "currentColor" if key.colour == INK else key.colour
    if key.shape:
        box, drawn = "-7 -7 14 14", f'<path d="{SHAPES[key.shape]}" fill="{colour}"/>'
    else:
        dashes = " ".join(map(str, key.dash))
        line = f'stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dashes}"'
        box, drawn = "0 -7 28 14", f'<path d="M0 0H28" {line}/>'
    return f'<svg viewBox="{box}" aria-hidden="true">{drawn}</svg>'
