"""A row of the table as HTML, for the page before its script runs and for tables without scripts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any

from benchmark.results.site.table import COLUMNS
from benchmark.results.site.templating import number, status

PLAIN = 1000  # rows of a table without scripts
AT = {column.name: at for at, column in enumerate(COLUMNS)}
UNDER: Mapping[str, Callable[[Sequence[Any]], str]] = {  # what a name has below it, as in page.js
    "attack": lambda row: "",
    "defense": lambda row: f"{row[AT['family']]} · {row[AT['access']] or 'nothing'}",
    "dataset": lambda row: f"{row[AT['architecture']]} · {row[AT['recipe']]}",
}


def html(row: Sequence[Any], root: str) -> str:
    """A table row; every text is escaped.

    Args:
        row: as `benchmark.results.site.table.row` makes it.
        root: leads to the site's folder.
    """
    parts = []
    for column, value in zip(COLUMNS, row, strict=False):
        extra = ' class="extra"' if column.hidden else ""
        if column.kind == "name":
            link = f"{root}cells/{row[-1]}.html" if column.name == "attack" else ""
            shown = _name(str(value), UNDER[column.name](row), link)
        else:
            shown = SHOWN[column.kind](value)
        parts.append(f"<td{extra}>{shown}</td>")
    parts[0] = f'<th scope="row">{parts[0][4:-5]}</th>'
    return f"<tr>{''.join(parts)}</tr>\n"


def plain(rows: Sequence[Sequence[Any]], start: int) -> dict[str, Any]:
    """What a table without scripts shows: some rows, which of all they are, and its page's number of how many."""
    some = rows[start : start + PLAIN]
    return {
        "rows": "".join(html(row, "../") for row in some),
        "first": start + 1,
        "last": start + len(some),
        "total": len(rows),
        "page": start // PLAIN + 1,
        "pages": math.ceil(len(rows) / PLAIN),
    }


def _name(label: str, under: str, link: str) -> str:
    first, _, rest = label.partition(" ")
    small = " · ".join(part for part in (rest, under) if part)
    shown = f'<a href="{link}">{escape(first)}</a>' if link else f"<b>{escape(first)}</b>"
    return f"{shown}<small>{escape(small)}</small>" if small else shown


@lru_cache(maxsize=10_000)  # names come again and again
def _text(value: object) -> str:
    return escape(str(value))


def _rank(value: Sequence[int] | None) -> str:
    return "-" if value is None else f"{value[0]}<small>of {value[1]}</small>"


def _score(value: Sequence[Any] | None) -> str:
    if value is None:
        return "-"
    told = [_seed(*seed) for seed in value[1:]]
    return f'<span title="{"; ".join(told)}">{value[0]:.1f}</span>'


@lru_cache(maxsize=100_000)  # runs share victims, and so scores
def _seed(seed: int, hits: int, n: int, low: float, high: float) -> str:
    return f"seed {seed}: {hits}/{n}, 95 % interval {low} to {high}"


def _seeds(value: Sequence[Any] | None) -> str:
    if value is None or len(value) < 3:
        return _score(value)
    return f"{_score(value)}<small>{' '.join(f'{100 * seed[1] / seed[2]:.1f}' for seed in value[1:])}</small>"


def _probe(value: Sequence[Any] | None) -> str:
    return "-" if value is None else f'<span title="{escape(value[1])}">{value[0]:.1f}</span>'


def _detection(value: Sequence[Any] | None) -> str:
    return "-" if value is None else escape(value[1])


SHOWN: Mapping[str, Callable[[Any], str]] = {
    "text": _text,
    "status": status,
    "rank": _rank,
    "score": _score,
    "seeds": _seeds,
    "probe": _probe,
    "detection": _detection,
    "percent": number,
    "rate": lambda value: number(value, ".4g"),
    "points": number,
    "seconds": number,
    "whole": lambda value: number(value, ".0f"),
}
