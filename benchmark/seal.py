"""Sealed files: safetensors whose metadata hold plain facts and a digest over facts and tensors; never unpickled."""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def facts_of(path: Path) -> Facts:
    """The facts of an artefact, without reading its tensors, unverified: for summaries alone.

    Raises:
        FileNotFoundError: there is none.
        Damaged: its beginning is not that of a sealed file.
    """
    try:
        found: Facts = json.loads(_beginning(path)["__metadata__"]["facts"])
        return found
    except (ValueError, KeyError, struct.error, TypeError) as error:
        raise Damaged(f"not a sealed safetensors file: {error}") from error


def shape_of(path: Path, tensor: str) -> tuple[int, ...]:
    """The shape of one tensor of an artefact, unverified; raises as `facts_of`."""
    try:
        return tuple(_beginning(path)[tensor]["shape"])
    except (ValueError, KeyError, struct.error, TypeError) as error:
        raise Damaged(f"not a sealed safetensors file: {error}") from error


def _beginning(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(min(length, path.stat().st_size)))
        return header


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
