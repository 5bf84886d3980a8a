"""What goes from a store into another: archives of records with their marks and their victims."""

from __future__ import annotations

import os
import tarfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Literal

from safetensors import SafetensorError, safe_open

from benchmark.errors import BadInput
from benchmark.inventory import IMPORTS, MEMBER
from benchmark.lease import Lease
from benchmark.record import load
from benchmark.results.marks import MARKS, Standing, mark, marks, written
from benchmark.seal import Damaged, verified
from benchmark.store import Store, publish

LIMITS = {"records": 2**22, "artefacts": 2**32}  # bytes of a member
STANDING = f"records/{MARKS}"  # where unpacking an archive by hand would leave it too
BLOCK = tarfile.BLOCKSIZE
CHUNK = 2**20  # bytes copied at once

Outcome = Literal["new", "same", "different"]  # of a member; "different": another file has its name, and stays


def pack(shelf: Store, paths: Iterable[Path], file: Path) -> None:
    """Write records, their marks and artefacts as a plain tar file, whole; the same files give the same bytes.

    Args:
        shelf: the store that they lie in.
        paths: of records and artefacts.
        file: of the archive, which must not exist.

    Raises:
        BadInput: it exists, its folder does not, a member is too large, or the marks cannot be read.
    """
    members, known = sorted(set(paths)), marks(shelf.root / "records")
    held = {path.stem: known[path.stem] for path in members if path.stem in known}
    if file.exists() or not file.parent.is_dir():
        raise BadInput(f"{file}: must be a new file in a folder that exists; give another name")
    temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        with tarfile.open(temporary, "x", format=tarfile.USTAR_FORMAT) as archive:
            for path in members:
                _add_file(archive, path, path.relative_to(shelf.root).as_posix())
            if held:
                _add(archive, STANDING, BytesIO(written(held)), len(written(held)))
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _add_file(archive: tarfile.TarFile, path: Path, name: str) -> None:
    with path.open("rb") as content:
        _add(archive, name, content, path.stat().st_size)


def _add(archive: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    entry = tarfile.TarInfo(name)  # without times and owners, so that the same files give the same bytes
    entry.size = size
    _check_size(name, size)
    archive.addfile(entry, content)


def unpack(file: Path, shelf: Store) -> dict[str, Outcome]:
    """Publish an archive's members, create-only, once all of them have been checked; the archive may be hostile.

    Its marks are taken for records that are new here; what is here already keeps its own.

    A seal shows damage and not who made it: whoever wrote the archive can have written anything into a sound member.

    Args:
        file: of the archive.
        shelf: the store; made if there is none.

    Returns:
        What became of each record and artefact, by its name.

    Raises:
        BadInput: the archive is damaged or holds anything but sound records and artefacts; nothing was published.
    """
    imports = shelf.root / IMPORTS
    imports.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(suffix=".tmp", dir=imports) as scratch:
        folder = Path(scratch)
        with Lease(folder.with_suffix(".lease"), done=lambda: False):  # keeps the folder from being pruned
            names = sorted(set(_extracted(file, folder)) - {STANDING})  # artefacts before the records that need them
            _mark(shelf, marks(folder / "records"), names)  # first: a record without a mark would count as one of ours
            return {name: _publish(folder / name, shelf.root / name) for name in names}


def _mark(shelf: Store, sent: Mapping[str, Standing], names: Iterable[str]) -> None:
    new = {Path(name).stem for name in names if name.endswith(".json") and not (shelf.root / name).exists()}
    if fresh := {key: standing for key, standing in sent.items() if key in new}:
        mark(shelf.root / "records", fresh)


def _extracted(file: Path, folder: Path) -> Iterator[str]:
    """Unpack the members below a folder, and name each when it has been checked."""
    try:
        with file.open("rb") as stream:
            for name, size in _headers(stream):
                _copy(stream, size, folder / name)
                _check(folder / name)
                yield name
    except (BadInput, ValueError, tarfile.HeaderError, SafetensorError, RecursionError, OSError) as error:
        reason = str(error).replace(f"{folder}/", "")
        raise BadInput(f"{file}: {reason}; nothing was imported, get a sound archive") from error


def _headers(stream: BinaryIO) -> Iterator[tuple[str, int]]:
    """Name and bytes of each member; the stream then stands where its content begins.

    Only plain files count. Links, folders, devices, sparse files and headers that extend others are refused, for which
    reason `tarfile` does not walk here: it would follow them by itself.
    """
    length, start, seen = os.fstat(stream.fileno()).st_size, 0, set[str]()
    while (header := stream.read(BLOCK)) != bytes(BLOCK):
        entry = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        if entry.type != tarfile.REGTYPE or not (MEMBER.fullmatch(entry.name) or entry.name == STANDING):
            raise ValueError(f"{entry.name[:200]!r} is no plain file with the name of a record or an artefact")
        if entry.name in seen:
            raise ValueError(f"{entry.name} is there twice")
        seen.add(entry.name)
        _check_size(entry.name, entry.size)
        start += BLOCK
        if not 0 <= entry.size <= length - start:
            raise ValueError(f"{entry.name} is cut off")
        yield entry.name, entry.size
        start += -(-entry.size // BLOCK) * BLOCK
        stream.seek(start)


def _copy(stream: BinaryIO, size: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as copy:
        for done in range(0, size, CHUNK):
            copy.write(stream.read(min(CHUNK, size - done)))


def _check(path: Path) -> None:
    """Read a member as strictly as the suite can."""
    if path.name == MARKS:
        marks(path.parent)
        return
    if path.suffix == ".json":
        if load(path).key != path.stem:
            raise ValueError(f"{path}: is the record of another key")
        return
    try:
        facts = verified(path).facts
    except Damaged as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: its facts are no object")
    with safe_open(path, "numpy"):  # its header is all that is read
        pass


def _check_size(name: str, size: int) -> None:
    if size > (limit := LIMITS[name.partition("/")[0]]):
        raise BadInput(f"{name}: has {size} bytes, the limit is {limit}")


def _publish(path: Path, place: Path) -> Outcome:
    data = path.read_bytes()
    return "new" if publish(place, data) else "same" if place.read_bytes() == data else "different"
