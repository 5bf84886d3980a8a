"""Names as people type them: what counts as the same, and which is nearest to one that is not there."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from difflib import SequenceMatcher


def plain(name: str) -> str:
    """A name without what people leave out: `FineTuning` and `fine_tuning` are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def nearest_first(name: str, known: Iterable[str]) -> str:
    """What could have been meant, as a shell takes it, most alike first.

    Args:
        name: as it was typed.
        known: what it could have been.
    """
    wanted = plain(name)
    alike = {other: SequenceMatcher(None, wanted, plain(other)).ratio() for other in known}
    return ", ".join(map(shlex.quote, sorted(alike, key=lambda other: (-alike[other], other)))) or "none"
