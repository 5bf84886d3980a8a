"""What the detectors of a board find over their false alarms: a ROC each, on the attack that most of them met.

`benchmark.results.charts.detection_curves` draws them over each other for paper, which shows a few of them alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import fmean

from benchmark.record import Evidence
from benchmark.results.charts.points import looked_at
from benchmark.results.leaderboard import Cell
from benchmark.results.site.drawings import roc
from benchmark.results.site.figures import Figures

Evidences = Callable[[Sequence[str]], Mapping[str, Evidence]]


def detectors(cells: Sequence[Cell], evidence: Evidences, root: str) -> str:
    """A figure as HTML, every text escaped, the largest area first; empty without detectors.

    Args:
        cells: of one board.
        evidence: of records, by their keys.
        root: leads to the site's folder.
    """
    measured = [(_area(cell), cell) for cell in cells]
    looking = sorted(((area, cell) for area, cell in measured if area is not None), key=lambda pair: -pair[0])
    met = Counter(cell.label["attack"] for _, cell in looking)
    if not met:
        return ""
    attack = max(sorted(met), key=lambda name: met[name])
    shown = [(area, cell) for area, cell in looking if cell.label["attack"] == attack]
    drawn = "".join([_drawn(cell, area, evidence, root) for area, cell in shown])
    told = f"On {escape(attack)}, a line for each seed. To the right: false alarms. Dotted: chance."
    heading = f"<figcaption><b>What detectors find, over their false alarms</b><br>{told}</figcaption>"
    return f'<figure class="chart">{heading}<div class="figures">{drawn}</div></figure>' if drawn else ""


def _area(cell: Cell) -> float | None:
    """Below the curves that `looked_at` picks, mean over seeds; None without any."""
    looked = [found.rows or found.inputs for found in (record.detection for record in cell.records) if found]
    areas = [part.separation.auroc for part in looked if part and part.separation.auroc is not None]
    return fmean(areas) if areas else None


def _drawn(cell: Cell, area: float, evidence: Evidences, root: str) -> str:
    label, held = cell.label["defense"], evidence([record.key for record in cell.records])
    curves = [looked_at(held.get(record.key)) for record in cell.records]
    link = f'<a href="{root}cells/{Figures(cell).slug}.html">{escape(label)}</a>'
    return roc(label, curves, area, link)
