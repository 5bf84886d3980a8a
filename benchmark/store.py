"""Artefacts and records on disk: published whole, create-only, verified when read."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from benchmark.lease import Lease
from benchmark.seal import Artefact, Damaged, verified

log = logging.getLogger(__name__)


class Store:
    """A folder of artefacts, records, failures and decoded data, safe for many writers.

    Correctness rests on create-only publication alone: whoever is first wins, and everyone, the maker included, uses
    what is read back from the disk.

    Args:
        root: the folder; made on first publication.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def artefact(self, key: str) -> Path:
        """Where a stage's weights, secret, scores and costs lie."""
        return self.root / "artefacts" / key[:2] / f"{key}.safetensors"

    def record(self, key: str) -> Path:
        """Where a finished run's record lies."""
        return self.root / "records" / key[:2] / f"{key}.json"

    def failure(self, key: str) -> Path:
        """Where the last failure of a run lies."""
        return self.root / "failures" / key[:2] / f"{key}.json"

    @property
    def downloads(self) -> Path:
        """Where data sets are downloaded to."""
        return self.root / "downloads"

    def obtain(self, path: Path, make: Callable[[], bytes]) -> Artefact:
        """Load an artefact, or make and publish it; one maker at a time where leases work, one winner always.

        Args:
            path: its place.
            make: computes the sealed file; may run although another process does the same.
        """
        while (found := self.load(path)) is None:
            with Lease(path.with_suffix(".lease"), done=path.exists) as lease:
                if lease.held and not path.exists():  # it may have been published since we last looked
                    publish(path, make())
        return found

    def load(self, path: Path) -> Artefact | None:
        """A verified artefact, or None where there is none; a damaged file is set aside, to be made again."""
        try:
            return verified(path)
        except FileNotFoundError:
            return None
        except Damaged as error:
            set_aside(path, str(error))
            return None


def listed(folder: Path) -> set[str]:
    """Names of all files below a folder. Folders are read anew, which a look at one name over a network may not be."""
    return {name for _, _, names in os.walk(folder) for name in names}


def set_aside(path: Path, reason: str) -> None:
    """Rename a damaged file so that it is made again, and say so."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.damaged")
    with suppress(FileNotFoundError):  # another process has just done the same
        path.rename(aside)
    log.warning("%s is damaged (%s): set aside as %s and made again", path, reason, aside.name)


def publish(path: Path, data: bytes) -> bool:
    """Write a file whole and create-only; True if it is ours, False if another was first.

    The data and the folder entry are on disk before this returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        _write(temporary, data)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)
    return True


def replace(path: Path, data: bytes) -> None:
    """Write a file whole over what is there: for sidecars and failures, which hold the latest word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    _write(temporary, data)
    os.replace(temporary, path)
    _sync(path.parent)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
