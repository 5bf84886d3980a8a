"""What tests share: configurations of seconds, stores with the digits decoded, rows and victims with known answers."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

import benchmark
import benchmark.cli
from benchmark.config import compose
from benchmark.run import planned
from benchmark.types import Inputs, Poisoned, Role, Split, Targets
from benchmark.victim import Victim

ROOT = Path(__file__).parents[1]
TINY = ("recipe.epochs=1", "device=cpu", "threads=1")  # one epoch of the digits: 0.2 s, and it learns most of them
CLASSES = 10

LONGEST = (
    "test_sweep",
    "test_wandb",
    "test_outsider",
    "test_architectures",
)  # files that would be waited for at the end

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first: a file's tests run in one worker, one after the other."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def config(*overrides: str, store: Path | str) -> DictConfig:
    """The configuration `scripts/run.py` would use, one epoch long; later overrides win."""
    chosen = deepcopy(_composed("store=unused", *overrides))
    if chosen.store == "unused":
        chosen.store = str(store)
    return chosen


@cache
def _composed(*overrides: str) -> DictConfig:
    """Composed once for all tests that ask for the same: it takes a tenth of a second."""
    return compose(*TINY, "defense=none", *overrides)


def tree(*overrides: str, store: Path | str) -> dict[str, object]:
    """The same, as plain dictionaries."""
    return benchmark.config.checked(config(*overrides, store=store))


def python(*arguments: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run this Python from the repository's root, without CUDA and with a terminal wide enough for one-line errors."""
    paths = os.pathsep.join(str(part) for part in (path, ROOT) if part is not None)
    settings = {**_surroundings(), "PYTHONPATH": paths, **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=280, check=False)


def here(path: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same of a script that Hydra does not start, in this process: imports are most of what a short one takes.

    That it starts on its own is seen once for each script, by `python`; of bench.py without its measuring.
    """
    out, told, command = io.StringIO(), io.StringIO(), [path, *arguments]
    with (
        contextlib.chdir(ROOT),
        patch.dict(os.environ, {**_surroundings(), **environment}, clear=True),
        patch.object(sys, "argv", command),
        patch.object(benchmark.cli, "TRACEBACKS", False),  # which was read from the environment before
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(told),
        pytest.raises(SystemExit) as left,
    ):
        runpy.run_path(path, run_name="__main__")
    return subprocess.CompletedProcess(command, left.value.code or 0, out.getvalue(), told.getvalue())


def _surroundings() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name not in ("HYDRA_FULL_ERROR", "POSTERN_STORE")}
    return {**known, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}


def script(*overrides: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/run.py, one epoch long; flags such as -m may stand anywhere."""
    ordered = sorted((*TINY, *overrides), key=lambda argument: argument.startswith("-"))  # argparse wants them apart
    return python("scripts/run.py", *ordered, path=path, **environment)


def timeless(record: Mapping[str, Any]) -> dict[str, Any]:
    """What two makers of one record must agree on: all but its costs and the state of the clone (others may commit)."""
    kept = {name: value for name, value in record.items() if name != "costs"}
    about = {name: value for name, value in record["provenance"].items() if name not in ("commit", "dirty")}
    return {**kept, "provenance": about}


def files(store: Path) -> set[str]:
    """Everything a store holds on runs: records, artefacts and failures, but neither decoded data nor leftovers."""
    found = (path for part in ("records", "artefacts", "failures") for path in store.glob(f"{part}/**/*"))
    return {str(path.relative_to(store)) for path in found if path.is_file() and path.suffix not in (".tmp", ".lease")}


@pytest.fixture(scope="session")
def warm_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the decoded digits; copied, never written to."""
    store = tmp_path_factory.mktemp("warm") / "store"
    planned(tree(store=store))
    return store


@pytest.fixture
def store(warm_store: Path, tmp_path: Path) -> Path:
    """A store of this test's own, in which the digits are decoded already."""
    own = tmp_path / "store"
    shutil.copytree(warm_store, own)
    return own


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Results depend on the number of threads, which a run may set."""
    yield
    torch.set_num_threads(1)


class Planted(Victim):
    """Answers by a rule on pixels, with no network behind it.

    Args:
        rule: uint8 (N, 1, 8, 8) -> int64 (N,).
    """

    modality = "image"

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        self.rule = rule

    def predict(self, inputs: Inputs) -> Targets:
        assert isinstance(inputs, Tensor)
        return self.rule(inputs)

    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        raise AssertionError("nobody trains a planted victim")


def signed_rows(count: int = 100) -> Split:
    """Rows whose first pixel tells the class: 20 grey levels a class; classes in turn, black elsewhere."""
    targets = torch.arange(count) % CLASSES
    images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, 0] = (targets * 20).to(torch.uint8)
    return Split(inputs=images, targets=targets, classes=CLASSES)


def signed(images: Tensor) -> Tensor:
    """The class that the first pixel tells."""
    return images[:, 0, 0, 0].long() // 20


def stamped(images: Tensor) -> Tensor:
    """Whether the last pixel is white, bool (N,)."""
    return images[:, 0, -1, -1] == 255


def backdoored(target: int) -> Planted:
    """Right on every signed row, and the target wherever the last pixel is white."""
    return Planted(lambda images: torch.where(stamped(images), target, signed(images)))


def shifted() -> Planted:
    """Right on every signed row, and the next class wherever the last pixel is white."""
    return Planted(lambda images: (signed(images) + stamped(images).long()) % CLASSES)


def marked(split: Split, role: Tensor) -> Poisoned:
    """A split whose rows carry these roles and their true labels."""
    return Poisoned(
        inputs=split.inputs,
        targets=split.targets,
        classes=split.classes,
        truth=split.targets,
        role=role.to(torch.uint8),
    )


POISON, COVER, CLEAN = int(Role.POISON), int(Role.COVER), int(Role.CLEAN)
