"""How far the records of a leaderboard are to be trusted.

Records are never edited, so the marks of those that came from elsewhere lie apart, in one file of their folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from benchmark.errors import BadInput
from benchmark.store import replace

COMMITTED = Path(__file__).parents[2] / "leaderboard" / "records"
PARQUET = ".parquet"  # what many records in one file are called after
MARKS = "standing"  # key -> standing, as JSON; in a folder of records whatever ends in .json is one

Standing = Literal["not reproduced", "reported", "reproduced"]
STANDINGS: tuple[Standing, ...] = get_args(Standing)  # the worst first


def marks(folder: Path) -> dict[str, Standing]:
    """The marks in a folder of records, or beside a Parquet file of them, by key; who has none was made here.

    Raises:
        BadInput: they cannot be read.
    """
    place = _place(folder)
    try:
        content = json.loads(place.read_bytes()) if place.exists() else {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{place}: is no JSON ({error}); restore it") from error
    if not isinstance(content, dict) or not set(map(str, content.values())) <= set(STANDINGS):
        raise BadInput(f"{place}: must give keys the standings {', '.join(STANDINGS)}; restore it")
    return content


def standing_of(key: str, known: Mapping[str, Standing]) -> Standing:
    """How far a record is to be trusted: what was made here needs no mark."""
    return known.get(key, "reproduced")


def mark(folder: Path, standing: Mapping[str, Standing]) -> None:
    """Add marks to records.

    Args:
        folder: of the records, or a Parquet file of them.
        standing: by key; replaces what these keys had.
    """
    replace(_place(folder), written({**marks(folder), **standing}))


def mark_anew(file: Path, standing: Mapping[str, Standing]) -> None:
    """Give a Parquet file, which need not be there yet, these marks and no others.

    Args:
        file: a name that ends in `.parquet`.
        standing: by key.
    """
    _place(file).unlink(missing_ok=True)  # what an earlier file of this name had
    if standing:
        mark(file, standing)


def written(standing: Mapping[str, Standing]) -> bytes:
    """The file's bytes."""
    return (json.dumps(standing, sort_keys=True, indent=1) + "\n").encode()


def _place(source: Path) -> Path:
    real = source.resolve()
    alone = real.suffix == PARQUET and not real.is_dir()
    return real.with_name(f"{real.name}.{MARKS}") if alone else real / MARKS
