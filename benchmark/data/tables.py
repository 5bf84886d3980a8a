"""Columns of Parquet files and of the Arrow files that the `datasets` library caches; pictures stay encoded."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.errors import BadInput

BATCH_ROWS = 1024  # encoded pictures in memory at a time
LISTED = 20  # names in an error's list
BROKEN = (OSError, pa.ArrowException, UnicodeDecodeError)  # the last where a name or a string is damaged


def nearest(wanted: str, known: Iterable[object]) -> str:
    """The tail of an error about an unknown name: the nearest known one and what there is."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(wanted, names, 1)
    listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    return (f"did you mean {close[0]}? " if close else "") + f"there are: {listed or 'none'}"


def schema(file: Path) -> pa.Schema:
    """The columns of one file.

    Raises:
        BadInput: it is no Parquet file (or Arrow stream, where its name ends in .arrow).
    """
    try:
        if file.suffix == ".arrow":
            with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
                return stream.schema
        return pq.read_schema(file)
    except BROKEN as error:
        raise _unreadable(file, error) from error


def check_columns(files: Iterable[Path], image: str, label: str) -> None:
    """Refuse files whose columns are not there or hold something else.

    Args:
        files: all files of a data set.
        image: a column of picture files' bytes, or of {bytes, path}.
        label: a column of integers or strings.

    Raises:
        BadInput: as said; the message names the nearest column.
    """
    for file in files:
        columns = schema(file)
        for option, name in (("image", image), ("label", label)):
            if name not in columns.names:
                raise BadInput(f"dataset.{option}={name}: {file} has no such column; {nearest(name, columns.names)}")
        kind = columns.field(image).type
        held = kind.field("bytes").type if _has_field(kind, "bytes") else kind
        if not (pa.types.is_binary(held) or pa.types.is_large_binary(held)):
            raise BadInput(
                f"dataset.image={image}: {file} holds {kind} there, not pictures (bytes, or bytes with a path)"
            )
        kind = columns.field(label).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise BadInput(f"dataset.label={label}: {file} holds {kind} there; labels are integers or strings")


def holds_paths(file: Path, image: str) -> bool:
    """Whether the pictures of a column have paths beside their bytes."""
    return _has_field(schema(file).field(image).type, "path")


def class_names(files: Iterable[Path], label: str) -> list[str] | None:
    """Names of the classes, in order, where the files' `datasets` metadata tells them (a ClassLabel column).

    Raises:
        BadInput: the files number the classes differently.
    """
    told = {names for names in (_class_names(file, label) for file in files) if names is not None}
    if len(told) > 1:
        lists = " against ".join(", ".join(names[:LISTED]) for names in sorted(told))
        raise BadInput(f"dataset.label={label}: files name the classes differently ({lists}); write them with one list")
    return list(told.pop()) if told else None


def _class_names(file: Path, label: str) -> tuple[str, ...] | None:
    columns = schema(file)
    if not pa.types.is_integer(columns.field(label).type):
        return None
    try:
        names = json.loads(columns.metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (TypeError, KeyError, ValueError):  # written by another tool
        return None
    return tuple(str(name) for name in names)


def read_column(files: Iterable[Path], column: str, field: str | None = None) -> list[object]:
    """A column of all files, or one field of a column of records: one Python value a row.

    Raises:
        BadInput: a file is damaged.
    """
    values: list[object] = []
    for file in files:
        for batch in _batches(file, column, field):
            array = batch.column(column)
            try:
                values += (array if field is None else array.field(field)).to_pylist()
            except BROKEN as error:
                raise _unreadable(file, error) from error
    return values


# Nesting is deep because a stream has files, files have batches and batches have rows.
def read_pictures(files: Iterable[Path], image: str, rows: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    """The encoded pictures of some rows, each with a name for errors.

    Args:
        files: read one after the other.
        image: the column's name.
        rows: ascending row numbers, counted through all files.

    Raises:
        BadInput: a file is damaged, or a row holds no bytes.
    """
    wanted = iter(rows)
    row = next(wanted, None)
    before = 0  # rows of the files and batches already passed
    for file in files:
        start = before
        field = "bytes" if _has_field(schema(file).field(image).type, "bytes") else None
        for batch in _batches(file, image, field):
            if row is None:
                return
            encoded = batch.column(image) if field is None else batch.column(image).field(field)
            while row is not None and row < before + batch.num_rows:
                content = encoded[row - before].as_py()
                if content is None:  # a path beside it is not followed: it could name any file on this machine
                    raise BadInput(
                        f"{file} row {row - start}: no picture bytes in column {image}; "
                        "write the pictures into the file (on the hub: dataset.revision=refs/convert/parquet)"
                    )
                yield f"{file} row {row - start}", content
                row = next(wanted, None)
            before += batch.num_rows


def _has_field(kind: pa.DataType, name: str) -> bool:
    return bool(pa.types.is_struct(kind)) and kind.get_field_index(name) >= 0


def _batches(file: Path, column: str, field: str | None = None) -> Iterator[pa.RecordBatch]:
    try:
        if file.suffix == ".arrow":
            with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
                for batch in stream:
                    yield batch.select([column])
        else:
            with pq.ParquetFile(file) as table:
                yield from table.iter_batches(BATCH_ROWS, columns=[column if field is None else f"{column}.{field}"])
    except BROKEN as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> BadInput:
    reason = " ".join(str(error).split())[:200]
    return BadInput(f"{file}: unreadable as {file.suffix[1:].title()} ({reason}); write or download it again")
