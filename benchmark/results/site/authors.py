"""The page of a method: its own words, parsed from its source if that is installed, its options and its results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmark import sources
from benchmark.errors import BadInput
from benchmark.methods import Method, methods
from benchmark.record import Record
from benchmark.results.leaderboard import Cell
from benchmark.results.site.figures import section
from benchmark.results.site.rows import AT

KINDS = ("attack", "defense")
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")  # names that may name a file
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
MOST = 500  # results on a page; the table of cells has all


class Result(NamedTuple):
    """One cell of a method."""

    slug: str
    other: str
    place: str
    status: str
    before: float | None
    after: float | None
    removed: float | None


@dataclass
class Author:
    """A method that some record names.

    Attributes:
        kind: attack or defense.
        name: of its class, as records say.
        target: its dotted name, as the first record says.
        facts: what records say of it, by name.
        slug: the name of its page.
        results: its cells, at most `MOST`.
        total: how many cells there are.
    """

    kind: str
    name: str
    target: str
    facts: Mapping[str, str]
    slug: str
    results: list[Result] = field(default_factory=list)
    total: int = 0

    def add(self, cell: Cell, row: Sequence[Any]) -> None:
        """Count a cell, and keep the numbers of its row in the table while there is room."""
        self.total += 1
        if len(self.results) < MOST:
            label = cell.label
            other = label["defense" if self.kind == "attack" else "attack"]
            own = " ".join(label[self.kind].split(" ")[1:])
            place = ", ".join(part for part in (label["dataset"], label["architecture"], label["recipe"], own) if part)
            status, before, after, removed = (
                row[AT[n]] for n in ("status", "asr_backdoored", "asr_defended", "removed")
            )
            before, after = (score and score[0] for score in (before, after))
            self.results.append(Result(row[-1], other, place, status, before, after, removed))


class Authors:
    """All methods that records name; what they say of themselves is parsed, never imported.

    Args:
        cells: whose methods are meant; the first to come gets the page's plain name.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.found: dict[tuple[str, str], Author] = {}
        self.taken: set[str] = set()
        for cell in cells:
            self.of(cell)

    def of(self, cell: Cell) -> tuple[Author, Author]:
        """The attack and the defense of a cell."""
        attack, defense = (self._one(kind, cell.records[0]) for kind in KINDS)
        return attack, defense

    def listed(self) -> list[tuple[str, list[Author]]]:
        """Attacks and defenses by name."""
        chosen = [(kind, [author for author in self.found.values() if author.kind == kind]) for kind in KINDS]
        return [(f"{kind.capitalize()}s", sorted(members, key=lambda a: a.name.lower())) for kind, members in chosen]

    def _one(self, kind: str, record: Record) -> Author:
        facts = getattr(record.methods, kind)
        found = self.found.get((kind, facts.name))
        if found is None:
            target = str(section(record, kind).get("_target_", ""))
            told = {"given": " + ".join(facts.needs) or "nothing"}
            told |= {"ships": facts.ships} if kind == "attack" else {"family": facts.family}
            found = Author(kind, facts.name, target, told, self._slug(kind, facts.name))
            self.found[kind, facts.name] = found
        return found

    def _slug(self, kind: str, name: str) -> str:
        """A file's name: the method's own where that is plain and free, whatever the case of letters."""
        wanted = name if PLAIN.fullmatch(name) else f"{kind}-{len(self.taken)}"
        made = wanted if wanted.lower() not in self.taken else f"{wanted}-{len(self.taken)}"
        self.taken.add(made.lower())
        return made


def known() -> Mapping[str, Sequence[Method]]:
    """Class -> the yamls in conf/ that call it."""
    found: dict[str, list[Method]] = {}
    for kind in KINDS:
        for method in methods(kind):
            found.setdefault(method.target, []).append(method)
    return found


def words(author: Author, yamls: Mapping[str, Sequence[Method]]) -> tuple[str, str] | None:
    """What its module and its class say; None where the source is not here."""
    if author.target in yamls:
        method = yamls[author.target][0]
        return method.module, method.text
    if not DOTTED.fullmatch(author.target):
        return None
    try:
        return sources.docstrings(author.target)
    except (BadInput, SyntaxError, ValueError, OSError):
        return None
