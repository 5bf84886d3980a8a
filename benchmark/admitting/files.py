"""The files that somebody sent, read as strictly as can be."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.exchange import LIMITS
from benchmark.record import Record, parsed


def sent(sources: Sequence[Path]) -> list[Path]:
    """The files that were sent; links to folders are not followed, links to files are refused later.

    Args:
        sources: files and folders; of folders all `.json` files at any depth.

    Raises:
        BadInput: there is none.
    """
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            paths = (Path(folder, name) for folder, _, names in os.walk(source) for name in names)
            found += (path for path in paths if path.suffix == ".json")
        else:
            found.append(source)
    if not found:
        raise BadInput(f"{', '.join(map(str, sources))}: holds no record; give files or folders of <key>.json")
    return sorted(set(found))


def opened(path: Path) -> tuple[Record, bytes]:
    """A stranger's record and its file's content, which must be in the very form that the suite writes.

    Args:
        path: may be anything.

    Raises:
        BadInput: it is none.
    """
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > LIMITS["records"]:
            raise BadInput(f"is no plain file of at most {LIMITS['records']} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})") from error
    record = parsed(data, "record")
    if path.name != f"{record.key}.json":
        raise BadInput(f"its key is {record.key}, which is not its name; send files as the suite wrote them")
    content = json.loads(data)  # no field twice, no number that is read for another one
    if (json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n").encode() != data:
        raise BadInput("is not written as the suite writes records; send files as they are")
    return record, data
