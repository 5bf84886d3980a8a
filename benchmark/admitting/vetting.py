"""Which constructors and options a configuration from elsewhere may name; nothing of it is imported or resolved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from benchmark import keys, sources
from benchmark.config import CONF, KNOWN, OUTSIDE
from benchmark.errors import BadInput

OURS = ("benchmark", "baselines")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
SECTIONS = ("dataset", "architecture", "recipe", "attack", "defense")
CALLS = {"_target_", "_partial_"}  # what a constructor's section may say to Hydra
MOST = 2**53  # what a program may take an integer for; no count comes near
THREADS = 1025  # one more than the most that anybody has measured with
LONGEST = 200  # characters of a dotted name; a file's may have 255
SHOWN = 80  # characters of what a record says


def vet(config: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Refuse a record's configuration that asks for more than known constructors' calls with plain options.

    Args:
        config: as a record has it.
        allowed: packages whose methods count besides ours.

    Raises:
        BadInput: why, in one line.
    """
    for name in sorted(config.keys() ^ (KNOWN - set(OUTSIDE))):
        refuse(f"config.{shown(name)}: {'no such setting' if name in config else 'is missing'}")
    for part in SECTIONS:
        if not isinstance(config[part], dict) or "_target_" not in config[part]:
            refuse(f"config.{part}: names no constructor")
    if config["transfer"] or not isinstance(config["device"], str) or config["threads"] not in range(1, THREADS):
        refuse(f"config: transfer must be empty, device a text, threads from 1 to {THREADS - 1}")
    for name, value in options(config):
        if name == "_target_":
            _target(value, (*OURS, *allowed))
        elif not NAME.fullmatch(name) or (name.startswith("_") and name not in CALLS):
            refuse(f"config: {shown(name)} is no option of a method")
        elif isinstance(value, str) and "${" in value:
            refuse(f"config: {name}={shown(value)} is not resolved; send records as they were written")
        elif name.startswith("oracle_") and value not in (None, False):
            refuse(f"config: {name}={shown(value)} lets the method see what it must not; leave it out")
    named = {part: section for part, section in config.items() if part != "dataset"}
    for name, value in options(named):
        if keys.is_path(name) and value is not None:
            refuse(f"config: {name}={shown(value)} names a file, whose content cannot be checked here; leave it out")


def targets(config: object) -> Iterator[str]:
    """Every constructor that a configuration names, at any depth."""
    for name, value in options(config):
        if name == "_target_":
            yield str(value)


@cache
def installed(target: str) -> bool:
    """Whether the source of a dotted name is here."""
    try:
        sources.digest(target)
    except (BadInput, SyntaxError, ValueError):
        return False
    return True


def refuse(reason: str) -> None:
    """Say no.

    Raises:
        BadInput: always.
    """
    raise BadInput(" ".join(reason.split()))


def shown(value: object) -> str:
    """What a record says, on one line and short; an integer may have more digits than Python writes out."""
    if isinstance(value, int) and abs(value) > MOST:
        return "an integer over 2^53"
    text = repr(str(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}...'"


def _target(value: object, packages: tuple[str, ...]) -> None:
    """A class, in the module that its name says, of a known package; of the core only what a yaml of conf/ names."""
    if not isinstance(value, str) or len(value) > LONGEST or not TARGET.fullmatch(value):
        refuse(f"_target_={shown(value)}: is no dotted name")
    target = str(value)
    top = target.split(".")[0]
    if not any(target.startswith(f"{package}.") for package in packages):
        refuse(f"_target_={shown(target)}: lies outside {', '.join(packages)}; --allow {top} if its methods are known")
    if top == "benchmark" and target not in _core():
        refuse(f"_target_={shown(target)}: no yaml in conf/ names it")
    if (top in OURS or installed(target)) and not _is_class(target):
        refuse(f"_target_={shown(target)}: names no class of a module here; update postern, or correct it")


def _is_class(target: str) -> bool:
    try:
        sources.docstrings(target)
    except BadInput:
        return False
    return True


@cache
def _core() -> frozenset[str]:
    """What our own yamls construct."""
    read = (OmegaConf.to_container(OmegaConf.load(path), resolve=False) for path in CONF.rglob("*.yaml"))
    return frozenset(target for content in read for target in targets(content) if target.startswith("benchmark."))


def options(config: object) -> Iterator[tuple[str, Any]]:
    """Every named value of a configuration, at any depth; a value in a list has its list's name."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield from ((str(name), item) for item in (_leaves(value) if name != "_target_" else [value]))
            yield from options(value)
    elif isinstance(config, list):
        for item in config:
            yield from options(item)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
