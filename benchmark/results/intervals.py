"""How sure one number is: intervals of shares and of areas under ROC curves, each written out in plain arithmetic.

Apart from `benchmark.results.statistics`, since importing scipy takes longer than making a small leaderboard's pages.
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95


class Interval(NamedTuple):
    """From where to where, in the unit of what it surrounds."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in it, its ends included."""
        return self.low <= value <= self.high


def wilson(hits: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a share.

    Args:
        hits: of n rows, 0 to n.
        n: rows, at least 1.
        level: share of such intervals that hold the truth.

    Returns:
        Within [0, 1].

    Raises:
        ValueError: counts out of range.

    Source: Wilson 1927, without continuity correction; the tests hold it against scipy.stats.binomtest.
    """
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"{hits} hits of {n} rows: must be 0 to n, of at least 1")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = hits / n, z * z / n  # written out: scipy's takes 0.3 ms a call, and a page asks 100,000 times
    centre = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / n + spread / n / 4) / (1 + spread)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def auroc_interval(auroc: float, positives: int, negatives: int, level: float = LEVEL) -> Interval:
    """Hanley and McNeil's interval of an area under a ROC curve.

    Args:
        auroc: in [0, 1].
        positives: rows that should rank higher, at least 1.
        negatives: the others, at least 1.
        level: share of such intervals that are meant to hold the truth.

    Returns:
        Within [0, 1]; at an area of 0 or 1 a single point, as the standard error is 0 there.

    Raises:
        ValueError: no share, or one side is empty.

    Source: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747, whose standard error needs no more than the
    area: that of suspicions which are distributed exponentially on both sides.
    """
    if not 0 <= auroc <= 1 or positives < 1 or negatives < 1:
        raise ValueError(
            f"an area of {auroc}, {positives} against {negatives} rows: must be 0 to 1, of at least 1 each"
        )
    square = auroc * auroc
    two_positives, two_negatives = auroc / (2 - auroc), 2 * square / (1 + auroc)  # chance that both rank rightly
    spread = (
        auroc * (1 - auroc) + (positives - 1) * (two_positives - square) + (negatives - 1) * (two_negatives - square)
    )
    half = NormalDist().inv_cdf((1 + level) / 2) * sqrt(max(0.0, spread) / positives / negatives)  # rounding, below 0
    return Interval(max(0.0, auroc - half), min(1.0, auroc + half))
