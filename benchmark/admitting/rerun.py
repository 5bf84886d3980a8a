"""Run a stranger's cells again, in a store that the stranger's artefacts cannot have reached, and compare."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from benchmark import keys
from benchmark.admitting.comparing import Difference, apart, unequal
from benchmark.admitting.vetting import installed, options, shown, targets
from benchmark.config import compose
from benchmark.data import cache as decoded
from benchmark.devices import torch_device
from benchmark.errors import BadInput
from benchmark.inventory import VERIFICATIONS
from benchmark.record import Record
from benchmark.results.leaderboard import Cell
from benchmark.results.marks import Standing, standing_of
from benchmark.results.yamls import constructors
from benchmark.run import run
from benchmark.store import Store

SHARED = ("data", "downloads")  # of the store: decoded rows and what they came from, which no archive brings
LACKING = (MemoryError, torch.OutOfMemoryError, OSError)  # errors that tell of the machine: memory, disk, network
NO_MEMORY = "can't allocate memory"  # how torch says so of a processor
OURS = {"tracker": {"_target_": "benchmark.tracker.NoTracker"}, "retry": True}

Paths = list[tuple[str, Any]]  # options that name files, and what they name


def feasible(cells: Sequence[Cell], store: Path) -> tuple[list[Cell], list[tuple[str, str]]]:
    """Part the cells that can be run again here from those that cannot.

    Args:
        cells: of vetted records.
        store: of the verification; a data set that has never been decoded is decoded into it.

    Returns:
        The first, in their order; of each of the others what it is called, and why not.
    """
    able: list[Cell] = []
    unable: list[tuple[str, str]] = []
    for cell in cells:
        reason = next(filter(None, (obstacle(record, store) for record in cell.records)), None)
        if reason is None:
            able.append(cell)
        else:
            unable.append((called(cell), reason))
    return able, unable


def called(cell: Cell) -> str:
    """A cell by its labels, on one line."""
    defense, attack = (shown(cell.label[part]) for part in ("defense", "attack"))
    on = (shown(cell.label[part]) for part in ("dataset", "architecture", "recipe", "environment"))
    return f"{defense} against {attack} on {', '.join(on)}"


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


def doubted(cells: Sequence[Cell], known: Mapping[str, Standing]) -> Sequence[Cell]:
    """Cells of which not all was made or run again here; all where there is none: to run them would prove nothing new.

    Args:
        cells: that can be run again.
        known: key -> mark.
    """
    found = [cell for cell in cells if any(standing_of(record.key, known) != "reproduced" for record in cell.records)]
    return found or cells


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

    Raises:
        BadInput: it cannot be made.
    """
    root = store / VERIFICATIONS / str(draw)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--store {store}: cannot be made ({error.strerror}); choose another folder") from error
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
        lacking = isinstance(error, LACKING) or NO_MEMORY in str(error)
        return Difference(f"running it again failed: {shown(error)}", "machine" if lacking else "record")
    same = ours.identity["environment"] == record.identity["environment"]
    return unequal(record, ours) if same and not overlap else apart(record, ours)


def _rows_elsewhere(record: Record, store: Path) -> str | None:
    """Why a data set's rows are not to be had here; None where they are."""
    section = record.config["dataset"]
    named = _paths(section)
    told = ", ".join(f"dataset.{name}={shown(value)}" for name, value in named) or shown(section["_target_"])
    if named and named not in _known_paths(str(section["_target_"])):
        return f"{told}: no yaml in conf/dataset names it for this constructor"
    if not all(Path(value).expanduser().exists() for _, value in named):
        return f"{told}: is not here"
    digest, reason = _rows(json.dumps(section), store)
    if digest is None:
        return f"{told}: cannot be read here ({reason})"
    return None if digest == record.provenance.dataset else f"{told}: holds other rows here"


@cache
def _rows(section: str, store: Path) -> tuple[str | None, str]:
    """The digest of a data set's rows, or None and why; asked once of a data set, since a download may fail slowly."""
    try:
        return decoded.digest(json.loads(section), Store(store)), ""
    except Exception as error:  # noqa: BLE001  # whatever a stranger's options led the data set to raise
        return None, shown(error)


@cache
def _known_paths(target: str) -> list[Paths]:
    """What each yaml in conf/dataset that calls a constructor names."""
    yamls = [name for name, constructor in constructors("dataset").items() if constructor == target]
    return [_paths(OmegaConf.to_container(compose(f"dataset={name}")["dataset"], resolve=True)) for name in yamls]


def _paths(section: object) -> Paths:
    """A data set's options that name files, at any depth, and are set."""
    found = ((name, value) for name, value in options(section) if keys.is_path(name) and value is not None)
    return sorted(found, key=repr)
