"""A reader of wandb's offline runs, which wandb itself no longer offers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BLOCK = 32768  # bytes of a LevelDB log's block


def entries(path: Path) -> Iterator[Any]:
    """The protobuf records of a .wandb file: a 7-byte header, then a LevelDB log of [crc, length, kind, data]."""
    messages = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    place, whole = 7, b""
    while place < len(content):
        if BLOCK - place % BLOCK < 7:  # too little left of the block for a head
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole entry, or the last part of one
            entry = messages.Record()
            entry.ParseFromString(whole)
            whole = b""
            yield entry


def values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def offline(folder: Path) -> SimpleNamespace:
    """What the .wandb file of a run's folder says."""
    found = SimpleNamespace(run=None, config={}, history=[], summary={}, artifacts=[], metrics={}, exits=[])
    for entry in entries(next(folder.glob("run-*.wandb"))):
        kind = entry.WhichOneof("record_type")
        if kind == "run":
            found.run = entry.run
            found.config.update(values(entry.run.config.update))
        elif kind == "config":
            found.config.update(values(entry.config.update))
        elif kind == "history":
            found.history.append(values(entry.history.item))
        elif kind == "summary":
            found.summary.update(values(entry.summary.update))
        elif kind == "artifact":
            found.artifacts.append(entry.artifact)
        elif kind == "metric":
            found.metrics[entry.metric.name or entry.metric.glob_name] = entry.metric.step_metric
        elif kind == "exit":
            found.exits.append(entry.exit.exit_code)
    return found
