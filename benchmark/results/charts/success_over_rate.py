"""Attack success over the share of poisoned rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from benchmark.results.charts.look import PERCENT, Drawing, Key, Spec, line_keys, lines, nominal, part, quantity
from benchmark.results.charts.points import Row, defenses, one_board, unranked
from benchmark.results.leaderboard import Cell
from benchmark.words import counted, percent

SMALL = 210  # pixels of one of the charts
ACROSS = 3  # charts in a row
TICKS = 4  # rates with a label, at most
UNDEFENDED = "no defense"


def success_over_rate(cells: Sequence[Cell]) -> Drawing | None:
    """Attack success over the poison rate, a chart for each attack of several rates, a line for each defense.

    Args:
        cells: of one board; those of attacks with one rate alone are left out.
    """
    series = _series(cells)
    if not series:
        return None
    shown = [cell for group in series.values() for cell in group]
    keys = line_keys([UNDEFENDED, *defenses(shown)], plain=True)
    rows = [row for attack, group in series.items() for row in _success(attack, group)]
    return Drawing(
        _facets(rows, list(series), keys),
        "Attack success over the share of poisoned rows",
        [
            "Across: training rows poisoned; up: attack success.",
            f"A dot for each seed, lines through the means, of all cells{unranked(shown)}.",
        ],
        f"Attack success of {counted(len(series), 'attack')} over the poison rate, with "
        f"{counted(len(keys) - 1, 'defense')}{unranked(shown)}. Without a defense: "
        f"{'; '.join(_undefended(*pair) for pair in series.items())}.",
        keys,
    )


def _facets(rows: Sequence[Row], names: Sequence[str], keys: Sequence[Key]) -> Spec:
    rates = sorted({float(row["rate"] or 0) for row in rows})
    across = {"type": "log", "domain": [rates[0] / 1.15, rates[-1] * 1.15], "nice": False}
    ticks = PERCENT | {"values": rates[:: math.ceil(len(rates) / TICKS)]}
    up = {"title": None, "scale": {"domain": [0, 1]}, "axis": PERCENT | {"tickCount": 2}}
    x, looks = quantity("rate", title=None, scale=across, axis=ticks), lines(keys, "defense")
    means = {"x": x, "y": quantity("asr", aggregate="mean", **up), **looks}
    each = {"x": x, "y": quantity("asr", **up), "color": looks["color"]}
    layers = [part("line", means, strokeWidth=1.8), part("circle", each, size=20, opacity=0.6)]
    return {
        "data": {"values": rows},
        "facet": nominal("attack", title=None, sort=names),
        "columns": min(ACROSS, len(names)),
        "spec": {"width": SMALL, "height": SMALL, "layer": layers},
    }


def _rate(cell: Cell) -> float | None:
    rate = (cell.records[0].config.get("attack") or {}).get("rate")
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def _series(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells by attack, the rate taken out of its label; attacks of at least two rates."""
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in one_board(cells):
        rate = _rate(cell)
        if rate is not None and cell.rates("defended", "asr"):
            found[cell.label["attack"].replace(f" {100 * rate:g} %", "", 1)].append(cell)
    return {name: group for name, group in sorted(found.items()) if len({_rate(cell) for cell in group}) > 1}


def _success(attack: str, group: Sequence[Cell]) -> list[Row]:
    found = [(cell.label["defense"], _rate(cell), asr) for cell in group for asr in cell.rates("defended", "asr")]
    for rate, cell in _widest(group).items():
        found += [(UNDEFENDED, rate, asr) for asr in cell.rates("backdoored", "asr")]
    return [{"attack": attack, "defense": defense, "rate": rate, "asr": asr} for defense, rate, asr in found]


def _widest(group: Sequence[Cell]) -> dict[float, Cell]:
    """Of each rate, the cell with most seeds: it shows the victims before any defense."""
    ordered = sorted(group, key=lambda cell: (_rate(cell) or 0, len(cell.records)))
    return {_rate(cell) or 0: cell for cell in ordered}


def _undefended(attack: str, group: Sequence[Cell]) -> str:
    means = [(rate, cell.mean("backdoored", "asr")) for rate, cell in _widest(group).items()]
    return f"{attack} " + ", ".join(f"{percent(asr)} at {100 * rate:g} %" for rate, asr in means if asr is not None)
