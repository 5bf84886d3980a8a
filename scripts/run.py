"""Make one run, or with -m a grid of them: python scripts/run.py attack=blended defense=strip seed=0,1,2 -m."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from benchmark import run
from benchmark.cli import guarded
from benchmark.errors import BadInput
from benchmark.progress import TrainingBars
from benchmark.results.leaderboard import cells
from benchmark.results.tables import TABLE_WIDTH, terminal
from benchmark.run import record_path
from benchmark.sweep.work import work

PLAN = "--plan"  # what a sweep would do, without doing it


@hydra.main(config_path="../conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> None:
    """One run, or a job of a sweep; the sweep shows its progress and prints its records itself."""
    if "chain" in config:
        work(Path(config.chain))
    elif code := guarded(lambda: single(config)):  # inside, since Hydra adds words of its own to what a job raises
        sys.exit(code)


def single(config: DictConfig) -> None:
    """One run, with a bar for each training."""
    sweeper = HydraConfig.get().sweeper
    grid = [*sweeper.params, *(name for params in sweeper.grids.values() for name in params)]
    if grid:
        raise BadInput(f"this names a sweep over {', '.join(grid)}: add -m to run it, or leave the experiment out")
    with TrainingBars() as bars:
        record = run(config, bars)
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(*terminal(cells([record])))
    print(record_path(config))


def begin() -> None:
    """Start Hydra, once it is known that its parser would not print its usage and end the process.

    Raises:
        BadInput: a flag that it does not have, or one with a value it does not take.
    """
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        _, unknown = parser.parse_known_args()
    except argparse.ArgumentError as error:
        raise BadInput(f"{error}; see scripts/run.py --help") from error
    if unknown:
        raise BadInput(f"unrecognized arguments: {' '.join(unknown)}; see scripts/run.py --help")
    main()


if __name__ == "__main__":
    # argparse, below Hydra, takes no override after a flag: -m may stand anywhere.
    if PLAN in sys.argv:
        sys.argv = [argument for argument in sys.argv if argument != PLAN] + ["hydra.sweeper.plan=true", "-m"]
    sys.argv.sort(key=lambda argument: argument in ("-m", "--multirun"))
    sys.exit(guarded(begin))
