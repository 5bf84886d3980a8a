"""Sweeps on a real Slurm of two nodes with two pretended GPUs each: nothing twice, nothing lost, the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster import Cluster, lacking, running, until
from conftest import ROOT, timeless

from benchmark.attempts import last
from benchmark.record import load

WHY_NOT = lacking()
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT), pytest.mark.timeout(400)]

THEIRS = Path(__file__).parent / "theirs"
COMMON = ("architecture=paced", "device=cpu", "threads=1")
SMALL_JOBS = ("partition=main", "mem_gb=1", "cpus_per_task=1", "timeout_min=20", "signal_delay_s=10")
SLURM = ("hydra/launcher=slurm", *(f"hydra.launcher.{option}" for option in SMALL_JOBS))
LOCAL = ("hydra.launcher.n_jobs=1",)
EPOCH = "recipe.epochs=1"
GRID = ("attack=badnets,blended", "defense=random_filter,random_rejection,strip", "seed=0,1", EPOCH)
SEEDS = ("attack=badnets", "defense=random_rejection", "seed=0,1", EPOCH)
SINGLE = ("attack=badnets", "defense=random_rejection", "seed=0", EPOCH)
PACE = 0.6  # seconds a step, where a training must be met under way: it then takes eleven
LONG = 60.0  # seconds until something of a sweep has happened, on a machine that has other work


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The largest grid by one process after the other on this machine."""
    sweep = Sweep(tmp_path_factory.mktemp("alone"))
    done = sweep.finished(*GRID, "hydra.sweeper.max_jobs=1")
    assert done.returncode == 0, done.stderr
    return sweep


@pytest.fixture(autouse=True)
def cleared(cluster: Cluster) -> Iterator[None]:
    """No job of a test that failed meets the next test."""
    yield
    cluster.clear()


class Sweep:
    """`scripts/run.py -m` as a user starts it; its parts are told where to leave word of their trainings.

    Args:
        folder: holds the store and what is said; made for one grid.
        cluster: whose Slurm is used; None for processes of this machine.
    """

    def __init__(self, folder: Path, cluster: Cluster | None = None) -> None:
        self.store, self.mood, self.said = folder / "store", folder / "mood", folder / "trainings"
        self.pace = folder / "pace"
        self.slow(0)
        files = {"TRAININGS": self.said, "MOOD": self.mood, "PACE": self.pace}
        own = {"COLUMNS": "200", **{f"POSTERN_TEST_{name}": str(path) for name, path in files.items()}}
        known = {name: value for name, value in os.environ.items() if name not in ("HYDRA_FULL_ERROR", "POSTERN_STORE")}
        reached = {} if cluster is None else cluster.environment
        self.environment = {**known, **own, **reached, "PYTHONPATH": os.pathsep.join((str(THEIRS), str(ROOT)))}
        self.launcher = LOCAL if cluster is None else SLURM

    def slow(self, seconds: float) -> None:
        """Let every step of a training wait from now on; the file is never met half-written."""
        new = self.pace.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.pace)

    @contextmanager
    def begun(self, *grid: str) -> Iterator[subprocess.Popen[str]]:
        """The sweep under way."""
        flags = (f"--config-dir={THEIRS / 'conf'}", "-m")
        command = [sys.executable, "scripts/run.py", *COMMON, *self.launcher, f"store={self.store}", *grid, *flags]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()

    def finished(self, *grid: str) -> subprocess.CompletedProcess[str]:
        """The sweep from its beginning to its end."""
        with self.begun(*grid) as process:
            return ended(process)

    @property
    def records(self) -> dict[str, dict[str, object]]:
        return {path.stem: timeless(json.loads(path.read_bytes())) for path in self.store.glob("records/*/*.json")}

    def trainings(self, event: str = "begun") -> list[dict[str, str]]:
        """What was said of trainings, in order."""
        lines = self.said.read_text().splitlines() if self.said.exists() else []
        return [told for line in lines if (told := json.loads(line))["event"] == event]

    def attacked(self) -> list[dict[str, str]]:
        """The same of jobs after the first launch, which makes clean victims and controls."""
        told = self.trainings()
        return [each for each in told if launch(each) != launch(told[0])]


def launch(told: dict[str, str]) -> str:
    """What the jobs of one launch have in common; a single one is no array."""
    return told["SLURM_ARRAY_JOB_ID"] or told["SLURM_JOB_ID"]


def met(sweep: Sweep, process: subprocess.Popen[str], seeds: int, attacked: int) -> None:
    """Wait for the trainings of the second launch, and make them slow enough to be met under way."""
    until("clean victims are there", lambda: len(sweep.trainings("done")) == seeds or process.poll() is not None, LONG)
    sweep.slow(PACE)
    until("others are made", lambda: len(sweep.attacked()) == attacked or process.poll() is not None, LONG)
    time.sleep(1.5)


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=200)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def once(sweep: Sweep, runs: int) -> None:
    """No run, and no clean or backdoored victim, was the work of two jobs."""
    logs = {path: path.read_text() for path in sorted(sweep.store.glob("sweeps/*/chains/*.log"))}
    assert sum(text.count(" attack ") for text in logs.values()) == runs
    chains = [json.loads(path.with_suffix(".yaml").read_bytes()) for path in logs]
    for kind in ("clean", "attack"):
        victims = [{victim(config, kind) for config in chain["configs"]} for chain in chains if chain["kind"] == kind]
        assert sum(map(len, victims)) == len(set.union(*victims)) > 1


def shared(sweep: Sweep, alone: Sweep) -> list[str]:
    """The records that both have, which are equal bit for bit."""
    names = sorted(sweep.records.keys() & alone.records.keys())
    assert [sweep.records[name] for name in names] == [alone.records[name] for name in names]
    return names


def victim(config: dict[str, object], kind: str) -> tuple[str, ...]:
    return (str(config["seed"]), *([str(config["attack"])] if kind == "attack" else []))


def test_a_sweep_makes_everything_once_and_with_the_bits_of_one_process(
    cluster: Cluster, alone: Sweep, tmp_path: Path
) -> None:
    sweep = Sweep(tmp_path, cluster)
    done = sweep.finished(*GRID)
    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(set(paths)) == 12 and all(load(path).status == "complete" for path in paths)
    once(sweep, runs=12)
    nodes = {told["SLURMD_NODENAME"] for told in sweep.trainings()}
    assert nodes == {"n1", "n2"}, "four jobs at once are more than a node has GPUs for"
    costs = {(record.seed, record.costs["clean"].seconds) for record in map(load, paths)}
    assert len(costs) == 2, "a clean victim's seconds are those of its one training"
    assert len(sweep.trainings()) == len(alone.trainings()) == 2 + 4 + 4 + 2, "random_filter's too"
    assert sweep.records == alone.records and len(sweep.records) == 12


def test_a_killed_job_and_one_that_raises_leave_the_others_alone(
    cluster: Cluster, alone: Sweep, tmp_path: Path
) -> None:
    sweep, grid = Sweep(tmp_path, cluster), ("+experiment=one_raises", EPOCH)
    sweep.mood.touch()
    with sweep.begun(*grid) as process:
        met(sweep, process, seeds=1, attacked=2)
        (victim_of,) = [told for told in sweep.attacked() if told["SLURM_ARRAY_TASK_ID"] == "1"]
        os.kill(int(victim_of["process"]), signal.SIGKILL)
        sweep.slow(0)
        done = ended(process)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) == len(sweep.records) == 1
    lines = done.stderr.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("postern: 2 of 3 runs have no record"))
    assert lines[at + 1].endswith(" Blended RandomRejection seed 0: the process that ran it was killed")
    assert lines[at + 3].endswith(" BadNets Moody seed 0: ArithmeticError: not in the mood")
    logs = [Path(lines[number].removeprefix("    log: ")) for number in (at + 2, at + 4)]
    assert "attack 1 of 1: " in logs[0].read_text() and "for two lines" in logs[1].read_text()
    assert any("did not finish; its output: " in line for line in lines[:at])
    failures = [last(path) for path in sweep.store.glob("failures/*/*.json")]
    assert [failure.attempts for failure in failures if failure] == [1, 1]
    sweep.mood.unlink()
    again = sweep.finished(*grid)
    assert again.returncode == 0 and len(again.stdout.splitlines()) == 3, again.stderr
    assert not list(sweep.store.glob("failures/*/*.json"))
    assert len(shared(sweep, alone)) == 2


def test_a_preempted_training_goes_on(cluster: Cluster, alone: Sweep, tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, cluster)
    with sweep.begun(*SINGLE) as process:
        met(sweep, process, seeds=1, attacked=1)
        everything = ("--nodes=2", "--gpus-per-node=2", "--output=/dev/null")
        cluster.ask("sbatch", "--partition=urgent", *everything, "--wrap=sleep 2")
        until("it is interrupted", lambda: not cluster.jobs("main", "running"))
        sweep.slow(0)
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert len(sweep.trainings()) == 3 and rest_was_trained(sweep)
    assert len(shared(sweep, alone)) == 1
    assert not list(sweep.store.glob("artefacts/*/*.tmp"))


def test_a_lost_nodes_jobs_go_on_elsewhere(cluster: Cluster, alone: Sweep, tmp_path: Path) -> None:
    """Their processes get SIGTERM, which submitit lets pass, and SIGKILL seconds later."""
    sweep = Sweep(tmp_path, cluster)
    with sweep.begun(*SEEDS) as process:
        met(sweep, process, seeds=2, attacked=2)
        lost, _ = nodes = [told["SLURMD_NODENAME"] for told in sweep.attacked()]
        cluster.ask("scontrol", "update", f"nodename={lost}", "state=down", "reason=test")
        done = ended(process)
    assert done.returncode == 0, done.stderr
    moved = [told["SLURMD_NODENAME"] for told in sweep.attacked()[2:]]
    assert lost not in moved and len(moved) == nodes.count(lost) and rest_was_trained(sweep)
    assert len(done.stdout.splitlines()) == len(shared(sweep, alone)) == 2


def rest_was_trained(sweep: Sweep) -> bool:
    """Whether the last job took fewer steps than a whole training."""
    whole, *_, rest = (int(told["steps"]) for told in sweep.trainings("done"))
    return 0 < rest < whole


def test_why_jobs_never_start_is_told(cluster: Cluster, tmp_path: Path) -> None:
    with Sweep(tmp_path, cluster).begun(*SINGLE, "hydra.launcher.timeout_min=90") as process:  # the limit is 60
        assert process.stderr is not None
        assert any("wait: PartitionTimeLimit; " in line for line in process.stderr)


def test_what_slurm_refuses_is_one_line(cluster: Cluster, tmp_path: Path) -> None:
    done = Sweep(tmp_path, cluster).finished(*SINGLE, "hydra.launcher.partition=absent")
    assert done.returncode == 2 and "invalid partition" in done.stderr.lower() and "Traceback" not in done.stderr
    assert sum(line.startswith("postern: ") for line in done.stderr.splitlines()) == 1
