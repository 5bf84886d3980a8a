"""A grid as chains: the runs that share a victim, one after another in one job, so that it is trained once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal, cast

from omegaconf import OmegaConf

from benchmark import keys, sources, store
from benchmark.attempts import last
from benchmark.keys import Keys
from benchmark.store import Store

Kind = Literal["clean", "attack"]


@dataclass(frozen=True)
class Point:
    """One run of a grid.

    Attributes:
        config: resolved and checked.
        keys: of its stages.
    """

    config: Mapping[str, Any]
    keys: Keys


@dataclass(frozen=True)
class Chain:
    """What one job does, in order.

    Attributes:
        kind: "clean" makes what attacks share and writes no record; "attack" makes runs.
        points: of one victim, or of several where jobs are scarce.
    """

    kind: Kind
    points: Sequence[Point]

    def write(self, path: Path) -> None:
        """Leave it for a job, as YAML (the JSON in it is YAML too, and quickly written)."""
        content = {"kind": self.kind, "configs": [point.config for point in self.points]}
        store.publish(path, json.dumps(content, indent=1).encode())


def read(path: Path) -> tuple[Kind, list[dict[str, Any]]]:
    """What a chain's file asks for: its kind and the configurations."""
    content = cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.load(path)))
    return content["kind"], content["configs"]


def missing(points: Sequence[Point], shelf: Store, retry: bool) -> list[Point]:
    """The points without a record, less those that failed too often, unless asked to retry."""
    found = store.listed(shelf.root / "records")
    left = [point for point in points if shelf.record(point.keys.run).name not in found]
    return left if retry else [point for point in left if not _left_aside(point, shelf)]


def clean_chains(points: Sequence[Point], shelf: Store) -> list[Chain]:
    """A chain for each clean victim: the controls and surrogates that the points need and the store lacks."""
    groups: dict[str, list[Point]] = defaultdict(list)
    wanted: set[str] = set()
    stored = store.listed(shelf.root / "artefacts")
    for point in points:
        new = {thing for thing in _shared(point, stored) if thing not in wanted}
        if new:
            wanted |= new
            groups[point.keys.clean].append(point)
    return [Chain("clean", group) for group in groups.values()]


def attack_chains(points: Sequence[Point]) -> list[Chain]:
    """A chain for each backdoored victim, with all its defenses."""
    groups: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        groups[point.keys.backdoored].append(point)
    return [Chain("attack", group) for group in groups.values()]


def waves(chains: Sequence[Chain], size: int | None) -> Iterator[list[Chain]]:
    """Chains of at most so many points: first those that train a victim, then the rest of the long ones.

    Args:
        chains: of one kind.
        size: points a job; None for no limit.
    """
    yield [Chain(chain.kind, chain.points[:size]) for chain in chains]
    if size is not None:
        rests = [
            Chain(chain.kind, chain.points[start : start + size])
            for chain in chains
            for start in range(size, len(chain.points), size)
        ]
        yield rests


def packed(chains: Sequence[Chain], most: int) -> list[Chain]:
    """The same work in at most so many chains, for schedulers that limit a job array's size."""
    share = max(1, ceil(len(chains) / most))
    groups = [chains[start : start + share] for start in range(0, len(chains), share)]
    return [Chain(group[0].kind, [point for chain in group for point in chain.points]) for group in groups]


def _shared(point: Point, stored: set[str]) -> Iterator[str]:
    """Names of what a point needs from its clean chain and the store does not show."""
    plan, attack = point.keys, point.config["attack"]
    wanted = [plan.clean, *([plan.control] if plan.sham == plan.clean else [])]
    yield from (key for key in wanted if f"{key}.safetensors" not in stored)
    if sources.defines(str(attack["_target_"]), "surrogates"):  # only the attack knows how many, and their names
        yield keys.hashed("surrogates", plan.clean, keys.identity(attack))


def _left_aside(point: Point, shelf: Store) -> bool:
    failure = last(shelf.failure(point.keys.run))
    return failure is not None and failure.left_aside
