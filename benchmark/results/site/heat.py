"""Attacks against defenses as a table whose squares lead to their cells: how much of an attack a defense removed.

`benchmark.results.charts.heat_map` draws the same for paper; as HTML it takes a hundredth of the time, and can be
followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from benchmark.results.charts.points import SHORT, attacks, defenses, one_board, removed, removed_in_words
from benchmark.results.leaderboard import Cell
from benchmark.results.site.figures import Figures
from benchmark.words import rounded

STEPS = 10  # of the ramp in page.css
TITLE = "Share of the attack's gain that a defense removed, in percent"
LINE = "Mean over seeds. Hatched squares are not ranked, and say why. Compare within a family."


def heat_map(cells: Sequence[Cell], root: str) -> str:
    """A figure as HTML, every text escaped; empty where nothing would be in it.

    Args:
        cells: of one board.
        root: leads to the site's folder.
    """
    shown = one_board(cells)
    if not shown:
        return ""
    squares = {(cell.label["attack"], cell.label["defense"]): cell for cell in shown}
    across = defenses(shown)
    rows = "".join(
        [_row(attack, [squares.get((attack, defense)) for defense in across], root) for attack in attacks(shown)]
    )
    table = f'<table class="heat"><thead>{_heads(shown, across)}</thead><tbody>{rows}</tbody></table>'
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="Effect">{table}</div>'
    told = f"<figcaption><b>{TITLE}</b><br>{LINE}</figcaption>"
    words = f"<details><summary>Effect in words</summary><p>{escape(removed_in_words(shown))}</p></details>"
    return f'<figure class="chart">{told}{scroll}{words}</figure>'


def _heads(shown: Sequence[Cell], across: Sequence[str]) -> str:
    """Families, and below them their defenses."""
    families = {cell.label["defense"]: cell.family for cell in shown}
    widths = Counter(families[defense] for defense in across)
    above = [f'<th scope="colgroup" colspan="{count}">{escape(family)}</th>' for family, count in widths.items()]
    below = [f'<th scope="col"><span>{escape(defense)}</span></th>' for defense in across]
    return f"<tr><td></td>{''.join(above)}</tr><tr><td></td>{''.join(below)}</tr>"


def _row(attack: str, cells: Sequence[Cell | None], root: str) -> str:
    squares = "".join(["<td></td>" if cell is None else _square(cell, root) for cell in cells])
    return f'<tr><th scope="row">{escape(attack)}</th>{squares}</tr>'


def _square(cell: Cell, root: str) -> str:
    share = removed(cell)
    number = "" if share is None else rounded(100 * share, 0)
    link = f'<a href="{root}cells/{Figures(cell).slug}.html">{number}'
    if cell.status == "ranked" and share is not None:
        return f'<td class="step{int(STEPS * max(0.0, share))}">{link}</a></td>'
    return f'<td class="unranked">{link}<small>{escape(SHORT.get(cell.status, cell.status))}</small></a></td>'
