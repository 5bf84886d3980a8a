"""What can leave a store: files that ended processes left, and, if asked for, what no record needs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.inventory import IMPORTS, VERIFICATIONS, Holdings, files, members
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
    """What ended processes left and, if asked for, what no record needs; nothing is removed.

    Args:
        shelf: the store.
        unused: artefacts that no record needs too, among them those of unfinished runs, and surrogates; and all that
            running records again has left.
        clock: monotonic seconds; replaced in tests.
        sleep: waits some seconds; replaced in tests.

    Raises:
        BadInput: somebody works in the store, or, with `unused`, a record cannot be read.
    """
    idle = [*Holdings(shelf).unused(map(load, members(shelf, "records"))), *_verifications(shelf)] if unused else []
    if beating := living(shelf, clock, sleep):  # after what takes long, since the freshest look counts
        shown = ", ".join(str(path.relative_to(shelf.root)) for path in beating)
        raise BadInput(f"--store {shelf.root}: living processes hold {shown}; prune when they have ended")
    return sorted({*(path for kind, path in files(shelf) if kind == "leftovers"), *idle})


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
    """Remove files and links of a store, and then empty folders of imports and verifications."""
    for path in paths:
        path.unlink(missing_ok=True)
    for part in (IMPORTS, VERIFICATIONS):
        for folder, _, _ in os.walk(shelf.root / part, topdown=False):
            with suppress(OSError):  # not empty
                Path(folder).rmdir()


def _verifications(shelf: Store) -> list[Path]:
    """Their files and their links to the store's own data, which are not followed."""
    walked = os.walk(shelf.root / VERIFICATIONS)
    found = (Path(folder, name) for folder, folders, names in walked for name in (*folders, *names))
    return [path for path in found if path.is_symlink() or path.is_file()]
