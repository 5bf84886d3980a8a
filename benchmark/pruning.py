"""What can leave a store: files that ended processes left, and, if asked for, what no record needs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.inventory import IMPORTS, Holdings, files, members
from benchmark.lease import Pulse
from benchmark.record import load
from benchmark.store import Store

LOOK = 1.0  # seconds between two looks at leases


def prunable(
    shelf: Store,
    unused: bool,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """What ended processes left and, if asked for, artefacts that no record needs; nothing is removed.

    Args:
        shelf: the store.
        unused: artefacts too, among them those of unfinished runs, and surrogates.
        clock: monotonic seconds; replaced in tests.
        sleep: waits some seconds; replaced in tests.

    Raises:
        BadInput: somebody works in the store, or, with `unused`, a record cannot be read.
    """
    idle = Holdings(shelf).unused(map(load, members(shelf, "records"))) if unused else []
    if beating := living(shelf, clock, sleep):  # after what takes long, since the freshest look counts
        shown = ", ".join(str(path.relative_to(shelf.root)) for path in beating)
        raise BadInput(f"--store {shelf.root}: living processes hold {shown}; prune when they have ended")
    return sorted([*(path for kind, path in files(shelf) if kind == "leftovers"), *idle])


def living(shelf: Store, clock: Callable[[], float], sleep: Callable[[float], None]) -> list[Path]:
    """Leases whose holders live: known by a heartbeat, or a new lease; one without is watched until it is stale."""
    pulse, since = Pulse(clock), math.inf  # after the first look
    while beating := [path for _, path in files(shelf) if path.suffix == ".lease" and pulse.beats(path)]:
        if moved := [path for path in beating if path in pulse.seen and pulse.seen[path][1] > since]:
            return sorted(moved)
        since = min(since, clock())
        sleep(LOOK)
    return []


def remove(shelf: Store, paths: Iterable[Path]) -> None:
    """Remove files of a store, and an import's folders with their last file."""
    imports = shelf.root / IMPORTS
    for path in paths:
        path.unlink(missing_ok=True)
        for folder in takewhile(lambda folder: imports in folder.parents, path.parents):
            with suppress(OSError):  # not empty yet
                folder.rmdir()
