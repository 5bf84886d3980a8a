"""The command that makes a record again: its configuration, told by what differs from the yaml files in conf/."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic_core import to_json

from benchmark.record import Record
from benchmark.results import yamls
from benchmark.results.yamls import constructor, constructors, section

NAMED = ("dataset", "architecture", "recipe", "attack", "defense")  # groups, in the order they are written
BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")  # texts that Hydra takes without quotes ...
WORDS = {"null", "true", "false", "inf", "nan"}  # ... unless they mean something else


def command(record: Record, **changes: object) -> str:
    """What to type in a shell to make a record, or one that differs from it in some settings.

    Args:
        record: whose configuration is meant.
        changes: settings by name, e.g. `seed=[3, 4]` (several seeds are a sweep) or `defense=other.config["defense"]`.

    Returns:
        One line. A method from outside conf/ is called after its class, with every option written out; whoever has its
        yaml adds `--config-dir`.
    """
    several = isinstance(changes.get("seed"), Sequence)
    return shlex.join(["python", "scripts/run.py", *overrides(record, **changes), *(["-m"] if several else [])])


def overrides(record: Record, **changes: object) -> list[str]:
    """The same as Hydra's overrides: groups by name, options that differ from their yaml, the seed.

    The recipe is named only where it is not the data set's customary one.
    """
    config: dict[str, Any] = {**record.config, **changes}
    config |= {group: {} for group in NAMED if not isinstance(config.get(group), Mapping)}  # a stranger's record
    texts = {group: to_json(config[group]).decode() for group in NAMED}
    recipe = _customary_recipe(texts["dataset"])
    found: list[str] = []
    for group, text in texts.items():
        found += _told(group, text, recipe if group == "recipe" else "")
    found += [
        f"{name}={_text(config[name])}" for name, usual in yamls.usual().items() if config.get(name, usual) != usual
    ]
    seed = changes.get("seed", record.seed)
    seeds = seed if isinstance(seed, Sequence) else [seed]
    return [*found, "seed=" + ",".join(_text(value) for value in seeds)]


def chosen(group: str, config: Mapping[str, Any]) -> str:
    """The name of the yaml in conf/<group> that a section of a configuration comes from; elsewhere the class's name.

    Of several with one constructor it is the one of the section's own `name`, or that with the fewest differences.
    """
    wanted = constructor(config)
    alike = [name for name, target in constructors(group).items() if target == wanted]
    if alike:
        fits = {name: len(_differences(group, config, section(group, name))) for name in alike}
        return min(alike, key=lambda name: (config.get("name") != name, fits[name]))
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", wanted.rpartition(".")[2])
    return "_".join(part.lower() for part in parts) or "unknown"


def sibling(group: str, config: Mapping[str, Any]) -> str | None:
    """The name of the yaml in conf/<group> with a section's constructor, by `chosen`; None where there is none."""
    name = chosen(group, config)
    return name if constructors(group).get(name) == constructor(config) else None  # names of outsiders may be taken


def written(group: str, config: Mapping[str, Any]) -> str | None:
    """The name of the yaml in conf/<group> that says all that a section says; None where an option differs."""
    name = sibling(group, config)
    return name if name and not _differences(group, config, section(group, name)) else None


@cache
def _customary_recipe(dataset: str) -> str:
    """The recipe that naming a data set stands for, both as JSON; empty for a data set from outside conf/."""
    name = sibling("dataset", json.loads(dataset))
    return "" if name is None else json.dumps(section("recipe", yamls.called_for("recipe", f"dataset/{name}")))


@cache
def _told(group: str, text: str, customary: str) -> tuple[str, ...]:
    """Overrides of one group; both texts are JSON, the second the section that stands there anyway, or empty."""
    config = json.loads(text)
    name = chosen(group, config)
    options = tuple(_differences(group, config, section(group, name)))
    if customary:
        kept = tuple(_differences(group, config, json.loads(customary)))
        if len(kept) <= len(options):
            return kept
    return (f"{group}={_text(name)}", *options)


def _differences(path: str, config: Mapping[str, Any], default: Mapping[str, Any]) -> list[str]:
    """Overrides that turn the default into the configuration.

    An option that the configuration lacks, since it is younger than the record, keeps its default.
    """
    found = []
    for name, value in sorted(config.items()):
        if name in ("_target_", "_partial_"):
            continue
        known = default.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            found += _differences(f"{path}.{name}", value, known)
        elif name not in default or json.dumps(known) != json.dumps(value):  # 1 and 1.0 have different keys
            added = "+" if default and name not in default else ""
            found.append(f"{added}{path}.{name}={_text(value)}")
    return found


def _text(value: object) -> str:
    """A value in Hydra's grammar of overrides."""
    if isinstance(value, str):
        if BARE.fullmatch(value) and value.lower() not in WORDS:
            return value
        inner = re.sub(r'(\\*)(\$\{|"|$)', _escaped, value)
        return f'"{inner}"'
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value)


def _escaped(match: re.Match[str]) -> str:
    """Backslashes count only before a quote or an interpolation, and are doubled there."""
    slashes, ending = match[1], match[2]
    return 2 * slashes + ("\\" + ending if ending else "")
