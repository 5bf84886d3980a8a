"""Write docs/methods.md from the methods' docstrings and yamls: scripts/methods_doc.py [FOLDER]."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.utils import get_class

from benchmark.attack import Attack
from benchmark.cli import Parser, guarded
from benchmark.defense import Defense
from benchmark.methods import Method, methods

ROOT = Path(__file__).parents[1]
INTRODUCTION = """# Methods

Made by `python scripts/methods_doc.py` from the methods' docstrings and yamls; do not edit by hand. What each one
measured is in [leaderboard/README.md](../leaderboard/README.md).
"""
ATTACKS = ("attack", "ships", "needs", "source")
DEFENSES = ("defense", "family", "access", "source")


def main() -> None:
    """Write the page."""
    parser = Parser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs", help="of the page (default: docs)")
    folder: Path = parser.parse_args().folder
    attacks, defenses = methods("attack"), methods("defense")
    parts = [INTRODUCTION, "## Attacks", "", *table(ATTACKS, [attack_row(method) for method in attacks]), ""]
    parts += [line for method in attacks for line in section(method)]
    parts += ["## Defenses", "", *table(DEFENSES, [defense_row(method) for method in defenses]), ""]
    parts += [line for method in defenses for line in section(method)]
    (folder / "methods.md").write_text("\n".join(parts).rstrip() + "\n")


def attack_row(method: Method) -> tuple[str, ...]:
    """What an attack hands over and is given."""
    attack: type[Attack] = get_class(method.target)
    return link(method.path), attack.ships, words(attack.needs), method.source


def defense_row(method: Method) -> tuple[str, ...]:
    """What a defense is ranked within."""
    defense: type[Defense] = get_class(method.target)
    return link(method.path), defense.family, words(defense.needs), method.source


def section(method: Method) -> Iterator[str]:
    """A method's own words, and its options with their defaults."""
    path = method.path
    yield from (f"### {path.stem}", "")
    yield from (f"`{method.target}`, `conf/{path.parent.name}/{path.name}`", "")
    yield from ("```text", *method.module.splitlines(), "", *method.text.splitlines(), "```", "")
    options = [(f"`{option.name}`", f"`{option.default}`", option.meaning) for option in method.options]
    if options:
        yield from (*table(("option", "default", "meaning"), options), "")


def link(path: Path) -> str:
    """A method's name, leading to its section."""
    return f"[{path.stem}](#{path.stem})"


def words(needs: frozenset[str]) -> str:
    """Access in one cell."""
    return " + ".join(sorted(needs)) or "nothing"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Markdown lines."""
    for cells in (header, ("---",) * len(header), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(guarded(main))
