"""Progress on stderr: a bar for each training of a single run, one bar of finished runs for a sweep."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LOOK = 0.3  # seconds between two looks at the records


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
def sweep_bar(records: Sequence[Path]) -> Iterator[None]:
    """A bar of how many of these records exist, kept current by a thread that looks at the disk."""
    stop = threading.Event()
    with _bars() as bars:
        task = bars.add_task("runs", total=len(records), note="")

        def follow() -> None:
            while not stop.wait(LOOK):
                bars.update(task, completed=sum(path.exists() for path in records))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            bars.update(task, completed=sum(path.exists() for path in records))
