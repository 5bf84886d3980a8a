"""What draws the charts of pages, in a process of its own: it starts threads, and takes a second to get ready."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmark.results.charts.look import Drawing

Draw = Callable[[Drawing], str]


def renderer() -> Draw:
    """What makes an SVG without heading and legend of a chart; its first one is drawn already."""
    from benchmark.results.charts.files import svg

    draw = partial(svg, bare=True)
    draw(Drawing({"data": {"values": []}, "mark": "point"}, "", (), ""))
    return draw
