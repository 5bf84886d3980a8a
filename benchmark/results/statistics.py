"""How sure a comparison is: intervals of means over attacks, a test between defenses, and its correction.

The attack is the unit: seeds are averaged first, and no interval over seeds pretends to know how attack success varies.
What scipy has is taken from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from benchmark.results.intervals import LEVEL, Interval

RESAMPLES = 10_000  # the widened tails of few attacks still hold dozens of them
LEAST_ATTACKS = 6  # with fewer no two-sided signed-rank test reaches 5 %: 2 / 2^5 = 6.25 %
EXACT = 13  # differences up to which a test with ties goes through all signs: 2^13
NOISE = 12  # decimals of a difference of shares; what lies beyond is rounding

Array = np.ndarray[Any, np.dtype[np.float64]]
Values = Sequence[float] | Sequence[Sequence[float]]


def bootstrap(
    values: Mapping[str, Values],
    generator: np.random.Generator,
    combine: Callable[[Array], Array] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Interval of a mean over attacks: attacks are resampled, then the seeds within each, which are averaged inside.

    For a difference between two defenses a seed holds the values of both, so that they are paired by attack and by
    seed, and `combine` takes one from the other.

    Args:
        values: attack -> a value for each seed, (S,), or several, (S, K); S may differ between attacks.
        generator: the only source of chance; the same seed gives the same interval.
        combine: means over seeds, float (R, K), to one number each, (R,); by default the first of them.
        level: share of such intervals that are meant to hold the truth.
        resamples: R.

    Returns:
        Percentiles of the resampled means; None for fewer than two attacks. The percentiles are widened for few
        attacks, to Phi(-sqrt(n / (n - 1)) t): plain ones are too narrow by the same factors by which a normal
        interval with a variance over n is narrower than Student's (10 attacks: 0.9 and 99.1 instead of 2.5 and 97.5).

    Source: percentile interval, Efron and Tibshirani 1993, ch. 13; two stages, Davison and Hinkley 1997, section 3.8;
    widened ("expanded percentile"), Hesterberg 2015, doi:10.1080/00031305.2015.1089789.
    """
    count = len(values)
    if count < 2:
        return None
    take = combine or (lambda means: means[:, 0])
    chosen = generator.integers(count, size=(resamples, count))
    total = np.zeros(resamples)
    for at, seeds in enumerate(values.values()):
        table = np.asarray(seeds, dtype=np.float64).reshape(len(seeds), -1)  # (S, K)
        times = (chosen == at).sum(1)  # how often each resample holds the attack; each time with seeds of its own
        owner = np.repeat(np.arange(resamples), times)
        drawn = table[generator.integers(len(table), size=(len(owner), len(table)))].mean(1)
        total += np.bincount(owner, weights=take(drawn), minlength=resamples)
    tail = widened((1 - level) / 2, count)
    low, high = np.quantile(total / count, [tail, 1 - tail])
    return Interval(float(low), float(high))


def widened(tail: float, n: int) -> float:
    """The tail at which the percentiles of a bootstrap over n units are read, so that few units are not too few.

    Args:
        tail: share meant to lie beyond one end, e.g. 0.025.
        n: units, at least 2.

    Source: Hesterberg 2015, as above.
    """
    return float(stats.norm.cdf(sqrt(n / (n - 1)) * stats.t.ppf(tail, n - 1)))


def signed_rank(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of Wilcoxon's signed-rank test, the differences being one an attack.

    Args:
        differences: (A,), seeds averaged; differences of 0 are left out of the ranks, as by Wilcoxon.

    Returns:
        In (0, 1], exact up to 13 attacks, and beyond where there are no ties; None for fewer than 6 attacks; 1 where
        all differences are 0.

    Source: Wilcoxon 1945; over attacks as Demsar 2006 (JMLR 7) over data sets; scipy.stats.wilcoxon.
    """
    if len(differences) < LEAST_ATTACKS:
        return None
    rounded = np.round(np.asarray(differences, dtype=np.float64), NOISE)
    unequal = rounded[rounded != 0]
    if not len(unequal):
        return 1.0
    tied = len(np.unique(np.abs(unequal))) < len(unequal)
    every = stats.PermutationMethod(n_resamples=2**EXACT) if tied and len(unequal) <= EXACT else None
    return float(stats.wilcoxon(unequal, method=every or ("approx" if tied else "auto")).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: reject those that are at most alpha, and no more than alpha of families err.

    Args:
        p_values: of all comparisons with one reference.

    Returns:
        Adjusted, in the order given, at most 1.

    Source: Holm 1979; the adjusted form of Wright 1992 (scipy has none).
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted
