"""What is asked of records from elsewhere, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.record import Record
from benchmark.results.marks import Standing


@dataclass(frozen=True)
class Rules:
    """How an admission goes.

    Attributes:
        allowed: packages whose methods count besides ours.
        preliminary: whether cells of fewer than three seeds may enter.
        verify: how many cells are run again, of those that can be.
        draw: seed of which; not to be known by the submitter beforehand.
        overlap: compare by intervals in the same environment too.
    """

    allowed: Sequence[str] = ()
    preliminary: bool = False
    verify: int = 0
    draw: int = 0
    overlap: bool = False


@dataclass
class Outcome:
    """What became of the files that somebody sent.

    Attributes:
        admitted: new records, by their files.
        there: records that had been admitted before, by their files.
        standing: of what was admitted or run again, by key.
        refused: file -> why, in one line.
        unable: what a cell is called, and why it cannot be run again here, where that was asked for.
        apart: key -> what came out otherwise, where another processor may explain it; these keep the mark they have.
        drawn: how many cells were drawn to be run again.
    """

    admitted: dict[Path, Record] = field(default_factory=dict)
    there: dict[Path, Record] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    unable: list[tuple[str, str]] = field(default_factory=list)
    apart: dict[str, str] = field(default_factory=dict)
    drawn: int = 0
