"""What to call the versions of a part of records: as short as tells them apart, and what is not as its yaml has it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.keys import is_path
from benchmark.record import Record
from benchmark.results import reproduce, yamls
from benchmark.words import counted


def labels(part: str, records: Sequence[Record]) -> dict[str, str]:
    """What to call each version of a part: its name, its rate, the options that tell it from others of its name.

    Options that differ from the yaml's are told too, lest a version be taken for the one that its name stands for.
    Versions that differ in code or in a file's content alone carry the beginning of their identity.
    """
    if part == "environment":
        return _distinct({record.identity[part]: _environment(record) for record in records})
    sections = {record.identity[part]: record.config.get(part) for record in records}
    configs = {version: _flat(section) if isinstance(section, Mapping) else {} for version, section in sections.items()}
    varied = _varied(list(configs.values()))
    found = {}
    for version, config in configs.items():
        name = _name(config)
        told = varied[name] | _changed(part, config, sections[version])
        shown = [o for o in config if o not in ("name", "rate") and not is_path(o) and o in told]
        options = "".join(f" {option}={_short(config[option])}" for option in shown)
        found[version] = name + _rate(config) + options
    return _distinct(found)


def _distinct(found: Mapping[str, str]) -> dict[str, str]:
    """Labels that several versions share, with as much of each one's identity as tells them all apart."""
    taken = Counter(found.values())
    shared = [version for version, label in found.items() if taken[label] > 1]
    digits = next((n for n in range(4, 64) if len({version[:n] for version in shared}) == len(shared)), 64)
    return {v: label if taken[label] == 1 else f"{label} #{v[:digits]}" for v, label in found.items()}


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Its options, those of an inner constructor among them under their own names; it is called after its network."""
    network = config.get("network")
    name = _name(network if isinstance(network, Mapping) else config)
    found: dict[str, Any] = {"name": name}
    for option, value in config.items():
        if isinstance(value, Mapping):
            inner = {k: v for k, v in value.items() if not str(k).startswith("_")}
            found |= {k if option == "network" else f"{option}.{k}": v for k, v in inner.items() if k != "name"}
        elif option != "name" and not option.startswith("_"):
            found[option] = value
    return found


def _varied(configs: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Name -> options in which its versions differ."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for config in configs:
        groups[_name(config)].append(config)
    found: dict[str, set[str]] = {}
    for name, alike in groups.items():
        options = {option for config in alike for option in config}
        found[name] = {o for o in options if len({_comparable(config.get(o)) for config in alike}) > 1}
    return found


def _changed(part: str, config: Mapping[str, Any], section: object) -> set[str]:
    """Options that differ from those of the yaml of this name."""
    yaml = reproduce.sibling(part, section) if part in reproduce.NAMED and isinstance(section, Mapping) else None
    usual = _flat(yamls.section(part, yaml)) if yaml else {}
    if _name(usual) != _name(config):  # a data set of its own under a constructor that takes any
        return set()
    return {o for o, value in config.items() if o in usual and _comparable(usual[o]) != _comparable(value)}


def _comparable(value: object) -> object:
    return ("json", json.dumps(value, sort_keys=True)) if isinstance(value, list | dict) else value


def _environment(record: Record) -> str:
    about = record.provenance
    return f"torch {about.versions.get('torch')} on {about.device}, {counted(about.threads, 'thread')}"


def _name(config: Mapping[str, Any]) -> str:
    """A config's own `name`, else its class's."""
    return str(config.get("name") or str(config.get("_target_", "none")).rpartition(".")[2])


def _rate(config: Mapping[str, Any]) -> str:
    rate = config.get("rate")
    return f" {100 * rate:g} %" if isinstance(rate, int | float) and 0 <= rate <= 1 else ""


def _short(value: object) -> str:
    return json.dumps(value).replace('"', "")
