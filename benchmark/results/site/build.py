"""From an archive of records to a folder of pages, by as many processes as there are cores."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import urlencode

from benchmark.errors import BadInput
from benchmark.methods import Method
from benchmark.results.archive import Archive
from benchmark.results.leaderboard import Cell, cells
from benchmark.results.marks import Standing as Mark
from benchmark.results.marks import marks
from benchmark.results.site import authors, table
from benchmark.results.site.boards import Drawn, boards, drawn, groups
from benchmark.results.site.cells import STATUS, Link, page
from benchmark.results.site.cores import beside, shared_out, unwritten
from benchmark.results.site.figures import Figures, places
from benchmark.results.site.heat import heat_map
from benchmark.results.site.pictures import Pictures
from benchmark.results.site.renderer import Draw, renderer
from benchmark.results.site.rows import AT, PLAIN, html, plain
from benchmark.results.site.templating import Templates, assets, embedded
from benchmark.results.standings import standings

FIRST = 50  # rows that the page has before its script runs
CHUNK = 100  # cells whose pages one process makes before it asks for more
FOLDERS = ("boards", "cells", "charts", "methods", "pictures", "plain")
MARK = Path("assets", "page.js")  # a folder that has it, and nothing but what is made here, may be replaced
OURS = {*FOLDERS, "assets", "index.html"}


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
    target = site.resolve()  # of a link, and of `.`, which nothing can be renamed to
    held = {path.name for path in target.iterdir()} if target.exists() else set()
    others = held - OURS if (target / MARK).is_file() else held
    if others:
        raise BadInput(f"{site}: holds other files than pages made here, such as {min(others)}; give another folder")
    with beside(renderer) as draw:
        archive = Archive(source)
        if not archive.records:
            raise BadInput(f"{source}: holds no record; run scripts/run.py first, or give --store or --records")
        with unwritten():
            return _built(archive, marks(source), draw, target)


def _built(archive: Archive, known: Mapping[str, Mark], draw: Draw, site: Path) -> int:
    found = cells(archive.records, known)
    site.parent.mkdir(parents=True, exist_ok=True)
    apart = Path(mkdtemp(prefix=f".{site.name}-", dir=site.parent))
    try:
        made = apart / "new"
        made.mkdir()
        _Builder(archive, found, draw, made).write()
        if site.exists():
            site.rename(apart / "old")
        made.rename(site)
    finally:
        shutil.rmtree(apart, ignore_errors=True)
    return len(found)


class _Builder:
    """What the pages of one site share."""

    def __init__(self, archive: Archive, found: Sequence[Cell], draw: Draw, folder: Path) -> None:
        self.archive = archive
        self.found = found
        self.draw = draw
        self.folder = folder
        self.templates = Templates()
        self.pictures = Pictures(folder / "pictures")
        self.authors = authors.Authors(found)
        ranked = standings(found)
        self.boards = boards(found, ranked)
        self.slugs = {board.place: board.slug for board in self.boards}
        self.ranks = places(ranked)
        self.heads = table.heads()

    def write(self) -> None:
        """Make every page."""
        for name in FOLDERS:
            (self.folder / name).mkdir()
        assets(self.folder / "assets")
        chunks = [range(start, min(start + CHUNK, len(self.found))) for start in range(0, len(self.found), CHUNK)]
        tasks = [partial(self._cells, chunk) for chunk in chunks]
        # What methods say takes as long as a board, so it is read while others make cells.
        (drawings, yamls), made = shared_out(lambda: (self._drawings(), authors.known()), tasks)
        rows = list(chain.from_iterable(made))
        for cell, row in zip(self.found, rows, strict=True):
            for author in self.authors.of(cell):
                author.add(cell, row)
        starts = range(0, len(rows), PLAIN) if len(rows) > FIRST else range(0)
        tables = [partial(self._plain, rows, start) for start in starts]
        shared_out(lambda: self._lists(rows, drawings, yamls), tables)

    def _lists(
        self, rows: list[list[object]], drawings: Sequence[Drawn], yamls: Mapping[str, Sequence[Method]]
    ) -> None:
        """The pages that lead to cells."""
        self._boards(drawings)
        self._methods(yamls)
        self._index(rows, drawings[0])

    def _drawings(self) -> list[Drawn]:
        """Of each board."""
        return [drawn(board, self.archive.evidence, self.draw, self.folder / "charts") for board in self.boards]

    def _cells(self, chunk: range) -> list[list[object]]:
        """The pages of some cells, and their rows of the table, whose HTML would be three times as large."""
        near = range(max(0, chunk.start - 1), min(chunk.stop + 1, len(self.found)))
        figures = {at: self.figures(self.found[at]) for at in near}
        links = {at: _link(cell) for at, cell in figures.items()}
        rows = []
        for at in chunk:
            rows.append(table.row(figures[at]))
            self._cell(figures[at], links.get(at - 1), links.get(at + 1))
        return rows

    def figures(self, cell: Cell) -> Figures:
        """A cell with its rank."""
        figures = Figures(cell)
        if figures.status == "ranked":
            figures.rank = self.ranks.get((*cell.board, cell.family, cell.access, cell.label["defense"]))
        return figures

    def _cell(self, figures: Figures, before: Link | None, after: Link | None) -> None:
        evidence = self.archive.evidence([record.key for record in figures.cell.records])
        attack, defense = self.authors.of(figures.cell)
        links = {"before": before, "after": after, "attack_page": attack.slug, "defense_page": defense.slug}
        content = page(figures, evidence, self.pictures) | links | {"board": self.slugs[figures.cell.board]}
        self.templates.write(self.folder / "cells" / f"{figures.slug}.html", "cell.html", content)

    def _plain(self, rows: Sequence[list[object]], start: int) -> None:
        """One of the tables for whoever has no scripts; needed only where the first page does not hold all."""
        content = plain(rows, start) | {"groups": self.heads}
        self.templates.write(self.folder / "plain" / f"{content['page']}.html", "plain.html", content)

    def _boards(self, drawings: Sequence[Drawn]) -> None:
        for board, made in zip(self.boards, drawings, strict=True):
            names = ("dataset", "architecture", "recipe")
            content = {
                "board": board,
                "groups": groups(board),
                "drawn": made,
                "filters": urlencode({name: board.cells[0].label[name] for name in names}),
            }
            self.templates.write(self.folder / "boards" / f"{board.slug}.html", "board.html", content)

    def _methods(self, yamls: Mapping[str, Sequence[Method]]) -> None:
        for author in self.authors.found.values():
            content = {
                "author": author,
                "words": authors.words(author, yamls),
                "yamls": yamls.get(author.target, ()),
            }
            self.templates.write(self.folder / "methods" / f"{author.slug}.html", "method.html", content)

    def _index(self, rows: list[list[object]], largest: Drawn) -> None:
        statuses = Counter(str(row[AT["status"]]) for row in rows)
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
            "effect": heat_map(largest.cells, ""),
            "glance": largest.charts[:1],
            "methods": self.authors.listed(),
            "data": embedded({"columns": columns, "facets": table.FACETS, "rows": rows}),
        }
        self.templates.write(self.folder / "index.html", "index.html", content)


def _link(figures: Figures) -> Link:
    """To a cell's page, for the page of its neighbour."""
    label = figures.cell.label
    return Link(figures.slug, f"{label['defense']} against {label['attack']}")
