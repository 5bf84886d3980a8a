"""Attacks against defenses as a table whose squares lead to their cells: how much of an attack a defense removed.

`benchmark.results.charts.heat_map` draws the same for paper; as HTML it is made sooner, and can be followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from benchmark.results.charts.points import EFFECT, attacks, one_board, removed_in_words, square
from benchmark.results.leaderboard import Cell
from benchmark.results.site.figures import Figures

STEPS = 10  # of the ramp in page.css
FAILED = "Where the attack failed, nothing was there to remove."

Column = tuple[str, str]  # family and label of a defense


def heat_map(cells: Sequence[Cell], root: str) -> str:
    """A figure as HTML, every text escaped; empty where nothing would be in it.

    Args:
        cells: of one board.
        root: leads to the site's folder.
    """
    shown = one_board(cells)
    if not shown:
        return ""
    squares = {(cell.label["attack"], cell.family, cell.label["defense"]): cell for cell in shown}
    ordered = sorted((cell.family, cell.access, cell.label["defense"]) for cell in shown)
    across = list(dict.fromkeys((family, defense) for family, _, defense in ordered))
    rows = [_row(attack, [squares.get((attack, *column)) for column in across], root) for attack in attacks(shown)]
    title, line = EFFECT
    parts = f"<thead>{_heads(across)}</thead><tbody>{''.join(rows)}</tbody>"
    table = f'<table class="heat" aria-label="{title}">{parts}</table>'
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="Effect">{table}</div>'
    told = f"<figcaption><b>{title}</b><br>{line} {FAILED}</figcaption>"
    words = f"<details><summary>Effect in words</summary><p>{escape(removed_in_words(shown))}</p></details>"
    return f'<figure class="chart">{told}{scroll}{words}</figure>'


def _heads(across: Sequence[Column]) -> str:
    """Families, and below them their defenses."""
    widths = Counter(family for family, _ in across)
    above = [f'<th scope="colgroup" colspan="{count}">{escape(family)}</th>' for family, count in widths.items()]
    below = [f'<th scope="col"><span>{escape(defense)}</span></th>' for _, defense in across]
    return f"<tr><td></td>{''.join(above)}</tr><tr><td></td>{''.join(below)}</tr>"


def _row(attack: str, cells: Sequence[Cell | None], root: str) -> str:
    squares = "".join(["<td></td>" if cell is None else _square(cell, root) for cell in cells])
    return f'<tr><th scope="row">{_breaking(attack)}</th>{squares}</tr>'


def _breaking(label: str) -> str:
    """A label that breaks behind spaces and equals signs rather than within a number."""
    return escape(label).replace(" %", "&nbsp;%").replace("=", "=<wbr>")


def _square(cell: Cell, root: str) -> str:
    shown = square(cell)
    title = escape(f"{cell.label['defense']} against {cell.label['attack']}")
    link = f'<a href="{root}cells/{Figures(cell).slug}.html" title="{title}">{shown.number}'
    if shown.ranked:
        return f'<td class="step{STEPS * max(0, int(shown.number)) // 100}">{link}</a></td>'
    return f'<td class="unranked">{link}<small>{escape(shown.short)}</small></a></td>'
