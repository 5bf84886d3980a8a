"""Run a stranger's cells again, in a store that the stranger's artefacts cannot have reached, and compare."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from benchmark import keys
from benchmark.admitting.comparing import Difference, apart, unequal
from benchmark.admitting.vetting import installed, options, shown, targets
from benchmark.config import compose
from benchmark.devices import torch_device
from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results.leaderboard import Cell
from benchmark.results.reproduce import constructors
from benchmark.run import planned, run

SHARED = ("data", "downloads")  # of the store: decoded rows and what they came from, which no archive brings
OURS = {"tracker": {"_target_": "benchmark.tracker.NoTracker"}, "retry": True}

Paths = list[tuple[str, Any]]  # options that name files, and what they name


def feasible(cells: Sequence[Cell], store: Path) -> tuple[list[Cell], dict[str, str]]:
    """Part the cells that can be run again here from those that cannot.

    Args:
        cells: of vetted records.
        store: of the verification; a data set that has never been decoded is decoded into it.

    Returns:
        The first, in their order; of the others, by what they are called, why not.
    """
    able: list[Cell] = []
    unable: dict[str, str] = {}
    for cell in cells:
        reason = next(filter(None, (obstacle(record, store) for record in cell.records)), None)
        if reason is None:
            able.append(cell)
        else:
            defense, attack, dataset = (shown(cell.label[part]) for part in ("defense", "attack", "dataset"))
            unable[f"{defense} against {attack} on {dataset}"] = reason
    return able, unable


def obstacle(record: Record, store: Path) -> str | None:
    """Why a vetted record's run cannot be tried here: in a line, or None if it can.

    No file is opened that only the record names: a data set's path must be one that a yaml in conf/dataset names for
    the same constructor.

    Args:
        record: checked by `benchmark.admitting.claims.check`.
        store: of the verification.
    """
    absent = next((target for target in targets(record.config) if not installed(target)), None)
    if absent is not None:
        return f"{absent} is not installed"
    try:
        torch_device(str(record.config["device"]))
    except BadInput as error:
        return shown(error)
    return _rows_elsewhere(record, store)


def drawn(cells: Sequence[Cell], count: int, draw: int) -> list[Cell]:
    """The cells to run again: those of `count` places that a seed draws.

    Args:
        cells: in the leaderboard's order.
        count: how many; all where there are fewer.
        draw: the seed, which the submitter must not know beforehand.
    """
    return random.Random(draw).sample(list(cells), min(count, len(cells)))


def workshop(store: Path, draw: int) -> Path:
    """The store of a verification: new but for decoded data; the same draw continues in it.

    A record or victim that was imported from the submitter would otherwise be found, and agree with itself.

    Args:
        store: whose data sets are used.
        draw: the verification's seed.
    """
    root = store / "verifications" / str(draw)
    root.mkdir(parents=True, exist_ok=True)
    for part in SHARED:
        (store / part).mkdir(exist_ok=True)
        if not (root / part).exists():
            (root / part).symlink_to((store / part).resolve())
    return root


def difference(record: Record, store: Path, overlap: bool = False) -> Difference | None:
    """Run a vetted record's configuration, and tell the first thing that came out otherwise; None if nothing did.

    In the same environment (protocol, torch, kind of device, threads, precision) all that was measured must be equal.
    In another, the 95 % intervals of all counts and areas under curves must meet, of as many rows.

    Args:
        record: one without an `obstacle`.
        store: of the verification.
        overlap: judge by intervals in the same environment too, where processors are known to calculate otherwise.
    """
    try:
        ours = run({**record.config, **OURS, "store": str(store)})
    except Exception as error:  # noqa: BLE001  # whatever a stranger's options led a method to raise
        return Difference(f"running it again failed: {shown(error)}")
    same = ours.identity["environment"] == record.identity["environment"]
    if ours.provenance.dataset != record.provenance.dataset:
        return Difference("its data set's rows are not those here")
    return unequal(record, ours) if same and not overlap else apart(record, ours)


def _rows_elsewhere(record: Record, store: Path) -> str | None:
    """Why a data set that is a path is not to be had here; None for one that is, or that is no path."""
    section = record.config["dataset"]
    if not (named := _paths(section)):
        return None
    if named not in _known_paths(str(section["_target_"])):
        return f"{_told(named)}: no yaml in conf/dataset names it for this constructor"
    if not all(Path(value).expanduser().exists() for _, value in named):
        return f"{_told(named)}: is not here"
    try:
        _, plan = planned({**record.config, "store": str(store)})
    except Exception as error:  # noqa: BLE001  # whatever a stranger's other options led the data set to raise
        return f"{_told(named)}: cannot be read here ({shown(error)})"
    same = plan == keys.plan(record.config, record.provenance.dataset)  # all but the rows is the same in both
    return None if same else f"{_told(named)}: holds other rows here"


@cache
def _known_paths(target: str) -> list[Paths]:
    """What each yaml in conf/dataset that calls a constructor names."""
    yamls = [name for name, constructor in constructors("dataset").items() if constructor == target]
    return [_paths(OmegaConf.to_container(compose(f"dataset={name}")["dataset"], resolve=True)) for name in yamls]


def _paths(section: object) -> Paths:
    """A data set's options that name files, at any depth, and are set."""
    found = ((name, value) for name, value in options(section) if keys.is_path(name) and value is not None)
    return sorted(found, key=repr)


def _told(named: Paths) -> str:
    return ", ".join(f"dataset.{name}={shown(value)}" for name, value in named)
