"""Sweeps on one machine: each victim once, whatever is killed, and the same bits as one process after the other."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, config, files, script, timeless

import benchmark
from benchmark.attempts import note
from benchmark.record import load
from benchmark.seal import verified

GRID = ("attack=badnets,blended", "defense=random_filter,random_rejection", "architecture.network.width=8")
RUNS = 4  # a seed
ONE, TWO = "seed=0", "seed=0,1"
KILLS = 30
BROKEN = """
import os
from pathlib import Path

from benchmark import Defended, Defense


class Broken(Defense):
    \"\"\"Raises while a file is there.\"\"\"

    family, needs = "repair", frozenset({"weights"})

    def __init__(self, marker):
        self.marker = marker

    def apply(self, victim, clean, train, lab):
        if Path(self.marker).exists():
            raise ArithmeticError(f"{self.marker} is there\\nsecond line")
        return Defended(state=victim.state())
"""


def records(store: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_bytes()) for path in store.glob("records/*/*.json")}


def told(store: Path) -> dict[str, dict[str, Any]]:
    """What makers of the same records must agree on, by key."""
    return {key: timeless(record) for key, record in records(store).items()}


def digests(store: Path) -> dict[str, str]:
    return {path.stem: verified(path).digest for path in store.glob("artefacts/*/*.safetensors")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Seeds -> a store that this process filled, run after run."""

    @cache
    def store(seeds: str) -> Path:
        path = tmp_path_factory.mktemp("alone") / "store"
        for point in product(*(choices(option) for option in (*GRID, seeds))):
            benchmark.run(config(*point, store=path))
        return path

    return store


def choices(override: str) -> list[str]:
    name, values = override.split("=")
    return [f"{name}={value}" for value in values.split(",")]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store filled by a sweep of two workers; it starts empty."""
    store = tmp_path_factory.mktemp("swept") / "store"
    done = script(*GRID, ONE, f"store={store}", "hydra.launcher.n_jobs=2", "-m")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == RUNS
    assert {Path(line) for line in done.stdout.splitlines()} == set(store.glob("records/*/*.json"))
    return store


def test_a_sweep_of_two_workers_equals_a_single_process(alone: Callable[[str], Path], swept: Path) -> None:
    assert digests(swept) == digests(alone(ONE))
    assert told(swept) == told(alone(ONE)) and len(told(swept)) == RUNS


def test_a_sweep_trains_each_victim_once(swept: Path) -> None:
    """A clean victim, two controls, two backdoored victims and four defended ones; a record for each run."""
    assert Counter(name.split("/")[0] for name in files(swept)) == {"records": 4, "artefacts": 1 + 2 + 2 + 4}
    logs = "".join(path.read_text() for path in swept.glob("sweeps/*/chains/*.log"))
    assert len(re.findall(r" clean \d+ of", logs)) == 2 and len(re.findall(r" attack \d+ of", logs)) == RUNS
    assert not list(swept.glob("**/*.tmp")) and not list(swept.glob("**/*.lease"))


def test_a_sweep_publishes_each_victim_once(swept: Path) -> None:
    """Two makers of one artefact would leave their own costs in their records."""
    found = list(records(swept).values())
    for stage, shared in (("clean", []), ("backdoored", ["attack"]), ("control", ["defense"])):
        costs: dict[str, set[str]] = {}
        for record in found:
            made = json.dumps([record["config"][group]["_target_"] for group in shared])
            costs.setdefault(made, set()).add(json.dumps(record["costs"][stage]))
        assert all(len(made) == 1 for made in costs.values()), stage
    assert len({record["weights"]["clean"] for record in found}) == 1
    assert len({record["weights"]["backdoored"] for record in found}) == 2
    assert len({record["weights"]["control"] for record in found}) == 2, "one for each defense, shared by the attacks"


def test_every_record_of_a_sweep_names_the_weights_in_its_store(swept: Path) -> None:
    held = digests(swept)
    for record in records(swept).values():
        assert set(record["weights"].values()) <= set(held.values())
        assert record["weights"]["defended"] == held[record["key"]]


def test_the_same_command_does_nothing_again(swept: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*")}
    done = script(*GRID, ONE, f"store={swept}", "-m")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == RUNS
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*")} == before


def test_a_plan_runs_nothing(swept: Path, store: Path) -> None:
    empty, full = (script(*GRID, ONE, f"store={path}", "--plan") for path in (store, swept))
    assert empty.returncode == full.returncode == 0 and not files(store)
    lines = {line.split()[0]: line.split()[1:4] for line in empty.stdout.splitlines()}
    assert lines["clean"] == ["1", "0", "1"] and lines["backdoored"] == ["2", "0", "2"]
    assert lines["control"] == ["2", "0", "2"] and lines["defended"] == ["4", "0", "4"]
    lines = {line.split()[0]: line.split()[1:4] for line in full.stdout.splitlines()}
    assert lines["clean"] == ["1", "1", "0"] and lines["defended"] == ["4", "4", "0"]


def killed_while(sweep: subprocess.Popen[str], store: Path, draw: random.Random, most: int) -> int:
    """Kill random jobs of a sweep until it ends; how many were killed."""
    kills = 0
    while sweep.poll() is None and kills < most:
        time.sleep(draw.uniform(0.5, 6))
        jobs = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if of_sweep(path, store)]
        if jobs:
            os.kill(draw.choice(jobs), signal.SIGKILL)
            kills += 1
    return kills


def of_sweep(cmdline: Path, store: Path) -> bool:
    try:
        return f"+chain={store}".encode() in cmdline.read_bytes()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_jobs_may_be_killed(alone: Callable[[str], Path], tmp_path: Path) -> None:
    """Four processes on two cores; a sweep that ends before all kills were done is followed by one in an empty store."""
    store, draw, left = tmp_path / "0", random.Random(KILLS), KILLS
    command = [sys.executable, "scripts/run.py", *TINY, *GRID, TWO, "hydra.launcher.n_jobs=4", "retry=true"]
    for number in range(1, 10 + 2 * KILLS):
        sweep = subprocess.Popen([*command, f"store={store}", "-m"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        left -= killed_while(sweep, store, draw, left)
        complaint = sweep.communicate()[1]
        weights = set(digests(store).values())
        assert all(load(path) for path in store.glob("records/*/*.json")), "nothing is partial"
        if sweep.returncode != 0:
            assert "have no record; the same command tries them again" in complaint and "Traceback" not in complaint
            continue
        assert told(store) == told(alone(TWO)) and not list(store.glob("failures/*/*.json"))
        assert weights == {digest for record in records(store).values() for digest in record["weights"].values()}
        if left == 0:
            break
        store = tmp_path / str(number)
    assert sweep.returncode == 0 and left == 0


def test_a_failure_leaves_the_others_running_and_is_left_aside_in_the_end(tmp_path: Path, store: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    conf, marker = tmp_path / "conf" / "defense", tmp_path / "marker"
    conf.mkdir(parents=True)
    conf.joinpath("broken.yaml").write_text(f"_target_: broken.Broken\nmarker: {marker}\n")
    grid = ("defense=broken,random_rejection", "architecture.network.width=8", "--config-dir", str(conf.parent), "-m")
    marker.write_text("")
    benchmark.run(config("attack=none", "defense=none", grid[1], store=store))  # the clean victim: a process less

    def sweep(*more: str) -> subprocess.CompletedProcess[str]:
        arguments = [*TINY, f"store={store}", *more, *grid]
        ordered = [a for a in arguments if not a.startswith("-") and a != str(conf.parent)]
        return script(*ordered[3:], "--config-dir=" + str(conf.parent), "-m", path=tmp_path)

    for attempt in (1, 3):
        done = sweep()
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "1 of 2 runs have no record" in done.stderr and f"ArithmeticError: {marker} is there" in done.stderr
        assert ("left aside after 3 failures" in done.stderr) == (attempt == 3)
        (record,) = done.stdout.splitlines()
        assert load(Path(record)).methods.defense.name == "RandomRejection"
        (log,) = re.findall(r"log: (\S+)", done.stderr)
        assert "Traceback" in Path(log).read_text()
        (failure,) = store.glob("failures/*/*.json")
        if attempt == 1:
            note(failure, failure.stem, {}, ArithmeticError("the second attempt, which need not be waited for"))
    marker.unlink()
    done = sweep()
    assert done.returncode == 1 and "left aside" in done.stderr, "a run that failed three times is not tried again"
    done = sweep("retry=true")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert not list(store.glob("failures/*/*.json"))


def test_an_unknown_launcher_option_is_bad_input(tmp_path: Path) -> None:
    for option in ("hydra.launcher.n_jobs=0", "hydra.launcher.runs_per_gpu=0", "hydra.sweeper.max_jobs=0", "retry=3"):
        done = script(f"store={tmp_path / 'store'}", option, "-m")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert option.split("=")[0].removeprefix("hydra.") in done.stderr
