"""Make one run, or with -m a grid of them: python scripts/run.py attack=blended defense=strip seed=0,1,2 -m."""

from __future__ import annotations

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from benchmark import run
from benchmark.cli import guarded
from benchmark.errors import BadInput
from benchmark.leaderboard import cells
from benchmark.progress import TrainingBars
from benchmark.run import record_path
from benchmark.tables import TABLE_WIDTH, terminal


@hydra.main(config_path="../conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> None:
    """One point of the grid; a sweep shows its progress and prints its records itself."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        run(config)
    elif code := guarded(lambda: single(config)):  # inside, since Hydra adds words of its own to what a job raises
        sys.exit(code)


def single(config: DictConfig) -> None:
    """One run, with a bar for each training."""
    grid = HydraConfig.get().sweeper.get("params")
    if grid:
        raise BadInput(f"this names a sweep over {', '.join(grid)}: add -m to run it, or leave the experiment out")
    with TrainingBars() as bars:
        record = run(config, bars)
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(*terminal(cells([record])))
    print(record_path(config))


if __name__ == "__main__":
    # argparse, below Hydra, takes no override after a flag: -m may stand anywhere.
    sys.argv.sort(key=lambda argument: argument in ("-m", "--multirun"))
    sys.exit(guarded(main))
