"""The sweeper: runs the points of a grid that have no record yet, and judges completion by records alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from benchmark.cli import SweepFailed
from benchmark.errors import BadInput
from benchmark.progress import sweep_bar
from benchmark.run import record_path

TARGET = "hydra_plugins.postern.record_sweeper.RecordSweeper"
ConfigStore.instance().store("records", {"_target_": TARGET, "params": {}}, group="hydra/sweeper", provider="postern")


class RecordSweeper(Sweeper):
    """Expands a grid, launches what is missing, and prints every record's path.

    Args:
        params: option -> comma-separated values, as on the command line, which wins where both name an option.
    """

    def __init__(self, params: dict[str, str]) -> None:
        self.params = params
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra once, before `sweep`."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Path]:
        """Run a grid.

        Args:
            arguments: overrides, some with several values.

        Returns:
            The record's path of every point, in the grid's order.

        Raises:
            BadInput: every point that failed was given something that cannot be used.
            SweepFailed: at the end, if a point has no record; the others have theirs.
        """
        points = self._points(arguments)
        found = {self._record_path(overrides): overrides for overrides in points}  # a point named twice is one run
        paths, points = list(found), list(found.values())
        missing = [at for at, path in enumerate(paths) if not path.exists()]
        outcomes: Sequence[JobReturn] = []
        if missing:
            assert self.launcher is not None
            with sweep_bar(paths):
                outcomes = self._launch([points[at] for at in missing])
        left = [at for at in missing if not paths[at].exists()]
        sys.stdout.writelines(f"{path}\n" for at, path in enumerate(paths) if at not in left)
        if left:
            _report(left, points, dict(zip(missing, outcomes, strict=False)))
        return paths

    def _points(self, arguments: list[str]) -> list[list[str]]:
        """Every combination, the last option changing fastest."""
        assert self.hydra_context is not None
        named = {argument.lstrip("+").split("=")[0] for argument in arguments}
        given = [f"{name}={values}" for name, values in self.params.items() if name not in named]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        batches = BasicSweeper.split_arguments(parser.parse_overrides(given + arguments), None)
        return [list(point) for batch in batches for point in batch]

    def _record_path(self, overrides: list[str]) -> Path:
        assert self.hydra_context is not None and self.config is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        return record_path({str(name): value for name, value in config.items() if name != "hydra"})

    def _launch(self, points: list[list[str]]) -> Sequence[JobReturn]:
        """Launch; whatever happens to the launcher, the disk tells what was done."""
        assert self.launcher is not None
        try:
            return self.launcher.launch(points, initial_job_idx=0)
        except Exception as error:  # noqa: BLE001  # a killed worker takes the launcher down, not what others have finished
            sys.stderr.write(f"postern: the launcher stopped: {error}\n")
            return []


def _report(left: list[int], points: list[list[str]], outcomes: dict[int, JobReturn]) -> None:
    errors: dict[int, object] = {at: _error(outcomes.get(at)) for at in left}
    lines = [f"{' '.join(points[at])}: {(str(errors[at]).splitlines() or ['?'])[0]}" for at in left]
    message = f"{len(left)} of {len(points)} runs have no record; the same command tries them again\n  " + "\n  ".join(
        lines
    )
    if all(isinstance(error, BadInput) for error in errors.values()):
        raise BadInput(message)
    raise SweepFailed(message)


def _error(outcome: JobReturn | None) -> object:
    if outcome is None or outcome.status != JobStatus.FAILED:
        return "the process that ran it is gone"
    return outcome._return_value
