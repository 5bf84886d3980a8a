"""Leases: they save work when two processes want the same artefact; correctness never rests on them."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

HEARTBEAT = 2.0  # seconds between two signs of life
STALE = 15.0  # seconds without one, by the observer's own clock, after which the holder counts as dead
POLL = 0.1  # seconds between two looks


class Lease:
    """Hold a file while working; wait while another process holds it and lives.

    A holder rewrites the file every HEARTBEAT seconds. An observer never compares clocks: it takes over when it has
    seen the same content for STALE seconds of its own monotonic clock, or at once where the holder was a process of
    its own machine that is no more.

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
        self.name = f"{uuid.uuid4().hex}/{_machine()}/{os.getpid()}/{_started(os.getpid())}"
        self.released = threading.Event()
        self.heart: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        pulse = Pulse(self.clock)
        while not self.done():
            if self._take():
                self.heart = threading.Thread(target=self._beat, daemon=True)
                self.heart.start()
                break
            content = self._content()
            if pulse.beats(self.path):
                self.sleep(POLL)
            elif self._content() == content:  # nobody else has taken it over since
                self.path.unlink(missing_ok=True)
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
        return _read(self.path) or ""


class Pulse:
    """Tells living leases from stale ones, by the observer's own clock; asked again and again.

    Args:
        clock: monotonic seconds; replaced in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.seen: dict[Path, tuple[str, float]] = {}  # content, and when it was new

    def beats(self, path: Path) -> bool:
        """Whether a lease's holder may live: no dead process of this machine, and not unchanged for STALE seconds.

        A lease that is gone was given back: nothing speaks against its holder.
        """
        content = _read(path)
        if content is None:
            self.seen.pop(path, None)
            return True
        if _dead(content):
            return False
        if path not in self.seen or self.seen[path][0] != content:
            self.seen[path] = content, self.clock()
        return self.clock() - self.seen[path][1] <= STALE


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _dead(content: str) -> bool:
    """Whether a lease's holder was a process of this machine that has ended."""
    name, _, _ = content.partition(" ")
    parts = name.split("/")
    if len(parts) != 4 or not parts[1] or parts[1] != _machine():
        return False
    return _started(int(parts[2])) != parts[3]


@cache
def _machine() -> str:
    """This boot of this machine, as far as process numbers mean the same; empty where Linux does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """When a process started, in ticks since the boot; empty where there is none that runs."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else fields[18]
