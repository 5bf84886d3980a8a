"""Decoded data in the store: made once, found again by the sizes and times of the source's files.

Imports no torch, so that keys can be computed without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmark import sources
from benchmark.config import construct
from benchmark.data.source import Decoded, Rows, Source
from benchmark.errors import BadInput
from benchmark.keys import NOT_DECODED, hashed
from benchmark.seal import Artefact, Damaged, sealed, shape_of
from benchmark.store import Store, replace

READERS = "benchmark.data"  # a change in what sources share decodes anew

Stamp = tuple[str, int, int]  # path, bytes, nanoseconds of last change


def digest(config: Mapping[str, Any], store: Store) -> str:
    """sha256 of a data set's decoded rows, from the sidecar where the source's files have not changed.

    Args:
        config: the resolved `dataset` section.
        store: holds the sidecar and the decoded rows.

    Raises:
        BadInput: the source cannot be read.
    """
    known = _sidecar(config, store)
    return str(known["digest"]) if known else rows(config, store).digest


def rows(config: Mapping[str, Any], store: Store) -> Artefact:
    """The decoded rows, decoded now if they are not in the store.

    Returns:
        Tensors `train/inputs` uint8 (N, C, H, W), `train/targets` int64 (N,), maybe `train/group`, and the same for
        `test`; facts `classes`, their names.

    Raises:
        BadInput: the source cannot be read.
    """
    known = _sidecar(config, store)
    source = cast(Source, construct({"dataset": config}, "dataset"))
    stamps = known["files"] if known else [_stamp(path) for path in source.files(store.downloads)]
    found = store.obtain(_place(config, store, stamps), lambda: _sealed(source.decode(store.downloads), config))
    sidecar = {"files": stamps, "beside": _beside(stamps), "digest": found.digest}
    if sidecar != known:
        replace(_sidecar_path(config, store), json.dumps(sidecar).encode())
    return found


def train_rows(config: Mapping[str, Any], store: Store) -> int:
    """How many training rows a decoded data set has, trusted ones included; 0 where it has not been decoded."""
    known = _sidecar(config, store)
    try:
        return shape_of(_place(config, store, known["files"]), "train/inputs")[0] if known else 0
    except (FileNotFoundError, Damaged):
        return 0


def _place(config: Mapping[str, Any], store: Store, stamps: Sequence[Stamp]) -> Path:
    return store.root / "data" / f"{hashed(_name(config), stamps)}.safetensors"


def _sealed(data: Decoded, config: Mapping[str, Any]) -> bytes:
    from safetensors.numpy import save

    for split in (data.train, data.test):
        if len(split.inputs) == 0:
            raise BadInput(
                f"dataset {config['_target_']}: a split has no rows; give at least one for train and for test"
            )
    arrays = {**_columns(data.train, "train"), **_columns(data.test, "test")}
    return sealed(lambda metadata: save(arrays, metadata), {"classes": data.classes})


def _columns(split: Rows, name: str) -> dict[str, NDArray[np.generic]]:
    columns: dict[str, NDArray[np.generic]] = {f"{name}/inputs": split.inputs, f"{name}/targets": split.targets}
    if split.group is not None:
        columns[f"{name}/group"] = split.group
    return {key: np.ascontiguousarray(array) for key, array in columns.items()}


def _name(config: Mapping[str, Any]) -> str:
    options = {name: value for name, value in config.items() if name not in NOT_DECODED}
    return hashed(options, sources.digest(str(config["_target_"]), also=READERS))


def _sidecar_path(config: Mapping[str, Any], store: Store) -> Path:
    return store.root / "data" / f"{_name(config)}.json"


def _sidecar(config: Mapping[str, Any], store: Store) -> dict[str, Any] | None:
    """What is known of a source, if its files are still the ones that were decoded."""
    try:
        known: dict[str, Any] = json.loads(_sidecar_path(config, store).read_bytes())
        same = all(list(_stamp(Path(path))) == [path, size, changed] for path, size, changed in known["files"])
        same = same and known["beside"] == _beside(known["files"])
        return known if same and isinstance(known["digest"], str) else None
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: it is only a shortcut
        return None


def _beside(stamps: Sequence[Stamp]) -> list[str]:
    """Files of the same kinds in the same folders: one more of them may belong to the data set."""
    paths = [Path(stamp[0]) for stamp in stamps]
    kinds = {(path.parent, path.suffix) for path in paths}
    return sorted(str(path) for folder, suffix in kinds for path in folder.glob(f"*{suffix}"))


def _stamp(path: Path) -> Stamp:
    about = path.stat()
    return str(path), about.st_size, about.st_mtime_ns
