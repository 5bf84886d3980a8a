"""Which cells a script works on: where records are and which slice of them, as options of the command line."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.results.archive import Archive
from benchmark.results.leaderboard import Cell, leaderboard
from benchmark.results.names import nearest_first, plain

COMMITTED = Path("leaderboard/records")
FACETS = ("dataset", "architecture", "recipe", "environment", "attack", "defense", "family", "access")
OPTIONED = ("attack", "defense", "dataset", "architecture", "recipe")  # facets whose labels go on after their name


def add_source(parser: ArgumentParser) -> None:
    """Add `--store` and `--records`, of which one may be given; the environment's store stands behind both."""
    given = os.environ.get("POSTERN_STORE")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--store", type=Path, default=given and Path(given), help="a store; reads its records")
    one.add_argument("--records", type=Path, help=f"a folder of records, or a Parquet file (default: {COMMITTED})")


def add_slice(parser: ArgumentParser, facets: Sequence[str] = FACETS) -> None:
    """Add an option for each facet; each takes several names."""
    words = "as shown, without its options, or a pattern such as 'BadNets 5 %%*'"
    for facet in facets:
        help_text = f"this {facet} alone, {words}" if facet == "attack" else f"this {facet} alone"
        parser.add_argument(f"--{facet}", nargs="+", default=(), metavar="NAME", help=help_text)


def folder(arguments: Namespace) -> Path:
    """Where the records are: `--records`, else those of `--store`, else the committed ones.

    Raises:
        BadInput: nothing is there.
    """
    found: Path = arguments.records or (arguments.store / "records" if arguments.store else COMMITTED)
    if not found.exists():
        raise BadInput(f"{found}: is no folder of records; give --store or --records, or run scripts/run.py first")
    return found


def every(arguments: Namespace) -> list[Cell]:
    """All cells that the options lead to.

    Raises:
        BadInput: there is no such folder, or nothing in it.
    """
    place = folder(arguments)
    found = leaderboard(place)
    if not found:
        raise BadInput(f"{place}: holds no record; run scripts/run.py first")
    return found


def selected(arguments: Namespace) -> list[Cell]:
    """The slice that the options of `add_source` and `add_slice` describe; labels are those of the whole.

    Raises:
        BadInput: there are no records, or none of that name.
    """
    return chosen(every(arguments), {facet: getattr(arguments, facet, ()) for facet in FACETS})


def chosen(found: Sequence[Cell], wanted: Mapping[str, Sequence[str]]) -> list[Cell]:
    """Cells that have one of the wanted names in every facet with wanted names.

    Args:
        found: where to look.
        wanted: facet -> names: a label, its first word, in any spelling that differs in case and `_` alone, or a
            pattern with `*`.

    Raises:
        BadInput: a name that no cell has, or none that has all.
    """
    left = list(found)
    for facet, names in wanted.items():
        for name in names:
            if not any(_called(cell, facet, name) for cell in found):
                raise BadInput(_unknown(found, facet, name))
        left = [cell for cell in left if not names or any(_called(cell, facet, name) for name in names)]
    if not left:
        told = " ".join(f"--{facet} {' '.join(names)}" for facet, names in wanted.items() if names)
        raise BadInput(f"{told}: no record is all of that; leave one of them out")
    return left


def with_evidence(found: Sequence[Cell], arguments: Namespace) -> list[Cell]:
    """The cells again, their records with curves and pictures."""
    held = Archive(folder(arguments)).evidence(record.key for cell in found for record in cell.records)
    return [
        replace(cell, records=[r.model_copy(update={"evidence": held.get(r.key)}) for r in cell.records])
        for cell in found
    ]


def _text(cell: Cell, facet: str) -> str:
    return str(getattr(cell, facet)) if facet in ("family", "access") else cell.label[facet]


def _called(cell: Cell, facet: str, name: str) -> bool:
    text = _text(cell, facet)
    if "*" in name:
        return fnmatchcase(text.lower(), name.lower())
    return plain(name) in (plain(text), plain(_first(text, facet)))


def _first(text: str, facet: str) -> str:
    return text.partition(" ")[0] if facet in OPTIONED else text


def _unknown(found: Sequence[Cell], facet: str, name: str) -> str:
    """Whoever typed a label's options is told labels, whoever typed a name is told names."""
    labels = {_text(cell, facet) for cell in found}
    known = labels if " " in name or "*" in name else {_first(label, facet) for label in labels}
    return f"--{facet} {name}: no record has it; give one of these, nearest first: {nearest_first(name, known)}"
