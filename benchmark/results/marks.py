"""How far the records of a leaderboard are to be trusted.

Records are never edited, so the marks of those that came from elsewhere lie beside their folder, in `standing.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from benchmark.errors import BadInput
from benchmark.store import replace

COMMITTED = Path(__file__).parents[2] / "leaderboard" / "records"
MARKS = "standing.json"  # key -> standing

Standing = Literal["reproduced", "reported"]


def marks(folder: Path) -> dict[str, Standing]:
    """The marks beside a folder of records, or beside a Parquet file of them, by key; who has none was made here.

    Raises:
        BadInput: they cannot be read.
    """
    place = folder.resolve().parent / MARKS
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
    replace(folder.resolve().parent / MARKS, (json.dumps(content, sort_keys=True, indent=1) + "\n").encode())
