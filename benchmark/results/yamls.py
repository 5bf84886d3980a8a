"""What the yaml files in conf/ say, without Hydra: composing takes a hundred times as long as reading a file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from omegaconf import OmegaConf

from benchmark.config import CONF, compose


def section(group: str, name: str) -> Mapping[str, Any]:
    """A group's options by its yaml; nothing for a name that is not in conf/."""
    return _section(group, name) if name in constructors(group) else {}


def _section(group: str, name: str) -> Mapping[str, Any]:
    return _alone(group, name) or _composed(group, name)


@cache
def constructors(group: str) -> Mapping[str, str]:
    """The yaml files of conf/<group>, by name, and the constructors that they call."""
    return MappingProxyType({name: constructor(_section(group, name)) for name in _files(group)})


def _files(group: str) -> list[str]:
    """The names of the yaml files of conf/<group>."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def constructor(config: Mapping[str, Any]) -> str:
    """The dotted name a section stands for; an architecture stands for its network."""
    inner = config.get("network")
    return str((inner if isinstance(inner, Mapping) else config).get("_target_", ""))


def called_for(group: str, path: str) -> str:
    """What a yaml's defaults name of another group, or those of the yaml it builds on; else what config.yaml names.

    Args:
        group: such as `recipe`.
        path: of the yaml in conf/, without its suffix, such as `dataset/digits`.
    """
    steps = _yaml(path).get("defaults", [])
    named = {_group(key): name for step in steps if isinstance(step, dict) for key, name in step.items()}
    bases = [step for step in steps if isinstance(step, str) and step != "_self_"]
    if group in named:
        return str(named[group])
    return called_for(group, f"{path.rpartition('/')[0]}/{bases[0]}" if bases else "config")


def _group(step: str) -> str:
    """Of a step in a defaults list: `recipe` in `recipe` and in `override /recipe@_global_.recipe`."""
    return step.removeprefix("override ").removeprefix("/").partition("@")[0]


@cache
def usual() -> Mapping[str, Any]:
    """Settings of no group, and what they are where nobody says anything."""
    launcher = _yaml("hydra/launcher/local")
    return MappingProxyType({name: launcher[name] for name in ("device", "threads")})


@cache
def _alone(group: str, name: str) -> Mapping[str, Any] | None:
    """A yaml's options as the files of its group tell them.

    What it changes in other groups has no part in them; None where it does more than to build on a file of its own.
    """
    text = (CONF / group / f"{name}.yaml").read_text()
    if "${" in text or "@package" in text:
        return None
    tree = dict(_yaml(f"{group}/{name}"))
    steps = [step for step in tree.pop("defaults", []) if not str(step).startswith("{'override ")]
    bases = [step for step in steps if step != "_self_"]
    if not bases:
        return tree
    built = steps == [bases[0], "_self_"] and bases[0] in _files(group)
    base = _alone(group, bases[0]) if built else None
    return None if base is None else OmegaConf.to_container(OmegaConf.merge(base, tree))  # type: ignore[return-value]


@cache
def _yaml(path: str) -> Mapping[str, Any]:
    """A file of conf/ as it stands."""
    found: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{path}.yaml"))
    return MappingProxyType(found)


@cache
def _composed(group: str, name: str) -> dict[str, Any]:
    """The same by Hydra, which knows what a yaml refers to."""
    tree: Any = OmegaConf.to_container(compose(f"{group}={name}"), resolve=True)
    found: dict[str, Any] = tree[group]
    return found
