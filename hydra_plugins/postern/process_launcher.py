"""The launcher for one machine: every job is a process of its own, so that one that dies takes nothing with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from benchmark.devices import device_kind, graphics_cards
from benchmark.errors import BadInput

OPTIONS = {
    "_target_": "hydra_plugins.postern.process_launcher.ProcessLauncher",
    "n_jobs": None,
    "runs_per_gpu": 1,
}
ConfigStore.instance().store("processes", OPTIONS, group="hydra/launcher", provider="postern")

LOOK = 0.05  # seconds between two looks at the processes
GRACE = 30.0  # seconds that an interrupted training has to save its state
MPS = "nvidia-cuda-mps-control"  # NVIDIA's daemon that lets processes share a GPU at the same time


class ProcessLauncher(Launcher):
    """Runs every job as a process of the calling script, several at once, each with its share of a GPU or its cores.

    A job's output goes to `<sweep folder>/jobs/<number>.log`. What a job returns is not known here: jobs leave files.

    Args:
        n_jobs: processes at once; null for `runs_per_gpu` on each GPU, or as many as the cores have room for at
            `threads` threads each.
        runs_per_gpu: processes that share a GPU; with NVIDIA's MPS where it is installed.
    """

    def __init__(self, n_jobs: int | None, runs_per_gpu: int) -> None:
        for name, value in (("n_jobs", n_jobs), ("runs_per_gpu", runs_per_gpu)):
            if value is not None and value < 1:
                raise BadInput(f"hydra.launcher.{name}={value}: must be at least 1; set hydra.launcher.{name}")
        self.n_jobs, self.runs_per_gpu = n_jobs, runs_per_gpu

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra once, before `launch`."""
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; returns nothing of them, since they leave files."""
        slots = self._slots()
        with self._shared_gpus(), _stopping() as running:
            for number, overrides in enumerate(job_overrides, start=initial_job_idx):
                while not slots:
                    slots += _ended(running)
                slot = slots.pop(0)
                running.append((self._start(number, overrides, slot), slot))
            while running:
                _ended(running)
        return []

    def _start(self, number: int, overrides: Sequence[str], slot: Mapping[str, str]) -> subprocess.Popen[bytes]:
        log = Path(self.config.hydra.sweep.dir) / "jobs" / f"{number:04}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            command = [sys.executable, sys.argv[0], *overrides]
            return subprocess.Popen(
                command, env={**os.environ, **slot}, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def _slots(self) -> list[Mapping[str, str]]:
        """The environment of each process that may run at the same time."""
        threads = int(self.config.threads)
        common: Mapping[str, str] = {"OMP_NUM_THREADS": str(threads)}
        if device_kind(str(self.config.device)) == "cuda":
            shared: Mapping[str, str] = {**common, "POSTERN_RUNS_PER_DEVICE": str(self.runs_per_gpu)}
            cards = graphics_cards() if self.config.device in ("auto", "cuda") else [None]
            one: list[Mapping[str, str]] = [
                {**shared, "CUDA_VISIBLE_DEVICES": card} if card else shared for card in cards
            ]
            full = one * self.runs_per_gpu  # a second process on a card only when each has one
        else:
            full = [common] * max(1, len(os.sched_getaffinity(0)) // threads)
        return full if self.n_jobs is None else [full[at % len(full)] for at in range(self.n_jobs)]

    @contextmanager
    def _shared_gpus(self) -> Iterator[None]:
        """NVIDIA's MPS daemon, started for these jobs where GPUs are shared and nobody has started it."""
        control = shutil.which(MPS) if self.runs_per_gpu > 1 else None
        started = (
            control is not None and subprocess.run([control, "-d"], capture_output=True, check=False).returncode == 0
        )
        try:
            yield
        finally:
            if control is not None and started:
                subprocess.run([control], input=b"quit\n", capture_output=True, check=False)


Running = list[tuple[subprocess.Popen[bytes], Mapping[str, str]]]


def _ended(running: Running) -> list[Mapping[str, str]]:
    """The slots of processes that have ended since the last look, which are taken off the list."""
    time.sleep(LOOK)
    free = [slot for process, slot in running if process.poll() is not None]
    running[:] = [(process, slot) for process, slot in running if process.returncode is None]
    return free


@contextmanager
def _stopping() -> Iterator[Running]:
    """Processes that are asked to stop, and given time to save their state, when something interrupts the launcher."""
    running: Running = []
    try:
        yield running
    finally:
        for process, _ in running:
            process.terminate()
        until = time.monotonic() + GRACE
        while running and time.monotonic() < until:
            _ended(running)
        for process, _ in running:
            process.kill()
