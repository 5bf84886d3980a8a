"""What methods say of themselves, from their docstrings and yamls: both are parsed, and nothing is imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from benchmark import sources
from benchmark.config import CONF

SOURCE = re.compile(r"Source:\s*(.+?)(?:\n\s*\n|\Z)", re.DOTALL)
OPTION = re.compile(r"^(\w+):.*?(?:\s#\s*(.*))?$")
BASE = re.compile(r"^defaults:\n  - (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Option:
    """An option of a method.

    Attributes:
        name: of the constructor's argument.
        default: the yaml's value as JSON.
        meaning: the yaml's comment on it.
    """

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Method:
    """An attack or a defense that has a yaml.

    Attributes:
        path: of its yaml, `conf/<group>/<name>.yaml`.
        target: the dotted name of its class.
        module: what its module says.
        text: what its class says.
        options: in the order of the yaml.
    """

    path: Path
    target: str
    module: str
    text: str
    options: tuple[Option, ...]

    @property
    def source(self) -> str:
        """The paper: the class's `Source:`, else the module's first line."""
        found = SOURCE.search(self.text)
        return " ".join(found[1].split()) if found else self.module.partition("\n")[0]


def methods(group: str) -> list[Method]:
    """All of `attack` or `defense`, by the names of their yamls."""
    return [described(path) for path in sorted((CONF / group).glob("*.yaml"))]


def described(path: Path) -> Method:
    """What a yaml and the class that it names say.

    Raises:
        BadInput: there is no such class.
    """
    options = _options(path)
    target = str(options.pop("_target_"))
    meanings = _comments(path)
    told = (Option(name, json.dumps(value), meanings.get(name, "")) for name, value in options.items())
    return Method(path, target, *sources.docstrings(target), tuple(told))


def _lineage(path: Path) -> Iterator[Path]:
    """The yamls that one is built on, the first of them first, and itself."""
    base = BASE.search(path.read_text())
    if base:
        yield from _lineage(path.with_stem(base[1]))
    yield path


def _options(path: Path) -> dict[str, Any]:
    """A method's section of the configuration, as written."""
    found: dict[str, Any] = {}
    for file in _lineage(path):
        found |= cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.load(file)))
    return {name: value for name, value in found.items() if name != "defaults"}


def _comments(path: Path) -> dict[str, str]:
    """Option -> comment: behind it or in lines of its own above it; a yaml built on another brings that one's too."""
    found: dict[str, str] = {}
    for file in _lineage(path):
        above: list[str] = []
        for line in file.read_text().splitlines()[1:]:  # the first says what the method is
            option = OPTION.match(line)
            if line.startswith("#"):
                above.append(line.lstrip("# "))
            elif option:
                found[option[1]] = " ".join([*above, option[2] or ""]).strip() or found.get(option[1], "")
                above = []
    return found
