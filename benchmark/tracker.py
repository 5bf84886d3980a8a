"""Where a finished run is told to, besides its record."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from benchmark.record import Record


class Tracker(Protocol):
    """Told of every run that is made, and of a single run that is replayed; all it can tell is in the record."""

    def log(self, record: Record, path: Path) -> None:
        """Send one run.

        Args:
            record: the run.
            path: its file, to attach.
        """


class NoTracker:
    """The default: the record is enough."""

    def log(self, record: Record, path: Path) -> None:
        """Nothing to do."""
