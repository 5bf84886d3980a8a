"""Tables of scores, attacks against defenses, with the best and the second among those that may be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmark.errors import BadInput
from benchmark.results.charts.points import attacks, defenses
from benchmark.results.leaderboard import Cell
from benchmark.results.merits import SCORES, Score
from benchmark.results.tables import board

# Status -> the mark of a number that is not ranked, and why it is not.
MARKS: Mapping[str, tuple[str, str]] = {
    "attack failed": ("f", "the attack failed: a gain under 50 points"),
    "collapsed": ("c", "collapsed: half of the accuracy above chance is lost"),
    "degraded": ("d", "degraded: over 5 points of clean accuracy lost"),
    "reported": ("r", "reported: sent by others, and not reproduced here"),
    "preliminary": ("p", "preliminary: fewer than 3 seeds"),
    "oracle": ("o", "told what a defender cannot know"),
    "not applicable": ("n", "not applicable"),
    "no defense": ("b", "no defense"),
    "no attack": ("a", "no attack"),
}
FACETS = ("attack", "defense")


@dataclass(frozen=True)
class Entry:
    """A number in a table.

    Attributes:
        text: as printed; empty where nothing was run.
        mark: of a number that is not ranked, from `MARKS`.
        rank: among ranked cells of its attack, family and access, from 1; None where it has no rival.
    """

    text: str = ""
    mark: str = ""
    rank: int | None = None


@dataclass(frozen=True)
class Grid:
    """One table.

    Attributes:
        caption: what it shows, on what, over how many seeds and rows.
        corners: headings of the columns that name a row.
        columns: headings of the numbers.
        families: of the columns, where they are defenses.
        rows: names and numbers of each.
        notes: what its marks mean.
    """

    caption: str
    corners: tuple[str, ...]
    columns: tuple[str, ...]
    families: tuple[str, ...]
    rows: Sequence[tuple[tuple[str, ...], Sequence[Entry]]]
    notes: Sequence[str]


def grids(found: Sequence[Cell], scores: Sequence[str], rows: str = "attack", columns: str = "defense") -> list[Grid]:
    """A table for each board, and for each score where columns are no scores.

    Args:
        found: cells of any boards.
        scores: names in `SCORES`.
        rows: `attack` or `defense`.
        columns: the other of them, or `score`: then each row is an attack and a defense.

    Raises:
        BadInput: an unknown score, rows that are columns, or two cells of one name.
    """
    for name in scores:
        if name not in SCORES:
            raise BadInput(f"--score {name}: no such score; choose from {', '.join(SCORES)}")
    if rows not in FACETS or columns not in (*FACETS, "score") or rows == columns:
        raise BadInput(f"--rows {rows} --columns {columns}: give attack and defense, or score as columns")
    made = []
    for _, members in groupby(sorted(found, key=lambda cell: cell.board), key=lambda cell: cell.board):
        group = list(members)
        if columns == "score":
            made.append(_by_score(group, scores, rows))
        else:
            made += [_crossed(group, score, rows) for score in scores]
    return made


def _crossed(group: Sequence[Cell], score: str, rows: str) -> Grid:
    """Attacks against defenses, one score."""
    table, orders = _entries(group, score), {"attack": attacks(group), "defense": defenses(group)}
    families = _families(group)
    columns = "defense" if rows == "attack" else "attack"
    body = []
    for name in orders[rows]:
        pairs = [(name, other) if rows == "attack" else (other, name) for other in orders[columns]]
        body.append(((name,) if rows == "attack" else (name, families[name]), [table.get(p, Entry()) for p in pairs]))
    over = tuple(families[name] for name in orders["defense"]) if rows == "attack" else ()
    corners = ("attack",) if rows == "attack" else ("defense", "family")
    return Grid(_caption(group, SCORES[score].title), corners, tuple(orders[columns]), over, body, _notes(group))


def _by_score(group: Sequence[Cell], scores: Sequence[str], rows: str) -> Grid:
    """A row for each attack and defense, a column for each score."""
    tables, families = [_entries(group, score) for score in scores], _families(group)
    place = {name: at for at, name in enumerate([*attacks(group), *defenses(group)])}
    other = "defense" if rows == "attack" else "attack"
    body = []
    for cell in sorted(group, key=lambda cell: (place[cell.label[rows]], place[cell.label[other]])):
        pair = cell.label["attack"], cell.label["defense"]
        names = (cell.label[rows], cell.label[other], families[cell.label["defense"]])
        body.append((names, [table[pair] for table in tables]))
    titles = "; ".join(f"{score}: {SCORES[score].title[0].lower()}{SCORES[score].title[1:]}" for score in scores)
    return Grid(
        _caption(group, "Scores"), (rows, other, "family"), tuple(scores), (), body, [f"{titles}.", *_notes(group)]
    )


def _entries(group: Sequence[Cell], score: str) -> dict[tuple[str, str], Entry]:
    """(Attack, defense) -> the entry."""
    ranks, found = _ranks(group, SCORES[score]), {}
    for cell in group:
        pair = cell.label["attack"], cell.label["defense"]
        if pair in found:
            raise BadInput(f"{pair[1]} on {pair[0]}: twice on {board(cell)}; give --records of one protocol alone")
        mark = MARKS[cell.status][0] if cell.status in MARKS else ""
        found[pair] = Entry(SCORES[score].text(cell), mark, ranks.get(pair))
    return found


def _ranks(group: Sequence[Cell], score: Score) -> dict[tuple[str, str], int]:
    """Ranks by what is printed, so that equal figures are equal; of ranked cells of one attack, family and access."""
    rivals: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for cell in group:
        if score.better and cell.status == "ranked" and score.of(cell) is not None:
            merit = score.better * float(score.text(cell))
            rivals[cell.label["attack"], cell.family, cell.access][cell.label["defense"]] = merit
    return {
        (attack, name): 1 + sum(other > merit for other in merits.values())
        for (attack, *_), merits in rivals.items()
        for name, merit in merits.items()
        if len(merits) > 1
    }


def _families(group: Sequence[Cell]) -> dict[str, str]:
    """Defense -> its family, numbered where its members differ in access."""
    access = _access(group)
    return {
        cell.label["defense"]: cell.family
        if len(access[cell.family]) == 1
        else f"{cell.family} {access[cell.family].index(cell.access) + 1}"
        for cell in group
    }


def _access(group: Sequence[Cell]) -> dict[str, list[str]]:
    """Family -> what its members were given."""
    found: dict[str, set[str]] = defaultdict(set)
    for cell in group:
        found[cell.family].add(cell.access)
    return {family: sorted(access) for family, access in sorted(found.items())}


def _caption(group: Sequence[Cell], title: str) -> str:
    seeds = sorted({record.seed for cell in group for record in cell.records})
    few, many = (pick(len(cell.records) for cell in group) for pick in (min, max))
    several = "" if few == len(seeds) else f" ({_span([few, many])} of them a cell)"
    records = [record for cell in group for record in cell.records if record.scores]
    test = _span(record.scores.defended.ca.n for record in records if record.scores)
    triggered = _span(record.scores.defended.asr.n for record in records if record.scores)
    noun = "seed" if len(seeds) == 1 else "seeds"
    return (
        f"{title}: {board(group[0])}. Mean over {noun} {', '.join(map(str, seeds))}{several}; "
        f"n = {test} test rows and {triggered} triggered rows a seed."
    )


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers)) or [0]
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _notes(group: Sequence[Cell]) -> list[str]:
    met = {cell.status for cell in group}
    notes = ["Compared are ranked cells of one family with one access; empty: not run."]
    marks = [f"{mark}: {why}" for status, (mark, why) in MARKS.items() if status in met]
    if marks:
        notes.append(f"Not ranked: {'; '.join(marks)}.")
    for family, access in _access(group).items():
        if len(access) > 1:
            notes.append(f"{'; '.join(f'{family} {at}: {given}' for at, given in enumerate(access, 1))}.")
    return notes
