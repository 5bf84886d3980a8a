"""How far the records of a leaderboard are to be trusted.

Records are never edited, so the marks of those that came from elsewhere lie beside their folder, in `standing.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.store import replace

COMMITTED = Path(__file__).parents[2] / "leaderboard" / "records"
MARKS = "standing.json"  # key -> standing

Standing = Literal["reproduced", "reported"]


def standing_of(record: Record, folder: Path = COMMITTED) -> Standing:
    """How far a record is to be trusted.

    Args:
        record: of a leaderboard.
        folder: its records, beside which the marks lie.

    Returns:
        Of an admitted record its mark. Others were made here: "reproduced" if from a clean commit, else "reported".
    """
    place = folder.parent / MARKS
    known = _known(folder, place.stat().st_mtime_ns if place.exists() else 0)  # read once
    mine = record.provenance.dirty is False and record.provenance.commit is not None
    return known.get(record.key, "reproduced" if mine else "reported")


def marks(folder: Path) -> dict[str, Standing]:
    """The marks beside a folder of records, by key.

    Raises:
        BadInput: they cannot be read.
    """
    place = folder.parent / MARKS
    try:
        content = json.loads(place.read_bytes()) if place.exists() else {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{place}: is no JSON ({error}); restore it") from error
    if not isinstance(content, dict) or not set(map(str, content.values())) <= set(get_args(Standing)):
        raise BadInput(f"{place}: must give keys the standings {', '.join(get_args(Standing))}; restore it")
    return content


def mark(folder: Path, standing: Mapping[str, Standing]) -> None:
    """Add marks beside a folder of records.

    Args:
        folder: of the records.
        standing: by key; replaces what these keys had.
    """
    content = {**marks(folder), **standing}
    replace(folder.parent / MARKS, (json.dumps(content, sort_keys=True, indent=1) + "\n").encode())


@lru_cache(8)
def _known(folder: Path, changed: int) -> Mapping[str, Standing]:
    return marks(folder)
