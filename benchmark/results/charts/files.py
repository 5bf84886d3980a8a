"""Charts as files: SVG without scripts and addresses, PNG and PDF for paper, and the words that stand for them."""

from __future__ import annotations

import hashlib
import html
import json
import re
from functools import lru_cache
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
NAMED = re.compile(r'( id="|"url\(#)(\w+)')


def svg(drawing: Drawing) -> str:
    """A chart as an SVG element that asks nobody for anything, labelled with its words.

    Args:
        drawing: made by this package.
    """
    made = UNUSED.sub("", str(vl_convert.vega_to_svg(json.dumps(_compiled(spec(drawing))), allowed_base_urls=[])))
    label = html.escape(drawing.words)
    return _renamed(made).replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _compiled(whole: Spec) -> Spec:
    """A chart in Vega's terms. Most boards' charts differ in their rows alone, so they are compiled without."""
    tables: dict[str, Any] = {}
    compiled: Spec = json.loads(_vega(json.dumps(_without_rows(whole, tables))))
    for table in compiled["data"]:
        if table["name"] in tables:
            table["values"] = tables[table["name"]]
    return compiled


def _without_rows(part: Any, tables: dict[str, Any]) -> Any:
    """The same, with names of tables where it had rows; `tables` gets them."""
    if isinstance(part, list):
        return [_without_rows(each, tables) for each in part]
    if not isinstance(part, dict):
        return part
    if "values" in part.get("data", {}):
        name = f"rows {len(tables)}"
        tables[name] = part["data"]["values"]
        part = {**part, "data": {"name": name}}
    return {key: _without_rows(each, tables) for key, each in part.items()}


@lru_cache(maxsize=100)
def _vega(text: str) -> str:
    return json.dumps(vl_convert.vegalite_to_vega(text))


def _renamed(made: str) -> str:
    """Parts that others refer to, named after the picture: several share a page, and the renderer counts on and on."""
    names = {name: f"{at}" for at, name in enumerate(dict.fromkeys(name for _, name in NAMED.findall(made)))}
    numbered = NAMED.sub(lambda found: found[1] + names[found[2]], made)
    mine = hashlib.sha256(numbered.encode()).hexdigest()[:8]
    return NAMED.sub(lambda found: f"{found[1]}p{mine}-{names[found[2]]}", made)


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
    if suffix == ".pdf":
        replace(path, vl_convert.vegalite_to_pdf(_on_paper(spec(drawing)), allowed_base_urls=[]))
    else:
        white = {**spec(drawing), "background": "white"}
        replace(path, vl_convert.vegalite_to_png(_on_paper(white), scale=SCALE, allowed_base_urls=[]))


def _on_paper(whole: Spec) -> str:
    return json.dumps(whole).replace(INK, PAPER)


def spec(drawing: Drawing) -> Spec:
    """A whole chart in Vega-Lite's terms."""
    heading = {
        "text": drawing.title,
        "subtitle": list(drawing.lines),
        "anchor": "start",
        "frame": "group",
        "offset": 12,
    }
    return {"$schema": SCHEMA, **drawing.spec, "config": config(), **({"title": heading} if drawing.title else {})}
