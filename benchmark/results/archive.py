"""Many records read quickly, from a folder of JSON files or from one Parquet file; each as strictly as alone.

Pictures, curves and histograms stay on the disk until somebody asks for them: they are most of a record's bytes.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from benchmark.errors import BadInput
from benchmark.record import Evidence, Record, load
from benchmark.results.marks import PARQUET, mark_anew, marks

PARTS = ("dataset", "architecture", "recipe", "transfer", "environment", "attack", "defense")  # as cells are ordered


class Archive:
    """Records and, apart from them, their evidence.

    Args:
        source: a folder with `<key>.json` files at any depth, or a Parquet file that `compact` made.

    Raises:
        BadInput: it is neither.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        if source.suffix == PARQUET and source.is_file():
            from benchmark.results.columnar import Table

            self._reader: _Reader = Table(source)
        elif source.is_dir():
            self._reader = _Folder(source)
        else:
            raise BadInput(f"{source}: is no folder of records, nor a {PARQUET} file of them; give one that exists")

    @cached_property
    def records(self) -> list[Record]:
        """All records in order of their keys, without evidence; parts may be those of others too, so edit nothing.

        Raises:
            BadInput: one of them cannot be read, has an unknown schema or another's name, or is there twice.
        """
        with _uncollected():
            found = sorted(self._reader.records(), key=lambda record: record.key)
        for first, second in pairwise(found):
            if first.key == second.key:
                raise BadInput(f"{self.source}: holds record {first.key} twice; remove one")
        return found

    def evidence(self, keys: Iterable[str]) -> dict[str, Evidence]:
        """Pictures, curves and histograms of some records; those without any are left out.

        Args:
            keys: of records here; from a Parquet file quickest for neighbours in `benchmark.results.leaderboard.cells`.

        Raises:
            BadInput: there is no such record, or it cannot be read.
        """
        found = ((key, self._reader.evidence(key)) for key in keys)
        return {key: evidence for key, evidence in found if evidence is not None}


def compact(folder: Path, file: Path) -> int:
    """Write the records of a folder into a new Parquet file, whole, with their marks beside it; the same give the same.

    Args:
        folder: with `<key>.json` files at any depth.
        file: must not exist, and ends in `.parquet`.

    Returns:
        How many records it holds.

    Raises:
        BadInput: a record cannot be read, there is none, or the file cannot be made.
    """
    if file.suffix != PARQUET or file.exists() or not file.parent.is_dir():
        raise BadInput(f"{file}: must be a new {PARQUET} file in a folder that exists; give another name")
    if not folder.is_dir() or not (records := Archive(folder).records):
        raise BadInput(f"{folder}: holds no record; give a folder of records")
    from benchmark.results.columnar import write

    keys, whole, known = [record.key for record in sorted(records, key=place)], _Folder(folder), marks(folder)
    # First: records without their marks would count as made here.
    mark_anew(file, {key: known[key] for key in keys if key in known})
    with _uncollected():
        write(map(whole.record, keys), file)
    return len(keys)


def place(record: Record) -> tuple[Any, ...]:
    """What compact files are sorted by: the seeds of a cell side by side, cells about as the leaderboard has them."""
    names = {"attack": record.methods.attack.name, "defense": record.methods.defense.name}
    parts = [(names.get(part, str(record.config.get(part))), record.identity.get(part, "")) for part in PARTS]
    return (*parts[:-1], record.methods.defense.family, parts[-1], record.seed, record.key)


class _Reader(Protocol):
    """Where records lie."""

    def records(self) -> Iterator[Record]: ...

    def evidence(self, key: str) -> Evidence | None: ...


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder, _, names in os.walk(self.path):
            for key in (name.removesuffix(".json") for name in names if name.endswith(".json")):
                if key in found:
                    raise BadInput(f"record {found[key]}: lies in {folder} too; remove one")
                found[key] = Path(folder, f"{key}.json")
        return found

    def records(self) -> Iterator[Record]:
        for key in sorted(self.files):
            yield self.record(key).model_copy(update={"evidence": None})

    def record(self, key: str) -> Record:
        """One record, whole."""
        if key not in self.files:
            raise BadInput(f"{self.path}: holds no record {key}; give the key of one")
        record = load(self.files[key])
        if record.key != key:
            raise BadInput(f"record {self.files[key]}: its key is {record.key}, which is not its name; rename it")
        return record

    def evidence(self, key: str) -> Evidence | None:
        return self.record(key).evidence


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would walk all records again and again; nothing here goes in circles."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # all that is there becomes old, or it would be walked now as what is new
        gc.unfreeze()
        if was:
            gc.enable()
