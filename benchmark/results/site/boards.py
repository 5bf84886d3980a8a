"""The page of a board, which is what is never pooled: its standings and its charts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmark.results.charts.cost_and_effect import cost_and_effect
from benchmark.results.charts.look import INK, bare
from benchmark.results.charts.success_over_rate import success_over_rate
from benchmark.results.charts.trade_off import trade_off
from benchmark.results.leaderboard import Cell
from benchmark.results.site.detectors import Evidences, detectors
from benchmark.results.site.figures import slug
from benchmark.results.site.heat import heat_map
from benchmark.results.site.legend import legend
from benchmark.results.site.renderer import Draw
from benchmark.results.standings import Standing

INKS = {"light": "#333a42", "dark": "#c9d1d9"}
MOST = 150  # cells of a board that are drawn; more fit into no picture, and each takes milliseconds


class Figure(NamedTuple):
    """A chart as two files, `<name>.light.svg` and `<name>.dark.svg`, and what stands beside it; `keys` are HTML."""

    kind: str
    name: str
    title: str
    lines: Sequence[str]
    keys: str
    words: str
    wide: int
    high: int


class Drawn(NamedTuple):
    """What a board's page shows.

    Attributes:
        cells: those that are drawn.
        effect: the heat map, as HTML.
        detection: what detectors find, as HTML.
        charts: all others.
    """

    cells: list[Cell]
    effect: str
    detection: str
    charts: list[Figure]


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
    """As many cells as charts can show: all, or those of the attacks that most defenses met, the last ones cut off."""
    counts = Counter(cell.label["attack"] for cell in board.cells)
    kept: set[str] = set()
    room = MOST
    for attack, count in counts.most_common():
        room -= count
        if room < 0 and kept:
            break
        kept.add(attack)
    return [cell for cell in board.cells if cell.label["attack"] in kept][:MOST]


def drawn(board: Board, evidence: Evidences, draw: Draw, folder: Path) -> Drawn:
    """Draw what the cells hold.

    Args:
        board: to be drawn.
        evidence: of records, by their keys.
        draw: makes an SVG of a chart.
        folder: for the charts' files.
    """
    shown = fitting(board)
    return Drawn(
        shown, heat_map(shown, "../"), detectors(shown, evidence, "../"), list(_charts(board, shown, draw, folder))
    )


def _charts(board: Board, shown: Sequence[Cell], draw: Draw, folder: Path) -> Iterator[Figure]:
    """Charts that are not empty, each left as two files."""
    made = (
        ("trade-off", "Trade-off", trade_off(shown)),
        ("cost", "Cost and effect", cost_and_effect(shown)),
        ("rates", "Poison rates", success_over_rate(shown)),
    )
    for name, kind, drawing in made:
        if drawing is not None:
            picture = draw(bare(drawing))
            for theme, ink in INKS.items():
                (folder / f"{board.slug}-{name}.{theme}.svg").write_text(picture.replace(INK, ink))
            beside = (drawing.title, drawing.lines, legend(drawing.keys), drawing.words)
            yield Figure(kind, f"{board.slug}-{name}", *beside, *_size(picture))


def _size(made: str) -> tuple[int, int]:
    """Width and height of an SVG, as it says in its first tag."""
    head = made[: made.index(">")]
    wide, high = (head.split(f' {name}="')[1].split('"')[0] for name in ("width", "height"))
    return round(float(wide)), round(float(high))
