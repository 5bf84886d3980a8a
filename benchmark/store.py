"""Artefacts and records on disk: published whole, create-only, verified when read, never unpickled."""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import struct
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.lease import Lease

log = logging.getLogger(__name__)

Facts = Mapping[str, Any]  # plain JSON: scores, costs, verdicts
Buffer = bytes | mmap.mmap


class Damaged(ValueError):
    """A stored file is truncated or its content is not what it says."""


@dataclass(frozen=True)
class Artefact:
    """A stored artefact, verified when it was read.

    Attributes:
        path: a safetensors file.
        digest: sha256 of names, shapes, dtypes and bytes of its tensors.
        facts: what was measured when it was made, plain JSON.
    """

    path: Path
    digest: str
    facts: Facts


def sealed(serialize: Callable[[dict[str, str]], bytes], facts: Facts) -> bytes:
    """A safetensors file whose metadata hold the facts and a seal over facts and tensors.

    Args:
        serialize: metadata -> safetensors file; called twice, since the seal covers the tensors.
        facts: plain JSON.
    """
    text = json.dumps(facts, sort_keys=True)
    return serialize({"facts": text, "seal": _seal(_tensor_digest(serialize({"facts": text})), text)})


def verified(path: Path) -> Artefact:
    """Read and verify an artefact.

    Raises:
        FileNotFoundError: there is none.
        Damaged: truncated, or tensors or facts do not match the seal.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            metadata, digest = _header(data).get("__metadata__", {}), _tensor_digest(data)
            text = metadata["facts"]
        if metadata["seal"] == _seal(digest, text):
            return Artefact(path, digest, json.loads(text))
    except (ValueError, KeyError, struct.error, AttributeError, TypeError) as error:
        raise Damaged(f"not a sealed safetensors file: {error}") from error
    raise Damaged("tensors or facts do not match their seal")


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


def _header(data: Buffer) -> dict[str, Any]:
    (length,) = struct.unpack_from("<Q", data)
    if length > len(data) - 8:
        raise ValueError("the header is cut off")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if max(ends, default=0) != len(data) - 8 - length:
        raise ValueError("the tensors are cut off")
    return header


def _tensor_digest(data: Buffer) -> str:
    header = _header(data)
    header.pop("__metadata__", None)
    (length,) = struct.unpack_from("<Q", data)
    content = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    with memoryview(data) as view, view[8 + length :] as tensors:
        content.update(tensors)
    return content.hexdigest()


def _seal(digest: str, facts: str) -> str:
    return hashlib.sha256(f"{digest}\n{facts}".encode()).hexdigest()
