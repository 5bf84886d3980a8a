"""Records in one Parquet file: a row a record, its JSON in one column and its evidence's in another.

Apart from `benchmark.results.archive`, since importing pyarrow takes longer than reading a leaderboard.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from benchmark.errors import BadInput
from benchmark.record import Evidence, Part, Record, parsed

COLUMNS = pa.schema([("key", pa.string()), ("record", pa.string()), ("evidence", pa.string())])
ROWS = 128  # of a row group: evidence is read by whole groups, and the runs of a cell lie together
CACHED = 8  # row groups whose evidence is kept
BATCH = 2048  # records decoded at once
AGAIN = "make it again from the records"


class Table:
    """A Parquet file of records; `benchmark.results.archive.Archive` says what its methods promise.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._evidence = lru_cache(CACHED)(lambda group: self._column(group, "evidence"))

    def records(self) -> Iterator[Record]:
        batches = self._file.iter_batches(BATCH, columns=["key", "record"], use_threads=False)
        while (batch := self._next(batches)) is not None:
            for key, text in zip(*batch, strict=True):
                yield self._record(key, text)

    def evidence(self, key: str) -> Evidence | None:
        if key not in self._places:
            raise BadInput(f"{self.path}: holds no record {key}; give the key of one")
        group, row = self._places[key]
        text = self._evidence(group)[row]
        try:
            return None if text is None else Evidence.model_validate_json(text)
        except ValidationError as error:
            reason = " ".join(error.errors()[0]["msg"].lower().split())
            raise BadInput(f"{self.path}: evidence of {key}: {reason}; {AGAIN}") from error

    @cached_property
    def _file(self) -> pq.ParquetFile:
        with self._sound():
            file = pq.ParquetFile(self.path, memory_map=True)  # no place in the file that processes would share
            if not file.schema_arrow.equals(COLUMNS):
                raise ValueError(f"its columns are not texts called {', '.join(COLUMNS.names)}")
            return file

    @cached_property
    def _places(self) -> dict[str | None, tuple[int, int]]:
        """Key -> row group and row in it."""
        with self._sound():
            keys = self._file.read(["key"], use_threads=False)["key"].to_pylist()
            sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        rows = ((group, row) for group, size in enumerate(sizes) for row in range(size))
        return dict(zip(keys, rows, strict=True))

    def _column(self, group: int, name: str) -> list[str | None]:
        with self._sound():
            texts: list[str | None] = self._file.read_row_group(group, [name], use_threads=False)[name].to_pylist()
            return texts

    def _next(self, batches: Iterator[pa.RecordBatch]) -> list[list[str | None]] | None:
        with self._sound():
            batch = next(batches, None)
            return None if batch is None else [column.to_pylist() for column in batch.columns]

    def _record(self, key: str | None, text: str | None) -> Record:
        record = parsed(text or "", f"{self.path}: record {key!r}")
        if record.key != key or record.evidence is not None:
            raise BadInput(f"{self.path}: record {key!r} holds another key, or evidence; {AGAIN}")
        return record

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"{self.path}: is no Parquet file of records ({reason}); {AGAIN}") from error


def write(records: Iterable[Record], file: Path) -> None:
    """Write records with their evidence, whole and create-only, in the order given; equal records give equal bytes.

    Args:
        records: at most a row group of them is held at once.
        file: must not exist.

    Raises:
        BadInput: it exists.
    """
    temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as stream:
            _fill(stream, iter(records))
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, file)
    except FileExistsError as error:
        raise BadInput(f"{file}: exists; give the name of a new file") from error
    finally:
        temporary.unlink(missing_ok=True)


def _fill(stream: BinaryIO, records: Iterator[Record]) -> None:
    with pq.ParquetWriter(stream, COLUMNS, compression="zstd", use_dictionary=False) as writer:
        while group := list(islice(records, ROWS)):
            writer.write_table(_rows(group))


def _rows(records: list[Record]) -> pa.Table:
    light = [_text(record.model_copy(update={"evidence": None})) for record in records]
    evidence = [None if record.evidence is None else _text(record.evidence) for record in records]
    return pa.table({"key": [record.key for record in records], "record": light, "evidence": evidence}, COLUMNS)


def _text(part: Part) -> str:
    return part.model_dump_json(by_alias=True, exclude_unset=True)  # what an older record lacks, it lacks here too
