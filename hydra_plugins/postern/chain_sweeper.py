"""The sweeper: a grid becomes chains of runs that share a victim; what was done is read from the disk alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from benchmark.attempts import last
from benchmark.cli import SweepFailed
from benchmark.config import checked
from benchmark.errors import BadInput
from benchmark.progress import sweep_bar
from benchmark.run import planned
from benchmark.store import Store
from benchmark.sweep.announcement import announce, planned_runs, title
from benchmark.sweep.chains import Chain, Point, attack_chains, clean_chains, missing, packed, waves
from benchmark.sweep.survey import Survey, agenda
from benchmark.sweep.work import log_of
from hydra_plugins.postern.composer import Composer

OPTIONS: dict[str, Any] = {
    "_target_": "hydra_plugins.postern.chain_sweeper.ChainSweeper",
    "params": {},
    "grids": {},
    "defenses_per_job": None,
    "max_jobs": 1000,
    "plan": False,
}
ConfigStore.instance().store("chains", OPTIONS, group="hydra/sweeper", provider="postern")


class ChainSweeper(Sweeper):
    """Expands grids, launches what has no record in two waves of chains, and prints every record's path.

    Args:
        params: option -> comma-separated values, as on the command line, which wins where both name an option.
        grids: name -> further params; the runs of all grids are made, each once. None means one grid of `params`.
        defenses_per_job: splits longer chains; null for one job a victim.
        max_jobs: a launch has at most so many jobs (Slurm's MaxArraySize less 1); chains then share jobs.
        plan: print what the grid means and what the store has, and run nothing.
    """

    def __init__(
        self,
        params: Mapping[str, str],
        grids: Mapping[str, Mapping[str, str]],
        defenses_per_job: int | None,
        max_jobs: int,
        plan: bool,
    ) -> None:
        if defenses_per_job is not None and defenses_per_job < 1:
            raise BadInput(f"hydra.sweeper.defenses_per_job={defenses_per_job}: must be at least 1, or null")
        if max_jobs < 1:
            raise BadInput(f"hydra.sweeper.max_jobs={max_jobs}: must be at least 1; the default is 1000")
        self.grids = [{**params, **grid} for grid in grids.values()] or [dict(params)]
        self.defenses_per_job, self.max_jobs, self.plan = defenses_per_job, max_jobs, plan
        self.jobs = 0
        self.logs: dict[str, Path] = {}  # run -> log of the last job that was to make it

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra once, before `sweep`."""
        self.loader = hydra_context.config_loader
        self.parser = OverridesParser.create(config_loader=self.loader)
        self.compose = Composer(partial(self.loader.load_sweep_config, config), self.parser)
        self.folder = Path(config.hydra.sweep.dir).resolve()
        self.retry = bool(config.retry)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Path]:
        """Run a grid.

        Args:
            arguments: overrides, some with several values.

        Returns:
            The record's path of every point, in the grid's order.

        Raises:
            BadInput: a point cannot be composed, and nothing was launched; or every failed run was given something
                that cannot be used.
            SweepFailed: at the end, if a run has no record; the others have theirs.
        """
        points = self._points(arguments)
        shelf = Store(Path(points[0].config["store"]))
        if self.plan:
            sys.stdout.writelines(f"{line}\n" for line in agenda(Survey(planned_runs(points, shelf), shelf)))
            return []
        todo = missing(points, shelf, self.retry)
        if todo:
            announce(self.folder, runs := planned_runs(points, shelf))
            with sweep_bar(Survey(runs, shelf)):
                self._launch(clean_chains(todo, shelf))
                self._launch(attack_chains(todo))
        return self._result(points, shelf)

    def _launch(self, chains: Sequence[Chain]) -> None:
        """Launch chains; whatever happens to the launcher, the disk tells what was done."""
        for wave in waves(chains, self.defenses_per_job):
            jobs = packed(wave, self.max_jobs) if wave else []
            files = [self.folder / "chains" / f"{self.jobs + at:04}.yaml" for at in range(len(jobs))]
            for chain, file in zip(jobs, files, strict=True):
                chain.write(file)
                self.logs |= {point.keys.run: log_of(file) for point in chain.points}
            if jobs:
                try:
                    self.launcher.launch([[f"+chain={file}"] for file in files], initial_job_idx=self.jobs)
                except BadInput:  # the launcher cannot do this at all
                    raise
                except Exception as error:  # noqa: BLE001  # a lost job takes a launcher down, not what others have done
                    first = (str(error).splitlines() or [""])[0]
                    sys.stderr.write(f"postern: the launcher stopped: {type(error).__name__}: {first}\n")
            self.jobs += len(jobs)

    def _result(self, points: Sequence[Point], shelf: Store) -> list[Path]:
        """The records' paths, which are printed; an error that lists what is missing."""
        left = missing(points, shelf, retry=True)
        without = {point.keys.run for point in left}
        paths = [shelf.record(point.keys.run) for point in points]
        sys.stdout.writelines(f"{path}\n" for path in paths if path.stem not in without)
        if left:
            self._complain(left, shelf, len(points))
        return paths

    def _complain(self, left: Sequence[Point], shelf: Store, total: int) -> None:
        failures = [last(shelf.failure(point.keys.run)) for point in left]
        lines = []
        for point, failure in zip(left, failures, strict=True):
            reason = failure.reason if failure else "the job ended before it began"
            aside = (
                f" [left aside after {failure.attempts} failures; retry=true]" if failure and failure.left_aside else ""
            )
            log = self.logs.get(point.keys.run)
            lines.append(f"\n  {title(point.config)}: {reason}{aside}" + (f"\n    log: {log}" if log else ""))
        message = f"{len(left)} of {total} runs have no record; the same command tries them again{''.join(lines)}"
        if all(failure and failure.bad_input for failure in failures):
            raise BadInput(message)
        raise SweepFailed(message)

    def _points(self, arguments: Sequence[str]) -> list[Point]:
        """Every run of the grids once, the last option changing fastest."""
        found: dict[str, Point] = {}
        for grid in self.grids:
            for overrides in self._expanded(grid, arguments):
                tree = checked(self.compose(overrides))
                _, plan = planned(tree)
                found.setdefault(plan.run, Point(tree, plan))
        return list(found.values())

    def _expanded(self, grid: Mapping[str, str], arguments: Sequence[str]) -> list[list[str]]:
        named = {argument.lstrip("+").split("=")[0] for argument in arguments}
        given = [f"{name}={values}" for name, values in grid.items() if name not in named]
        batches = BasicSweeper.split_arguments(self.parser.parse_overrides([*given, *arguments]), None)
        return [list(point) for batch in batches for point in batch]
