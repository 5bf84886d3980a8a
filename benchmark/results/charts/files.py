"""Charts as files: SVG without scripts and addresses, PNG and PDF for paper, and the words that stand for them."""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import vl_convert

from benchmark.results.charts.look import INK, Drawing, Spec, config
from benchmark.results.outputs import drawable, writable
from benchmark.store import replace

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nobody asks for it
PAPER = "#222222"  # ink on white
SCALE = 2  # pixels of a PNG for each of the chart
# Words on every part, which the description replaces, classes that a page's style might know, an address nobody asks.
UNUSED = re.compile(r' (?:role|aria-roledescription|aria-hidden|class|xmlns:xlink)="[^"]*"')
NAMED = re.compile(r'(?:(?<= id=")|(?<="url\(#))\w+')


def svg(drawing: Drawing, ink: str = INK, bare: bool = False) -> str:
    """A chart as an SVG element that asks nobody for anything, labelled with its words.

    Args:
        drawing: made by this package.
        ink: colour of text and axes; `currentColor` where the SVG stands inside a page and follows its text.
        bare: without heading and legend, for a page that sets them as text.
    """
    made = UNUSED.sub("", str(vl_convert.vegalite_to_svg(_text(spec(drawing, bare), ink), allowed_base_urls=[])))
    label = html.escape(drawing.words)
    return _renamed(made).replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _renamed(made: str) -> str:
    """Parts that others refer to, named after the picture: several share a page, and the renderer counts on and on."""
    names = {name: f"{at}" for at, name in enumerate(dict.fromkeys(NAMED.findall(made)))}
    numbered = NAMED.sub(lambda found: names[found[0]], made)
    mine = hashlib.sha256(numbered.encode()).hexdigest()[:8]
    return NAMED.sub(lambda found: f"p{mine}-{names[found[0]]}", made)


def write(drawing: Drawing, path: Path) -> None:
    """Leave a chart as SVG, PNG or PDF, as the suffix says.

    Raises:
        BadInput: another suffix, or the file cannot be written there.
    """
    suffix = drawable(path)
    writable(path)
    if suffix == ".svg":
        replace(path, svg(drawing).encode())
        return
    whole = spec(drawing)
    if suffix == ".pdf":
        replace(path, vl_convert.vegalite_to_pdf(_text(whole, PAPER), allowed_base_urls=[]))
    else:
        whole["config"]["background"] = "white"
        replace(path, vl_convert.vegalite_to_png(_text(whole, PAPER), scale=SCALE, allowed_base_urls=[]))


def spec(drawing: Drawing, bare: bool = False) -> Spec:
    """A whole chart in Vega-Lite's terms; `bare` leaves out heading and legend."""
    look, chart = config(), {"$schema": SCHEMA, **drawing.spec}
    if bare:
        return {**_unexplained(chart), "config": look}
    heading = {
        "text": drawing.title,
        "subtitle": list(drawing.lines),
        "anchor": "start",
        "frame": "group",
        "offset": 12,
    }
    return {**chart, "config": look, "title": heading}


def _unexplained(part: Any) -> Any:
    """A chart without legends; `config.legend.disable` would not reach those that say something of themselves."""
    if isinstance(part, dict):
        return {k: v if k == "data" else None if k == "legend" else _unexplained(v) for k, v in part.items()}
    return [_unexplained(each) for each in part] if isinstance(part, list) else part


def _text(whole: Spec, ink: str) -> str:
    return json.dumps(whole).replace(INK, ink)
