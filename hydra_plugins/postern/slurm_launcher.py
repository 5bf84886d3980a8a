"""The launcher for Slurm: submitit's jobs, waited for until all have left the queue, whatever became of them."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn

from benchmark.errors import BadInput

try:
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
except ImportError:  # the extra `slurm` is not installed: Hydra imports every plugin, chosen or not
    SlurmLauncher = object

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

FIRST, LAST, GROWTH = 1.0, 30.0, 1.1  # seconds between looks at the queue: short sweeps end soon, long ones ask seldom
PASSING = {"None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime"}  # reasons to wait that pass by themselves
FOLDER = "hydra.run.dir"  # of a job, which leaves nothing in it; the sweep's folder is not known to it


class PatientSlurmLauncher(SlurmLauncher):  # type: ignore[misc]
    """Submits jobs as its parent does, and returns when none of them waits or runs any more.

    The parent returns what jobs returned. It asks the accounting database, which a cluster need not have, and gives up
    on all jobs when one is lost. Here jobs leave files, so that it is enough to see them leave the queue.
    """

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; returns nothing of them, since they leave files.

        Raises:
            BadInput: there is no Slurm, or it refuses the jobs.
        """
        name = f"{self.params['name']}-{uuid.uuid4().hex[:8]}"
        jobs = self._submit(self._executor(name), job_overrides, initial_job_idx)
        _wait(name)
        for job in jobs:
            if not job.paths.result_pickle.exists():
                sys.stderr.write(f"postern: Slurm job {job.job_id} did not finish; its output: {job.paths.stderr}\n")
        return []

    def _executor(self, name: str) -> AutoExecutor:
        """Where jobs are submitted, with the options of `hydra.launcher`."""
        import submitit

        common = {field.name for field in fields(BaseQueueConf)}
        options = {option: value for option, value in self.params.items() if option not in ("submitit_folder", "name")}
        limits = {"slurm_max_num_timeout": options.pop("max_num_timeout")}
        try:
            executor = submitit.AutoExecutor(self.params["submitit_folder"], cluster="slurm", **limits)
        except RuntimeError as error:
            raise BadInput("hydra/launcher=slurm: there is no srun here; start the sweep on a login node") from error
        prefixed = {option if option in common else f"slurm_{option}": value for option, value in options.items()}
        executor.update_parameters(name=name, **prefixed)
        return executor

    def _submit(self, executor: AutoExecutor, overrides: Sequence[Sequence[str]], first: int) -> list[Job[Any]]:
        from submitit.core.utils import FailedJobError

        state = Singleton.get_state()
        numbers = range(first, first + len(overrides))
        calls = [
            (list(job), FOLDER, number, str(number), state) for job, number in zip(overrides, numbers, strict=True)
        ]
        try:
            jobs: list[Job[Any]] = executor.map_array(self, *zip(*calls, strict=True))
        except FailedJobError as error:
            why = " ".join(str(error).split())
            raise BadInput(
                f"hydra/launcher=slurm: the jobs were refused ({why}); set hydra.launcher options"
            ) from error
        return jobs


def _wait(name: str) -> None:
    """Return when no job of a name waits, runs, or is being put back into the queue; tell why jobs may never start."""
    command = ["squeue", "--noheader", "--array", "--name", name, "--format", "%i %r"]
    pause, told = FIRST, set(PASSING)
    while True:
        seen = subprocess.run(command, capture_output=True, text=True, check=False)
        if seen.returncode == 0 and not seen.stdout.strip():  # a controller that does not answer tells nothing
            return
        reasons = {line.partition(" ")[2].strip() for line in seen.stdout.splitlines()}
        for reason in sorted(reasons - told):  # sbatch takes jobs that never start, e.g. above a partition's time limit
            sys.stderr.write(f"postern: Slurm lets jobs {name} wait: {reason}; if that does not pass, cancel them\n")
        told |= reasons
        time.sleep(pause)
        pause = min(LAST, GROWTH * pause)
