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
from pathlib import Path

import pytest
from conftest import ROOT, TINY, files, script, timeless

from benchmark.attempts import note
from benchmark.record import load
from benchmark.seal import verified

GRID = ("attack=badnets,blended", "defense=random_filter,random_rejection", "architecture.network.width=8", "-m")
RUNS = 4  # a seed
ONE, TWO = "seed=0", "seed=0,1"
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


def records(store: Path) -> dict[str, dict[str, object]]:
    return {path.stem: timeless(json.loads(path.read_bytes())) for path in store.glob("records/*/*.json")}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Seeds -> the store of a sweep by one process at a time."""

    @cache
    def of(seeds: str) -> Path:
        store = tmp_path_factory.mktemp("alone") / "store"
        done = script(*GRID, seeds, f"store={store}", "hydra.launcher.n_jobs=1")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == RUNS * (seeds.count(",") + 1)
        return store

    return of


@pytest.fixture
def alone(reference: Callable[[str], Path]) -> Path:
    return reference(ONE)


def test_a_sweep_trains_each_victim_once(alone: Path) -> None:
    """A clean victim, two controls, two backdoored victims and four defended ones; a record for each run."""
    assert Counter(name.split("/")[0] for name in files(alone)) == {"records": 4, "artefacts": 1 + 2 + 2 + 4}
    logs = "".join(path.read_text() for path in alone.glob("sweeps/*/chains/*.log"))
    assert len(re.findall(r" clean \d+ of", logs)) == 2 and len(re.findall(r" attack \d+ of", logs)) == RUNS


def test_the_same_command_does_nothing_again(alone: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in alone.rglob("*")}
    done = script(*GRID, ONE, f"store={alone}")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == RUNS
    assert {path: path.stat().st_mtime_ns for path in alone.rglob("*")} == before


def test_a_plan_runs_nothing(alone: Path, tmp_path: Path) -> None:
    empty, full = (script(*GRID[:-1], ONE, f"store={store}", "--plan") for store in (tmp_path / "store", alone))
    assert empty.returncode == full.returncode == 0 and not list((tmp_path / "store").glob("artefacts"))
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


@pytest.mark.parametrize(
    ("kills", "seeds"), [(2, ONE), pytest.param(30, TWO, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])]
)
def test_jobs_may_be_killed(reference: Callable[[str], Path], tmp_path: Path, kills: int, seeds: str) -> None:
    """Four processes on two cores; a sweep that ends before all kills were done is followed by one in an empty store."""
    alone = reference(seeds)
    store, draw, left = tmp_path / "0", random.Random(kills), kills
    command = [sys.executable, "scripts/run.py", *TINY, *GRID[:-1], seeds, "hydra.launcher.n_jobs=4", "retry=true"]
    for number in range(1, 10 + 2 * kills):
        sweep = subprocess.Popen([*command, f"store={store}", "-m"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        left -= killed_while(sweep, store, draw, left)
        told = sweep.communicate()[1]
        weights = {verified(path).digest for path in store.glob("artefacts/*/*.safetensors")}
        assert all(load(path) for path in store.glob("records/*/*.json")), "nothing is partial"
        if sweep.returncode != 0:
            assert "have no record; the same command tries them again" in told and "Traceback" not in told
            continue
        assert records(store) == records(alone) and not list(store.glob("failures/*/*.json"))
        assert weights == {digest for record in records(store).values() for digest in record["weights"].values()}
        if left == 0:
            break
        store = tmp_path / str(number)
    assert sweep.returncode == 0 and left == 0


def test_a_failure_leaves_the_others_running_and_is_left_aside_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    conf, marker, store = tmp_path / "conf" / "defense", tmp_path / "marker", tmp_path / "store"
    conf.mkdir(parents=True)
    conf.joinpath("broken.yaml").write_text(f"_target_: broken.Broken\nmarker: {marker}\n")
    grid = ("defense=broken,random_rejection", "architecture.network.width=8", "--config-dir", str(conf.parent), "-m")
    marker.write_text("")

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
