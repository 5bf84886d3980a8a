"""Every statistic against a published worked example, or against scipy where that can do the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmark.results.intervals import Interval, auroc_interval, wilson
from benchmark.results.statistics import LEAST_ATTACKS, bootstrap, holm, signed_rank, widened

# Darwin's crossed and self-fertilised maize, the differences that Fisher 1935 made famous; in scipy's documentation
# of `wilcoxon`: T = 24, p = 0.0413.
MAIZE = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_newcombes(hits: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, Table I, method 3."""
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_at_the_ends_and_out_of_range() -> None:
    assert wilson(20, 20) == pytest.approx((1 - 0.1611, 1), abs=5e-5) and wilson(5, 10, 0.99).low < wilson(5, 10).low
    for hits, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError):
            wilson(hits, n)


def test_an_area_s_interval_by_hand() -> None:
    """A = 3/4 of 2 against 3 rows: Q1 = 3/5, Q2 = 9/14, and the variance is (3/16 + 3/80 + 2 * 9/112) / 6 = 9/140."""
    half = 1.959964 * (9 / 140) ** 0.5
    assert auroc_interval(0.75, 2, 3) == pytest.approx((0.75 - half, 1), abs=1e-6)
    assert auroc_interval(0.5, 1, 1, 0.5) == pytest.approx((0.5 - 0.67449 / 2, 0.5 + 0.67449 / 2), abs=1e-5)


@pytest.mark.parametrize(("positives", "negatives"), [(5, 60), (60, 5), (20, 20)])
@pytest.mark.parametrize("auroc", [0.6, 0.8, 0.9])
def test_an_area_s_standard_error_is_that_of_exponential_suspicions(
    positives: int, negatives: int, auroc: float
) -> None:
    """Positives of mean A / (1 - A) exceed negatives of mean 1 with chance A; how their share varies is counted."""
    shape = (20_000, 1)
    high = chance().exponential(auroc / (1 - auroc), size=(*shape, positives))
    low = chance(1).exponential(1.0, size=(shape[0], negatives, 1))
    areas = (high > low).mean((1, 2))
    assert areas.mean() == pytest.approx(auroc, abs=0.005)
    level = 2 * stats.norm.cdf(0.01) - 1  # a hundredth of a standard error, so that no end is cut
    interval = auroc_interval(auroc, positives, negatives, level)
    assert (interval.high - interval.low) / 0.02 == pytest.approx(areas.std(), rel=0.03)


def test_an_area_at_the_ends_and_out_of_range() -> None:
    assert auroc_interval(1.0, 50, 50) == (1, 1) and auroc_interval(0.0, 50, 50) == (0, 0)
    assert auroc_interval(0.99, 5, 5).high == 1 and auroc_interval(0.01, 5, 5).low == 0
    for auroc, positives, negatives in ((1.1, 5, 5), (-0.1, 5, 5), (0.5, 0, 5), (0.5, 5, 0)):
        with pytest.raises(ValueError):
            auroc_interval(auroc, positives, negatives)


def test_signed_rank_on_darwins_maize() -> None:
    assert signed_rank(MAIZE) == pytest.approx(0.041259765625, abs=1e-12)


def test_signed_rank_on_demsars_data_sets() -> None:
    """Demsar 2006, JMLR 7, Table 2: C4.5 with and without tuning m on 14 data sets, R- 12 of 105 with the two zeros
    ranked; without them, as here and in Wilcoxon 1945, 6.5 of 78. All 2^12 signs are gone through.
    """
    differences = [0.005, -0.008, 0.017, 0.033, 0.006, -0.005, 0.007, 0.0, 0.063, 0.0, 0.022, 0.047, 0.009, 0.021]
    every = stats.rankdata(np.abs(differences))
    assert sum(rank for rank, d in zip(every, differences, strict=True) if d < 0) + 1.5 == 12
    ranks = stats.rankdata(np.abs([d for d in differences if d]))
    sums = np.array([(code >> np.arange(12)) & 1 for code in range(2**12)]) @ ranks
    assert signed_rank(differences) == pytest.approx(2 * (sums <= 6.5).mean(), abs=1e-12)


def test_signed_rank_needs_six_attacks() -> None:
    """Five of one sign have p = 1/16, six 1/32; equal ones count, but never into the ranks."""
    assert signed_rank([1.0] * (LEAST_ATTACKS - 1)) is None
    assert signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) == pytest.approx(1 / 32)
    assert signed_rank([0.1] * 6) == pytest.approx(1 / 32), "ties too are exact"
    assert signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.0]) == pytest.approx(1 / 16)
    assert signed_rank([0.0] * 8) == 1 and signed_rank([0.1 + 0.2 - 0.3] * 6) == 1, "rounding is no difference"


def test_signed_rank_of_many_with_ties_is_scipys_approximation() -> None:
    many = [1.0, 1.0, 2.0, 2.0, 3.0, 5.0, -1.0] * 3
    assert signed_rank(many) == pytest.approx(stats.wilcoxon(many, method="approx").pvalue)


def test_holm_on_demsars_example() -> None:
    """Demsar 2006, section 3.2.2: three classifiers against C4.5; only the smallest is rejected, then the second."""
    assert holm([0.607, 0.016, 0.019]) == pytest.approx([0.607, 0.048, 0.048])


def test_holm_rejects_what_stepping_down_rejects() -> None:
    for seed in range(50):
        values = list(chance(seed).uniform(0, 0.1, size=5))
        rejected = set()
        for step, at in enumerate(sorted(range(5), key=values.__getitem__)):
            if values[at] > 0.05 / (5 - step):
                break
            rejected.add(at)
        assert {at for at, p in enumerate(holm(values)) if p <= 0.05} == rejected
    assert holm([]) == [] and holm([0.03]) == [0.03] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_bootstrap_with_one_seed_is_scipys_percentile_interval_at_the_widened_level() -> None:
    sample = chance(5).normal(10, 15, size=12)
    ours = bootstrap({str(at): [value] for at, value in enumerate(sample)}, chance(), resamples=40_000)
    level = 1 - 2 * widened(0.025, 12)
    theirs = stats.bootstrap(
        (sample,), np.mean, confidence_level=level, n_resamples=40_000, method="percentile", rng=chance(1)
    )
    assert ours == pytest.approx(theirs.confidence_interval, abs=0.4)  # of a standard error of 4


@pytest.mark.parametrize("n", [6, 10, 20])
def test_widened_percentiles_are_students_for_a_normal_sample(n: int) -> None:
    """What the widening is for: Student's interval of normal quantiles, whose plain percentiles are too narrow."""
    sample = stats.norm.ppf((np.arange(n) + 0.5) / n)
    interval = bootstrap({str(at): [value] for at, value in enumerate(sample)}, chance(), resamples=40_000)
    low, high = stats.t.interval(0.95, n - 1, scale=stats.sem(sample))
    assert interval is not None and interval == pytest.approx((low, high), rel=0.12)
    assert widened(0.025, 10) == pytest.approx(0.00855, abs=5e-5) and widened(0.025, 10_000) == pytest.approx(
        0.025, abs=1e-4
    )


def test_bootstrap_has_the_variance_of_its_two_stages() -> None:
    """Davison and Hinkley 1997, section 3.8: between attacks over n, and within them over n S."""
    drawn = chance().normal(0, 8, size=(12, 1)) + chance(1).normal(0, 12, size=(12, 3))
    spread = np.sqrt(drawn.mean(1).var() / 12 + drawn.var(1).mean() / 3 / 12)
    level = 1 - 2 * stats.t.cdf(-1 / np.sqrt(12 / 11), 11)  # widened, these are the percentiles at one sigma
    interval = bootstrap({str(at): list(row) for at, row in enumerate(drawn)}, chance(), level=level, resamples=40_000)
    assert interval is not None and (interval.high - interval.low) / 2 == pytest.approx(spread, rel=0.03)


def test_bootstrap_pairs_what_a_seed_holds() -> None:
    """Both defenses vary a lot with the seed, and alike: the difference is 10 in each, so it is known exactly."""
    base = chance().normal(50, 20, size=(5, 3))
    paired = {str(at): [[value, value + 10] for value in row] for at, row in enumerate(base)}
    interval = bootstrap(paired, chance(), combine=lambda means: means[:, 1] - means[:, 0])
    assert interval == pytest.approx((10, 10))


def test_bootstrap_takes_unequal_seeds_and_is_reproducible() -> None:
    uneven = {name: list(chance(at).normal(size=1 + at % 4)) for at, name in enumerate("abcdefgh")}
    assert bootstrap(uneven, chance(3)) == bootstrap(uneven, chance(3)) != bootstrap(uneven, chance(4))
    assert bootstrap({"a": [1.0, 2.0]}, chance()) is None and bootstrap({}, chance()) is None
    assert bootstrap({"a": [2.0], "b": [2.0]}, chance()) == (2, 2)


def test_an_interval_holds_its_ends() -> None:
    assert Interval(0, 1).holds(0) and Interval(0, 1).holds(1) and not Interval(0, 1).holds(1.1)
