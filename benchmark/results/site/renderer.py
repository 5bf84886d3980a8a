"""What draws the charts of pages, in a process of its own: it starts threads, and takes a second to get ready."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmark.results.charts.look import Drawing

# Pages hold text, not letters' shapes, so fonts only say how wide a label is. The machine's would be opened for every
# letter of every label, which is most of a chart's time, and would make pages differ from machine to machine.
FONTS = Path(__file__).with_name("fonts.conf")

Draw = Callable[[Drawing], str]


def renderer() -> Draw:
    """What makes an SVG of a chart; its first one is drawn already."""
    os.environ["FONTCONFIG_FILE"] = str(FONTS)  # read once, when the first font is needed
    from benchmark.results.charts.files import svg

    svg(Drawing({"data": {"values": []}, "mark": "point"}, "", (), ""))
    return svg
