"""Numbers as text: shares, and how many there are of something."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share in percent with one decimal place."""
    return f"{rounded(100 * share, 1)} %"


def rounded(value: float, decimals: int) -> str:
    """A number without the minus of a zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def counted(number: int, noun: str) -> str:
    """A number and what it counts, one or several."""
    return f"{number} {noun}{'s' * (number != 1)}"
