"""What a stage will cost, from what recorded ones did: like stages first, ever less alike ones where there are none."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmark.devices import device_kind

TRAININGS = ("clean", "sham", "backdoored")  # the others are defenses


@dataclass(frozen=True)
class About:
    """What the cost of a run's stages depends on.

    Attributes:
        dataset, architecture, recipe, attack, defense: their names.
        device: kind, e.g. "cuda".
        sharing: runs that share the device.
        rows: training rows.
        epochs: of the recipe.
    """

    dataset: str
    architecture: str
    recipe: str
    attack: str
    defense: str
    device: str
    sharing: int
    rows: int
    epochs: int

    @property
    def size(self) -> int:
        """Rows a training sees; what a stage's cost is taken to grow with."""
        return max(1, self.rows * self.epochs)


def about(config: Mapping[str, Any], rows: int, device: str | None = None, sharing: int = 1) -> About:
    """What a run's costs depend on.

    Args:
        config: resolved.
        rows: training rows.
        device: kind; None for what the configuration says.
        sharing: runs that share the device.
    """
    names = {part: name(config[part]) for part in ("dataset", "architecture", "recipe", "attack", "defense")}
    return About(
        **names,
        device=device or device_kind(str(config["device"])),
        sharing=sharing,
        rows=rows,
        epochs=int(config["recipe"].get("epochs", 1)),
    )


def name(section: Mapping[str, Any]) -> str:
    """A section's own `name`, else its class's; an architecture is called after its network."""
    inner = section.get("network", section)
    return str(inner.get("name") or str(inner.get("_target_", "none")).rpartition(".")[2])


class Estimates:
    """Mean seconds of stages.

    Args:
        samples: (stage, what it depended on, seconds).
    """

    def __init__(self, samples: Iterable[tuple[str, About, float]]) -> None:
        self.means: dict[tuple[object, ...], list[float]] = defaultdict(list)
        for stage, known, seconds in samples:
            for level in _levels(stage, known):
                self.means[level].append(seconds / known.size)

    def seconds(self, stage: str, known: About) -> float | None:
        """Expected wall seconds of a stage (clean, backdoored, defended, ...); None where nothing is alike."""
        found = next((self.means[level] for level in _levels(stage, known) if level in self.means), None)
        return None if found is None else fmean(found) * known.size


def _levels(stage: str, known: About) -> Iterator[tuple[object, ...]]:
    """What is looked for, the most alike first."""
    training = stage in TRAININGS
    method = None if stage == "clean" else known.attack if training else known.defense
    where = (training, known.device, known.sharing)
    yield (*where, method, known.architecture, known.recipe, known.dataset)
    yield (*where, method, known.architecture, known.recipe)
    yield (*where, method, known.architecture)
    yield (*where, known.architecture)
    yield (training, known.device, known.architecture)
    yield (training, known.device)


def recorded(folder: Path) -> Iterator[tuple[str, About, float]]:
    """Samples from all records below a folder; what cannot be read is left out."""
    for path in sorted(folder.rglob("*.json")):
        try:
            content = json.loads(path.read_bytes())
            origin = content["provenance"]
            device = "cpu" if origin["device"] == "cpu" else "cuda"
            known = about(content["config"], content["rows"]["train"], device, origin.get("runs_per_device", 1))
            yield from ((stage, known, cost["seconds"]) for stage, cost in content["costs"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
