"""The page of a board, which is what is never pooled: its standings and its charts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from benchmark.record import Evidence
from benchmark.results.leaderboard import Cell
from benchmark.results.site.figures import slug
from benchmark.results.standings import Standing

INKS = {"light": "#333a42", "dark": "#c9d1d9"}
MOST = 150  # cells of a board that are drawn; more fit into no picture, and each takes milliseconds
DETECTORS = 8  # whose curves fit into one chart

Evidences = Callable[[Sequence[str]], Mapping[str, Evidence]]


class Figure(NamedTuple):
    """A chart as two files, `<name>.light.svg` and `<name>.dark.svg`, its heading, and the words that stand for it."""

    kind: str
    name: str
    title: str
    lines: list[str]
    words: str
    wide: int
    high: int


@dataclass
class Board:
    """Cells that may be compared.

    Attributes:
        place: `Cell.board` of all of them.
        cells: in the leaderboard's order.
        ranks: the standings of its defenses.
    """

    place: tuple[str, ...]
    cells: list[Cell] = field(default_factory=list)
    ranks: list[Standing] = field(default_factory=list)

    @property
    def slug(self) -> str:
        """The name of its page."""
        return slug(self.place)

    @property
    def title(self) -> str:
        """Data set, architecture, recipe and, where there is one, transfer."""
        return ", ".join(name for name in self.place[:-1] if name != "none")

    @property
    def environment(self) -> str:
        """Torch, device and threads."""
        return self.place[-1]

    @property
    def attacks(self) -> int:
        """How many there are."""
        return len({cell.label["attack"] for cell in self.cells})

    @property
    def defenses(self) -> int:
        """How many there are."""
        return len({cell.label["defense"] for cell in self.cells})


def boards(found: Sequence[Cell], ranks: Sequence[Standing]) -> list[Board]:
    """All boards, the largest first."""
    made: dict[tuple[str, ...], Board] = {}
    for cell in found:
        made.setdefault(cell.board, Board(cell.board)).cells.append(cell)
    for standing in ranks:
        made[standing.board[:-2]].ranks.append(standing)
    return sorted(made.values(), key=lambda board: (-len(board.cells), board.place))


def groups(board: Board) -> list[tuple[str, str, list[Standing]]]:
    """Family, access and the standings of their defenses."""
    found: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for standing in board.ranks:
        found[standing.board[-2], standing.board[-1]].append(standing)
    return [(family, access, members) for (family, access), members in found.items()]


def fitting(board: Board) -> list[Cell]:
    """As many cells as charts can show: all, or those of the attacks that most defenses met."""
    counts = Counter(cell.label["attack"] for cell in board.cells)
    kept: set[str] = set()
    room = MOST
    for attack, count in counts.most_common():
        room -= count
        if room < 0 and kept:
            break
        kept.add(attack)
    return [cell for cell in board.cells if cell.label["attack"] in kept]


def charts(board: Board, evidence: Evidences, folder: Path) -> Iterator[Figure]:
    """Draw what the cells hold, the heat map apart, and leave each as two files; empty charts are left out.

    Args:
        board: to be drawn.
        evidence: of records, by their keys.
        folder: for the files.
    """
    from altair.utils.schemapi import debug_mode  # it takes seconds, and the charts import it too

    from benchmark.results.charts.cost_and_effect import cost_and_effect
    from benchmark.results.charts.detection_curves import detection_curves, rocs
    from benchmark.results.charts.files import described, svg, untitle
    from benchmark.results.charts.look import INK
    from benchmark.results.charts.success_over_rate import success_over_rate
    from benchmark.results.charts.trade_off import trade_off

    shown = fitting(board)
    with debug_mode(False):  # which holds every part against a schema, as the charts' tests do
        drawn = (
            ("trade-off", "Trade-off", trade_off(shown)),
            ("cost", "Cost and effect", cost_and_effect(shown)),
            ("detection", "Detection", detection_curves(rocs(_detectors(shown, evidence)))),
            ("rates", "Poison rates", success_over_rate(shown)),
        )
    for name, kind, chart in drawn:
        if chart is not None:
            title, lines = untitle(chart)  # a page breaks its lines where it must, and need not draw them
            made = svg(chart)
            for theme, ink in INKS.items():
                (folder / f"{board.slug}-{name}.{theme}.svg").write_text(made.replace(INK, ink))
            yield Figure(kind, f"{board.slug}-{name}", title, lines, described(chart), *_size(made))


def _detectors(found: Sequence[Cell], evidence: Evidences) -> list[Cell]:
    """Cells of as many detectors as fit, with their curves, on the attack that most of them met."""
    looking = [cell for cell in found if any(d and (d.rows or d.inputs) for d in (r.detection for r in cell.records))]
    counts = Counter(cell.label["attack"] for cell in looking)
    shown = [cell for cell in looking if cell.label["attack"] == max(counts, key=lambda attack: counts[attack])]
    whole = []
    for cell in shown[:DETECTORS]:
        held = evidence([record.key for record in cell.records])
        records = [record.model_copy(update={"evidence": held.get(record.key)}) for record in cell.records]
        whole.append(replace(cell, records=records))
    return whole


def _size(made: str) -> tuple[int, int]:
    """Width and height of an SVG, as it says in its first tag."""
    head = made[: made.index(">")]
    wide, high = (head.split(f' {name}="')[1].split('"')[0] for name in ("width", "height"))
    return round(float(wide)), round(float(high))
