"""From an archive of records to a folder of pages: cells are read, shown and forgotten one at a time."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import urlencode

from benchmark.errors import BadInput
from benchmark.results.archive import Archive
from benchmark.results.leaderboard import Cell, cells
from benchmark.results.site import authors, table
from benchmark.results.site.boards import Board, Figure, boards, charts, fitting, groups
from benchmark.results.site.cells import STATUS, Link, page
from benchmark.results.site.figures import Figures, Rank
from benchmark.results.site.rows import html
from benchmark.results.site.templating import Templates, assets, embedded
from benchmark.results.standings import Standing, standings

FIRST = 50  # rows that the page has before its script runs
PLAIN = 1000  # rows of a table without scripts
FOLDERS = ("boards", "cells", "charts", "methods", "plain")
MARK = Path("assets", "page.js")  # a folder that has it is a site of ours, and may be replaced


def build(source: Path, site: Path) -> int:
    """Make the pages of all records, in place of those that are there.

    Args:
        source: a folder of records, or a Parquet file of them.
        site: the folder of the pages.

    Returns:
        How many cells there are.

    Raises:
        BadInput: there is no record, one cannot be read, or the folder holds something else.
    """
    if site.exists() and not (site / MARK).is_file() and any(site.iterdir()):
        raise BadInput(f"{site}: holds other files than pages made here; give another folder, or empty it")
    archive = Archive(source)
    found = cells(archive.records)
    if not found:
        raise BadInput(f"{source}: holds no record; run scripts/run.py first, or give --store or --records")
    site.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(prefix=f".{site.name}-", dir=site.parent))
    try:
        made.chmod(0o755)  # mkdtemp's is for its owner alone
        _Builder(archive, found, made).write()
        if site.exists():
            shutil.rmtree(site)
        made.rename(site)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return len(found)


class _Builder:
    """What the pages of one site share."""

    def __init__(self, archive: Archive, found: Sequence[Cell], folder: Path) -> None:
        self.archive = archive
        self.found = found
        self.folder = folder
        self.templates = Templates()
        self.authors = authors.Authors()
        ranked = standings(found)
        self.boards = boards(found, ranked)
        self.ranks = _places(ranked)
        self.heads = table.heads()

    def write(self) -> None:
        for name in FOLDERS:
            (self.folder / name).mkdir()
        assets(self.folder / "assets")
        rows, statuses = [], Counter[str]()
        for figures, before, after in self._neighbours():
            rows.append(table.row(figures))  # their HTML would be three times as large
            statuses[figures.status] += 1
            self._cell(figures, before, after)
        self._plain(rows)
        glance = self._boards()
        self._methods()
        self._index(rows, statuses, glance)

    def figures(self, found: Sequence[Cell]) -> Iterator[Figures]:
        """Cells with their ranks."""
        for cell in found:
            place = (*cell.board, cell.family, cell.access, cell.label["defense"])
            figures = Figures(cell)
            if figures.status == "ranked":
                figures.rank = self.ranks.get(place)
            yield figures

    def _neighbours(self) -> Iterator[tuple[Figures, Link | None, Link | None]]:
        """Each cell between links to those beside it."""
        before: Link | None = None
        coming = self.figures(self.found)
        figures = next(coming, None)
        while figures is not None:
            after = next(coming, None)
            yield figures, before, None if after is None else _link(after)
            before, figures = _link(figures), after

    def _cell(self, figures: Figures, before: Link | None, after: Link | None) -> None:
        evidence = self.archive.evidence([record.key for record in figures.cell.records])
        attack, defense = self.authors.of(figures)
        for author in (attack, defense):
            author.add(figures)
        links = {"before": before, "after": after, "attack_page": attack.slug, "defense_page": defense.slug}
        content = page(figures, evidence) | links | {"board": Board(figures.cell.board).slug}
        self.templates.write(self.folder / "cells" / f"{figures.slug}.html", "cell.html", content)

    def _plain(self, rows: Sequence[list[object]]) -> None:
        """Tables for whoever has no scripts; needed only where the first page does not hold all."""
        starts = range(0, len(rows), PLAIN) if len(rows) > FIRST else range(0)
        for at, start in enumerate(starts, 1):
            some = rows[start : start + PLAIN]
            content = {
                "rows": "".join(html(row, "../") for row in some),
                "groups": self.heads,
                "first": start + 1,
                "last": start + len(some),
                "total": len(rows),
                "page": at,
                "pages": len(starts),
            }
            self.templates.write(self.folder / "plain" / f"{at}.html", "plain.html", content)

    def _boards(self) -> list[Figure]:
        """A page for each board; returns the first two charts of the largest."""
        glance: list[Figure] = []
        for board in self.boards:
            drawn = list(charts(board, self.archive.evidence, self.folder / "charts"))
            glance = glance or drawn[:2]
            names = ("dataset", "architecture", "recipe")
            content = {
                "board": board,
                "groups": groups(board),
                "charts": drawn,
                "shown": len(fitting(board)),
                "filters": urlencode({name: board.cells[0].label[name] for name in names}),
            }
            self.templates.write(self.folder / "boards" / f"{board.slug}.html", "board.html", content)
        return glance

    def _methods(self) -> None:
        yamls = authors.known()
        for author in self.authors.found.values():
            content = {
                "author": author,
                "words": authors.words(author, yamls),
                "yamls": yamls.get(author.target, ()),
            }
            self.templates.write(self.folder / "methods" / f"{author.slug}.html", "method.html", content)

    def _index(self, rows: list[list[object]], statuses: Counter[str], glance: list[Figure]) -> None:
        columns = [column._asdict() for column in table.COLUMNS]
        content = {
            "runs": sum(len(cell.records) for cell in self.found),
            "total": len(self.found),
            "statuses": [(word, statuses[word]) for word in STATUS if statuses[word]],
            "meanings": [item for item in STATUS.items() if item[0] != "ranked"],
            "groups": self.heads,
            "first": FIRST,
            "static": "".join(html(row, "") for row in rows[:FIRST]),
            "boards": self.boards,
            "glance": glance,
            "methods": self.authors.listed(),
            "data": embedded({"columns": columns, "facets": table.FACETS, "rows": rows}),
        }
        self.templates.write(self.folder / "index.html", "index.html", content)


def _places(ranked: Sequence[Standing]) -> dict[tuple[str, ...], Rank]:
    """Board, family, access and defense -> its rank."""
    members = Counter(standing.board for standing in ranked)
    return {(*s.board, s.defense): Rank(s.rank, members[s.board]) for s in ranked if s.rank is not None}


def _link(figures: Figures) -> Link:
    label = figures.cell.label
    return Link(figures.slug, f"{label['defense']} against {label['attack']}")
