"""Charts as files: SVG without scripts and addresses, PNG and PDF for paper, and the words that stand for them."""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from altair.typing import ChartType

from benchmark.results.charts.look import INK
from benchmark.results.outputs import drawable, writable
from benchmark.store import replace

PAPER = "#222222"  # ink on white
SCALE = 2  # pixels of a PNG for each of the chart
# Words on every part, which the description replaces, classes that a page's style might know, an address nobody asks.
UNUSED = re.compile(r' (?:role|aria-roledescription|aria-hidden|class|xmlns:xlink)="[^"]*"')
NAMED = re.compile(r'(?:(?<= id=")|(?<="url\(#))\w+')


def described(chart: ChartType) -> str:
    """What the chart shows in one or two sentences, with its main numbers."""
    return str(chart.description)


def untitle(chart: ChartType) -> tuple[str, list[str]]:
    """Take its heading off a chart, for a page that sets it as text; returns the title, and the lines below it."""
    heading, chart.title = chart.title, alt.Undefined
    return str(heading["text"]), list(heading["subtitle"])


def svg(chart: ChartType, ink: str = INK) -> str:
    """A chart as an SVG element that asks nobody for anything, labelled with its description.

    Args:
        chart: made by this package.
        ink: colour of text and axes; `currentColor` where the SVG stands inside a page and follows its text.
    """
    made = UNUSED.sub("", str(vl_convert.vegalite_to_svg(_text(chart, ink), allowed_base_urls=[])))
    label = html.escape(described(chart))
    return _renamed(made).replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _renamed(made: str) -> str:
    """Parts that others refer to, named after the picture: several share a page, and the renderer counts on and on."""
    names = {name: f"{at}" for at, name in enumerate(dict.fromkeys(NAMED.findall(made)))}
    numbered = NAMED.sub(lambda found: names[found[0]], made)
    mine = hashlib.sha256(numbered.encode()).hexdigest()[:8]
    return NAMED.sub(lambda found: f"p{mine}-{names[found[0]]}", made)


def write(chart: ChartType, path: Path) -> None:
    """Leave a chart as SVG, PNG or PDF, as the suffix says.

    Raises:
        BadInput: another suffix, or the file cannot be written there.
    """
    suffix = drawable(path)
    writable(path)
    if suffix == ".svg":
        replace(path, svg(chart).encode())
    elif suffix == ".pdf":
        replace(path, vl_convert.vegalite_to_pdf(_text(chart, PAPER), allowed_base_urls=[]))
    else:
        spec: dict[str, Any] = json.loads(_text(chart, PAPER))
        spec["config"]["background"] = "white"
        replace(path, vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=[]))


def _text(chart: ChartType, ink: str) -> str:
    # Not held against the schema: these charts are, in their tests, and it takes longer than to draw them.
    return str(chart.to_json(validate=False, indent=None)).replace(INK, ink)
