"""Progress on stderr: a bar for each training of a single run, one bar of finished runs for a sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmark.sweep.survey import Survey

LOOK = 0.5  # seconds between two looks at the disk, at least
REST = 20  # times as long as the last look took: large sweeps are looked at less often


def _bars() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))


class TrainingBars:
    """One bar for each stage of a run; call it with (stage, epochs done, epochs, loss)."""

    def __init__(self) -> None:
        self.bars = _bars()

    def __enter__(self) -> TrainingBars:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bars.live.is_started:  # stopping one that never started prints an empty line
            self.bars.stop()

    def __call__(self, stage: str, done: int, epochs: int, loss: float) -> None:
        """Show an epoch; a training after the first of a stage gets a bar of its own."""
        self.bars.start()  # only now: a run that fails its checks shows no bar
        if done == 1:
            self.bars.add_task(f"{stage:<10}", total=epochs, note="")
        self.bars.update(self.bars.task_ids[-1], completed=done, note=f"loss {loss:.4f}")


@contextmanager
def sweep_bar(survey: Survey) -> Iterator[None]:
    """A bar of a sweep's finished runs and a word on the rest, kept current by a thread that looks at the disk."""
    stop = threading.Event()
    with _bars() as bars:
        task = bars.add_task("runs", total=len(survey.runs), note="")

        def show() -> float:
            began = time.monotonic()
            seen = survey.look()
            bars.update(task, completed=seen.runs["done"], note=seen.brief())
            return time.monotonic() - began

        def follow() -> None:
            took = show()
            while not stop.wait(max(LOOK, REST * took)):
                took = show()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            show()
