"""Leases: they save work when two processes want the same artefact; correctness never rests on them."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

HEARTBEAT = 2.0  # seconds between two signs of life
STALE = 15.0  # seconds without one, by the observer's own clock, after which the holder counts as dead
POLL = 0.1  # seconds between two looks


class Lease:
    """Hold a file while working; wait while another process holds it and lives.

    A holder rewrites the file every HEARTBEAT seconds. An observer never compares clocks: it takes over when it has
    seen the same content for STALE seconds of its own monotonic clock.

    Args:
        path: the lease's file, ending in `.lease`.
        done: whether the work is finished by somebody else, so that waiting can end.
        clock: monotonic seconds; replaced in tests.
        sleep: waits some seconds; replaced in tests.
    """

    def __init__(
        self,
        path: Path,
        done: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self.done = done
        self.clock = clock
        self.sleep = sleep
        self.name = uuid.uuid4().hex
        self.released = threading.Event()
        self.heart: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        seen, since = "", self.clock()
        while not self.done():
            if self._take():
                self.heart = threading.Thread(target=self._beat, daemon=True)
                self.heart.start()
                break
            content = self._content()
            if content != seen:
                seen, since = content, self.clock()
            elif self.clock() - since > STALE and self._content() == seen:
                self.path.unlink(missing_ok=True)
            else:
                self.sleep(POLL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        if self.heart is not None:
            self.heart.join()
            if self._content().startswith(self.name):
                self.path.unlink(missing_ok=True)

    @property
    def held(self) -> bool:
        """Whether the work is ours to do."""
        return self.heart is not None

    def _take(self) -> bool:
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            file.write(f"{self.name} 0")
        return True

    def _beat(self) -> None:
        beats = 0
        while not self.released.wait(HEARTBEAT):
            beats += 1
            if not self._content().startswith(self.name):
                return  # taken over: we were too slow; publication decides who wins
            self.path.write_text(f"{self.name} {beats}")

    def _content(self) -> str:
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return ""
