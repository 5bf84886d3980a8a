"""Write docs/methods.md from the methods' docstrings and yamls: scripts/methods_doc.py [FOLDER]."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from hydra.utils import get_class
from omegaconf import OmegaConf

from benchmark import compose
from benchmark.attack import Attack
from benchmark.defense import Defense

ROOT = Path(__file__).parents[1]
INTRODUCTION = """# Methods

Made by `python scripts/methods_doc.py` from the methods' docstrings and yamls; do not edit by hand. What each one
measured is in [leaderboard/README.md](../leaderboard/README.md).
"""
ATTACKS = ("attack", "ships", "needs", "source")
DEFENSES = ("defense", "family", "access", "source")
SOURCE = re.compile(r"Source:\s*(.+?)(?:\n\s*\n|\Z)", re.DOTALL)
OPTION = re.compile(r"^(\w+):.*?(?:\s#\s*(.*))?$")


def main(folder: Path) -> None:
    """Write the page."""
    attacks, defenses = (sorted((ROOT / "conf" / group).glob("*.yaml")) for group in ("attack", "defense"))
    parts = [INTRODUCTION, "## Attacks", "", *table(ATTACKS, [attack_row(path) for path in attacks]), ""]
    parts += [line for path in attacks for line in section(path)]
    parts += ["## Defenses", "", *table(DEFENSES, [defense_row(path) for path in defenses]), ""]
    parts += [line for path in defenses for line in section(path)]
    (folder / "methods.md").write_text("\n".join(parts).rstrip() + "\n")


def attack_row(path: Path) -> tuple[str, ...]:
    """What an attack hands over and is given."""
    method: type[Attack] = method_of(path)
    return link(path), method.ships, words(method.needs), source(method)


def defense_row(path: Path) -> tuple[str, ...]:
    """What a defense is ranked within."""
    method: type[Defense] = method_of(path)
    return link(path), method.family, words(method.needs), source(method)


def section(path: Path) -> Iterator[str]:
    """A method's own words, and its options with their defaults."""
    method = method_of(path)
    yield from (f"### {path.stem}", "")
    yield from (f"`{method.__module__}.{method.__qualname__}`, `conf/{path.parent.name}/{path.name}`", "")
    module = inspect.cleandoc(sys.modules[method.__module__].__doc__ or "").splitlines()
    yield from ("```text", *module, "", *inspect.cleandoc(method.__doc__ or "").splitlines(), "```", "")
    options = list(described(path))
    if options:
        yield from (*table(("option", "default", "meaning"), options), "")


def described(path: Path) -> Iterator[tuple[str, str, str]]:
    """Option, default and the yaml's comment on it."""
    meanings = comments(path)
    for option, value in options_of(path).items():
        if option != "_target_":
            yield f"`{option}`", f"`{json.dumps(value)}`", meanings.get(option, "")


def comments(path: Path) -> dict[str, str]:
    """Option -> comment: behind it or in lines of its own above it; a yaml built on another brings that one's too."""
    base = re.search(r"^defaults:\n  - (\w+)$", path.read_text(), re.MULTILINE)
    found = comments(path.with_stem(base[1])) if base else {}
    above: list[str] = []
    for line in path.read_text().splitlines()[1:]:  # the first says what the method is
        option = OPTION.match(line)
        if line.startswith("#"):
            above.append(line.lstrip("# "))
        elif option:
            found[option[1]] = " ".join([*above, option[2] or ""]).strip() or found.get(option[1], "")
            above = []
    return found


@cache  # composing takes a second
def options_of(path: Path) -> dict[str, Any]:
    """A method's section of the configuration."""
    chosen = compose(f"{path.parent.name}={path.stem}")[path.parent.name]
    return cast("dict[str, Any]", OmegaConf.to_container(chosen))


def source(method: type[Any]) -> str:
    """The paper: the class's `Source:`, else the module's first line."""
    found = SOURCE.search(inspect.cleandoc(method.__doc__ or ""))
    first = (sys.modules[method.__module__].__doc__ or "").splitlines()[0]
    return " ".join(found[1].split()) if found else first


def method_of(path: Path) -> Any:
    """The class behind a yaml."""
    return get_class(str(options_of(path)["_target_"]))


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
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
