"""Records in one Parquet file: a row a record, a column a field, and evidence as a field like others.

Apart from `benchmark.results.archive`, since importing pyarrow takes longer than reading a leaderboard.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from pydantic_core import from_json

from benchmark.errors import BadInput
from benchmark.record import Evidence, Record, complaint
from benchmark.results.columns import ABSENT, COLUMNS, FIELDS, REQUIRED, Column, texts

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
        self._evidence = lru_cache(CACHED)(lambda group: self._group(group))

    def records(self) -> Iterator[Record]:
        """All records in the file's order, without evidence."""
        columns = {name: Column(name) for name in FIELDS}
        fields: dict[tuple[str, ...], set[str]] = {}  # one set for all records that have the same
        batches = self._file.iter_batches(BATCH, columns=list(FIELDS), use_threads=False)
        for batch in self._ahead(batches):
            for row in zip(*self._values(batch, columns), strict=True):
                values = {name: value for name, value in zip(FIELDS, row, strict=True) if value is not ABSENT}
                given = tuple(values)
                if given not in fields:
                    fields[given] = self._whole(given)
                yield Record.model_construct(fields[given], **values, evidence=None)

    def evidence(self, key: str) -> Evidence | None:
        """A record's evidence, if it has any."""
        if key not in self._places:
            raise BadInput(f"{self.path}: holds no record {key}; give the key of one")
        group, row = self._places[key]
        text = self._evidence(group)[row]
        try:
            return None if text in (None, "null") else Evidence.model_validate_json(text)
        except ValidationError as error:
            raise BadInput(f"{self.path}: evidence of {key}: {complaint(error)}; {AGAIN}") from error

    @cached_property
    def _file(self) -> pq.ParquetFile:
        with self._sound():
            file = pq.ParquetFile(self.path, memory_map=True)  # no place in the file that processes would share
            if not file.schema_arrow.equals(COLUMNS):
                raise ValueError(f"its columns are not {', '.join(COLUMNS.names)}")
            return file

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        """Key -> row group and row in it."""
        with self._sound():
            keys = map(from_json, self._file.read(["key"], use_threads=False)["key"].to_pylist())
            sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        rows = ((group, row) for group, size in enumerate(sizes) for row in range(size))
        return dict(zip(keys, rows, strict=True))

    def _group(self, group: int) -> list[str | None]:
        with self._sound():
            file = self._file.read_row_group(group, ["evidence"], use_threads=False)
            found: list[str | None] = file["evidence"].to_pylist()
            return found

    def _ahead(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Each with the next one on its way, which needs no interpreter; no thread is left at the end."""
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(next, batches, None)
            while (batch := self._come(coming)) is not None:
                coming = thread.submit(next, batches, None)
                yield batch

    def _come(self, coming: Future[pa.RecordBatch | None]) -> pa.RecordBatch | None:
        with self._sound():
            return coming.result()

    def _values(self, batch: pa.RecordBatch, columns: Mapping[str, Column]) -> list[list[Any]]:
        """The values of some records, column by column."""
        with self._sound():
            return [column.values(batch[name]) for name, column in columns.items()]

    def _whole(self, given: Sequence[str]) -> set[str]:
        """The fields that a record has, unless it lacks one.

        Raises:
            BadInput: it does.
        """
        if lacking := REQUIRED.difference(given):
            raise BadInput(f"{self.path}: a record has no field {min(lacking)}; {AGAIN}")
        return {"schema_" if name == "schema" else name for name in (*given, "evidence")}

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
    with pq.ParquetWriter(stream, COLUMNS, compression="zstd") as writer:
        while group := list(islice(records, ROWS)):
            writer.write_table(pa.Table.from_pylist(list(map(texts, group)), COLUMNS))
