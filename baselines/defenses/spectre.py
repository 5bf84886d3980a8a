"""SPECTRE: Hayase, Kong, Somani and Oh 2021 (ICML, arXiv:2104.11315).

Whiten a class by moments that a minority of poisons cannot move; then poisons are what still varies too much.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from sklearn.covariance import MinCovDet
from torch import Tensor

from baselines.defenses.row_filter import Judgement, RowFilter, by_class, penultimate, random_state
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Split
from benchmark.victim import Classifier

REMOVED_PER_POISON = 1.5  # the paper's
ALPHA = 4.0  # the paper's: how much louder directions of excess variance are heard
DIMENSIONS = (2, 4, 8, 16)  # of the subspace, tried in turn
ROWS_PER_DIMENSION = 5  # fewer leave the robust covariance at the mercy of chance
NEGLIGIBLE = 1e-6  # of the largest singular value


class Spectre(RowFilter):
    """Removes from one class, where whitened rows deviate most, the rows with the highest QUE scores.

    Args:
        assumed_rate: the largest share of poisoned training rows to expect, between 0 and 1; never the true rate.

    Departs from it:
        - the robust moments are the minimum covariance determinant (Rousseeuw and Van Driessen 1999, scikit-learn) of
          the rows that the assumed rate leaves, at least half of a class; the paper filters rows by fourth moments,
          a plain form of which ranked a patch at 5 % worse on digits;
        - four sizes of the subspace are tried, up to a fifth of the class's rows; the paper tries all up to 100;
        - at most half of the class is removed.

    Raises:
        BadInput: an option out of range.
    """

    def __init__(self, assumed_rate: float) -> None:
        if not 0 < assumed_rate < 1:
            raise BadInput(f"defense.assumed_rate={assumed_rate}: must lie between 0 and 1; set defense.assumed_rate")
        self.assumed_rate = assumed_rate

    def judge(self, victim: Classifier, clean: Split | None, train: Split, lab: Lab) -> Judgement:
        """Score each class, accuse one; evidence `mean_que`, one number a class."""
        features, seed = penultimate(victim, train), random_state(lab.generator("spectre"))
        suspicion, flagged = torch.zeros(len(train)), torch.zeros(len(train), dtype=torch.bool)
        means = torch.zeros(victim.classes)
        for label, rows in by_class(train):
            found = loudest(features[rows], round(self.assumed_rate * len(train)), seed)
            suspicion[rows] = found.scores.float()
            means[label] = found.mean
        if not bool(means.max() > 0):  # no class has enough rows
            return Judgement(suspicion, flagged, {"mean_que": means})
        accused = dict(by_class(train))[int(means.argmax())]
        ranked = suspicion[accused].argsort(descending=True, stable=True)
        flagged[accused[ranked[: round(REMOVED_PER_POISON * self.assumed_rate * len(train))]]] = True
        return Judgement(suspicion, flagged, {"mean_que": means})


class Scored(NamedTuple):
    """QUE scores float64 (N,) of a class, and their mean: near 1 without outliers."""

    scores: Tensor
    mean: float


def loudest(features: Tensor, poisons: int, seed: int) -> Scored:
    """Scores in the subspace whose mean score is highest; zeros where a class has too few rows or varies nowhere.

    Args:
        features: float64 (N, D) of one class.
        poisons: rows that the robust moments may leave out; at most half are.
        seed: of the robust covariance.
    """
    centred = features - features.mean(0)
    _, strengths, directions = torch.linalg.svd(centred, full_matrices=False)
    varying = int((strengths > max(float(strengths[0]) * NEGLIGIBLE, NEGLIGIBLE)).sum())
    largest = min(varying, len(features) // ROWS_PER_DIMENSION)
    best = Scored(torch.zeros(len(features), dtype=torch.float64), 0.0)
    for dimensions in sorted({min(dimensions, largest) for dimensions in DIMENSIONS} - {0}):
        whitened = robustly_whitened(centred @ directions[:dimensions].T, poisons, seed)
        scores = que_scores(whitened)
        best = max(best, Scored(scores, float(scores.mean())), key=lambda found: found.mean)
    return best


def robustly_whitened(rows: Tensor, poisons: int, seed: int) -> Tensor:
    """Rows in units of a robust covariance about a robust mean, float64 (N, k).

    Args:
        rows: float64 (N, k).
        poisons: rows to leave out, at most half.
        seed: of the search for the tightest subset.
    """
    kept = max(0.5, 1 - poisons / len(rows))
    moments = MinCovDet(support_fraction=kept, random_state=seed).fit(rows.numpy())
    variances, axes = torch.linalg.eigh(torch.from_numpy(moments.covariance_))
    floor = rows.square().mean() * NEGLIGIBLE**2  # a direction in which the tightest subset does not vary at all
    whitened: Tensor = (rows - torch.from_numpy(moments.location_)) @ axes / variances.clamp(min=float(floor)).sqrt()
    return whitened


def que_scores(whitened: Tensor) -> Tensor:
    """Scores tau = x' Q x / Tr(Q) with Q = exp(alpha (S - I) / (|S| - 1)), S the second moment of the whitened rows.

    Args:
        whitened: float64 (N, k).

    Returns:
        float64 (N,).
    """
    variances, axes = torch.linalg.eigh(whitened.T @ whitened / len(whitened))
    excess = variances - 1
    weights = (ALPHA * excess / excess[-1]).exp() if excess[-1] > 0 else torch.ones_like(excess)
    scores: Tensor = (whitened @ axes).square() @ weights / weights.sum()
    return scores
