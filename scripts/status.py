"""How far a sweep is: python scripts/status.py --store store [--watch]; it reads the disk and asks no scheduler."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from benchmark.cli import Parser, guarded
from benchmark.errors import BadInput
from benchmark.store import Store
from benchmark.sweep.announcement import announced
from benchmark.sweep.survey import Survey

PAUSE = 5.0  # seconds between two looks of --watch


def main() -> None:
    """Print the state of one sweep, once or until it is finished."""
    parser = Parser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path(os.environ.get("POSTERN_STORE", "store")))
    parser.add_argument("--sweep", help="a folder's name below <store>/sweeps; the latest one if left out")
    parser.add_argument("--watch", action="store_true", help="look again every few seconds until nothing runs or waits")
    options = parser.parse_args()
    folder = options.store / "sweeps" / options.sweep if options.sweep else latest(options.store)
    survey = Survey(announced(folder), Store(options.store))
    if options.watch:
        watch(survey, folder)
    else:
        print(show(survey, folder)[0])


def latest(store: Path) -> Path:
    """The folder of the sweep begun last.

    Raises:
        BadInput: there is none.
    """
    folders = sorted(note.parent for note in store.glob("sweeps/*/sweep.json"))
    if not folders:
        raise BadInput(f"--store {store}: no sweep was begun there; give the store of one, or begin one with -m")
    return folders[-1]


def show(survey: Survey, folder: Path) -> tuple[str, bool]:
    """The state in lines, and whether the sweep is finished."""
    seen = survey.look()
    return "\n".join([f"sweep    {folder.name} in {survey.shelf.root}", *seen.lines()]), seen.finished


def watch(survey: Survey, folder: Path) -> None:
    """Show the state anew until nothing runs or waits."""
    with Live(console=Console(), auto_refresh=False) as live:
        finished = False
        while not finished:
            text, finished = show(survey, folder)
            live.update(text, refresh=True)
            if not finished:
                time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(guarded(main))
