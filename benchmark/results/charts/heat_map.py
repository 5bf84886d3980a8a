"""Attacks against defenses: how much of each attack each defense removes."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from benchmark.results.charts.look import INK, Drawing, data
from benchmark.results.charts.points import (
    EFFECT,
    Row,
    attacks,
    defenses,
    one_board,
    removed_in_words,
    square,
)
from benchmark.results.leaderboard import Cell

WIDE, HIGH = 50, 30  # pixels of a square: the longest status in small type, and two lines
# The ramp is cividis: even in lightness, and the same for readers who see no red or no green
LIGHT = 0.55  # removed share above which the ramp wants dark figures
HATCH = "M-1,0L-0.4,-0.6M-1,0.6L0.2,-0.6M-0.6,0.6L0.6,-0.6M-0.2,0.6L1,-0.6M0.4,0.6L1,0"  # half a square's width is 1


def heat_map(cells: Sequence[Cell]) -> Drawing | None:
    """Removed share by attack (down) and defense (across), families apart; what is not ranked is hatched and named.

    Args:
        cells: of one board.
    """
    shown = one_board(cells)
    if not shown:
        return None
    families = sorted({cell.family for cell in shown})
    header = {"labelOrient": "bottom", "labelExpr": "split(datum.label, ' ')", "labelFontStyle": "italic"}
    column = alt.Column("family:N", title=None, sort=families, header=header)
    squares = alt.layer(*_layers(shown)).properties(width=alt.Step(WIDE), height=alt.Step(HIGH))
    return Drawing(
        squares.facet(column=column, spacing=8).resolve_scale(x="independent"),
        EFFECT[0],
        [EFFECT[1]],
        removed_in_words(shown),
    )


def _layers(shown: Sequence[Cell]) -> list[alt.Chart]:
    across = {"orient": "top", "labelAngle": -90, "domain": False, "ticks": False}
    down = {"domain": False, "ticks": False}
    base = alt.Chart(data([_row(cell) for cell in shown])).encode(
        x=alt.X("defense:N", sort=defenses(shown), title=None, axis=across),
        y=alt.Y("attack:N", sort=attacks(shown), title=None, axis=down),
    )
    ranked, others = base.transform_filter("datum.ranked"), base.transform_filter("!datum.ranked")
    legend = {"format": "~%", "gradientLength": 120}
    scale = {"scheme": "cividis", "domain": [0, 1], "clamp": True}
    figures = alt.condition(f"datum.removed > {LIGHT}", alt.value("black"), alt.value("white"))
    both, alone = (others.transform_filter(f"datum.number {sign} ''") for sign in ("!=", "=="))
    return [
        ranked.mark_rect(stroke=INK, strokeOpacity=0.3).encode(
            color=alt.Color("removed:Q", scale=scale, legend=legend)
        ),
        ranked.mark_text(fontSize=12).encode(text="number:N", color=figures),
        others.mark_rect(fill="transparent", stroke=INK, strokeOpacity=0.3),
        others.mark_point(shape=HATCH, size=WIDE**2, fill="transparent", stroke=INK, strokeWidth=1, opacity=0.3),
        both.mark_text(fontSize=11, color=INK, dy=-6).encode(text="number:N"),
        both.mark_text(fontSize=8.5, color=INK, dy=7).encode(text="short:N"),
        alone.mark_text(fontSize=8.5, color=INK).encode(text="short:N"),
    ]


def _row(cell: Cell) -> Row:
    shown = square(cell)
    return {
        "attack": cell.label["attack"],
        "defense": cell.label["defense"],
        "family": cell.family,
        **shown._asdict(),
    }
