"""What exists is read, not made: a replay trains nothing and imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from conftest import TINY, config, files, python

import benchmark
from benchmark.run import record_path

# Runs the script as the shell would, then says on stderr which heavy modules it imported.
WATCHED = """
import runpy, sys
sys.argv = ["scripts/run.py", *sys.argv[1:]]
try:
    runpy.run_path("scripts/run.py", run_name="__main__")
finally:
    heavy = ("torch", "torchvision", "sklearn", "scipy", "datasets", "pyarrow", "PIL", "wandb")
    print("imported", [name for name in heavy if name in sys.modules], file=sys.stderr)
"""
OPTIONS = ("architecture.network.width=8", "attack=blended", "defense=random_rejection")


def replay(store: Path, *overrides: str) -> CompletedProcess[str]:
    return python("-c", WATCHED, *TINY, *OPTIONS, f"store={store}", *overrides)


def imported(done: CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("imported ")
    names: list[str] = json.loads(line.removeprefix("imported ").replace("'", '"'))
    return names


@pytest.fixture
def made(store: Path) -> benchmark.Record:
    return benchmark.run(config(*OPTIONS, store=store))


def snapshot(store: Path) -> dict[str, tuple[int, bytes]]:
    return {name: ((store / name).stat().st_mtime_ns, (store / name).read_bytes()) for name in files(store)}


def test_a_replay_imports_no_torch_and_prints_the_records_path_last(store: Path, made: benchmark.Record) -> None:
    before = snapshot(store)
    done = replay(store)
    assert imported(done) == []
    path = Path(done.stdout.splitlines()[-1])
    assert path == record_path(config(*OPTIONS, store=store)) and json.loads(path.read_bytes())["key"] == made.key
    assert snapshot(store) == before


def test_a_replayed_sweep_imports_no_torch_and_prints_every_path(store: Path, made: benchmark.Record) -> None:
    other = benchmark.run(config(*OPTIONS, "seed=1", store=store))
    before = snapshot(store)
    done = replay(store, "seed=0,1", "-m")
    assert imported(done) == []
    assert [Path(line).stem for line in done.stdout.splitlines()] == [made.key, other.key]
    assert snapshot(store) == before


def test_a_replay_in_process_returns_the_stored_record(store: Path, made: benchmark.Record) -> None:
    before = snapshot(store)
    heard: list[Any] = []
    again = benchmark.run(config(*OPTIONS, store=store), progress=lambda *told: heard.append(told))
    assert again == made and heard == [] and snapshot(store) == before


def test_a_run_reports_every_epoch_of_every_stage(store: Path) -> None:
    heard: list[tuple[str, int, int, float]] = []
    chosen = config("architecture.network.width=8", "recipe.epochs=2", "defense=random_filter", store=store)
    record = benchmark.run(chosen, progress=lambda *told: heard.append(told))
    stages = ["clean", "backdoored", "defended", "control"]
    assert [told[:3] for told in heard] == [(stage, done, 2) for stage in stages for done in (1, 2)]
    for stage in stages:
        assert record.curves[stage] == [round(told[3], 5) for told in heard if told[0] == stage]
    assert record.costs.keys() == record.weights.keys() == set(stages)


def test_only_what_a_new_defense_needs_is_made(store: Path, made: benchmark.Record) -> None:
    before = snapshot(store)
    heard: list[tuple[str, int, int, float]] = []
    chosen = config(*OPTIONS[:2], "defense=random_filter", store=store)
    record = benchmark.run(chosen, progress=lambda *told: heard.append(told))
    assert {told[0] for told in heard} == {"defended", "control"}
    assert record.weights["backdoored"] == made.weights["backdoored"]
    assert {name: entry for name, entry in snapshot(store).items() if name in before} == before
