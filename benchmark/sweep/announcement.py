"""What the runs of a sweep are, left in its folder for whoever asks how far it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark import store
from benchmark.data.cache import train_rows
from benchmark.errors import BadInput
from benchmark.keys import Keys
from benchmark.store import Store
from benchmark.sweep.chains import Point
from benchmark.sweep.estimates import About, about, name

NOTE = "sweep.json"  # in a sweep's folder


@dataclass(frozen=True)
class Planned:
    """A run as a survey needs it.

    Attributes:
        title: for people.
        about: what its costs depend on.
        keys: of its stages.
    """

    title: str
    about: About
    keys: Keys

    @property
    def stages(self) -> dict[str, str]:
        """Stage -> key of its artefact."""
        plan = self.keys
        shared = {} if plan.sham == plan.clean else {"sham": plan.sham}
        return {
            "clean": plan.clean,
            **shared,
            "backdoored": plan.backdoored,
            "defended": plan.run,
            "control": plan.control,
        }


def planned_runs(points: Iterable[Point], shelf: Store) -> list[Planned]:
    """What a survey needs of a grid's points."""
    return [
        Planned(title(point.config), about(point.config, train_rows(point.config["dataset"], shelf)), point.keys)
        for point in points
    ]


def title(config: Mapping[str, Any]) -> str:
    """What a run is called where people read: its parts' names and its seed."""
    parts = (name(config[part]) for part in ("dataset", "architecture", "attack", "defense"))
    return f"{' '.join(parts)} seed {config['seed']}"


def announce(folder: Path, runs: Iterable[Planned]) -> None:
    """Leave word of a sweep in its folder, for whoever asks how far it is."""
    store.replace(folder / NOTE, json.dumps([asdict(run) for run in runs]).encode())


def announced(folder: Path) -> list[Planned]:
    """The runs of a sweep.

    Raises:
        BadInput: the folder is not a sweep's.
    """
    try:
        runs = json.loads((folder / NOTE).read_bytes())
        return [Planned(run["title"], About(**run["about"]), Keys(**run["keys"])) for run in runs]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder}: holds no sweep ({error}); name a folder below the store's sweeps/") from error
