"""Attacks against defenses: how much of each attack each defense removes."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.results.charts.look import INK, Drawing, Spec, nominal, part, quantity
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
    squares = {"width": {"step": WIDE}, "height": {"step": HIGH}, "layer": _layers(shown)}
    return Drawing(
        {
            "data": {"values": [_row(cell) for cell in shown]},
            "facet": {"column": nominal("family", title=None, sort=families, header=header)},
            "spacing": 8,
            "spec": squares,
            "resolve": {"scale": {"x": "independent"}},
        },
        EFFECT[0],
        [EFFECT[1]],
        removed_in_words(shown),
    )


def _layers(shown: Sequence[Cell]) -> list[Spec]:
    across = {"orient": "top", "labelAngle": -90, "domain": False, "ticks": False}
    down = {"domain": False, "ticks": False}
    axes = {
        "x": nominal("defense", sort=defenses(shown), title=None, axis=across),
        "y": nominal("attack", sort=attacks(shown), title=None, axis=down),
    }
    legend = {"format": "~%", "gradientLength": 120}
    scale = {"scheme": "cividis", "domain": [0, 1], "clamp": True}
    shade = {"color": quantity("removed", scale=scale, legend=legend)}
    number, status = {"text": nominal("number")}, {"text": nominal("short")}
    inked = {"color": {"condition": {"test": f"datum.removed > {LIGHT}", "value": "black"}, "value": "white"}}
    hatched: Spec = {"shape": HATCH, "size": WIDE**2, "strokeWidth": 1, "opacity": 0.3}
    ranked, others = "datum.ranked", "!datum.ranked"
    both, alone = (f"{others} && datum.number {sign} ''" for sign in ("!=", "=="))
    return [
        part("rect", axes | shade, keep=ranked, stroke=INK, strokeOpacity=0.3),
        part("text", axes | number | inked, keep=ranked, fontSize=12),
        part("rect", axes, keep=others, fill="transparent", stroke=INK, strokeOpacity=0.3),
        part("point", axes, keep=others, fill="transparent", stroke=INK, **hatched),
        part("text", axes | number, keep=both, fontSize=11, color=INK, dy=-6),
        part("text", axes | status, keep=both, fontSize=8.5, color=INK, dy=7),
        part("text", axes | status, keep=alone, fontSize=8.5, color=INK),
    ]


def _row(cell: Cell) -> Row:
    shown = square(cell)
    return {
        "attack": cell.label["attack"],
        "defense": cell.label["defense"],
        "family": cell.family,
        **shown._asdict(),
    }
