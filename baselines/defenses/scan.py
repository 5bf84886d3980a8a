"""SCAn: Tang, Wang, Tang and Zhang 2021 (USENIX Security, arXiv:1908.00686).

How rows vary within a class is much the same for all classes: learn it on trusted rows, then ask of each class whether
two centres explain it far better than one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from torch import Tensor

from baselines.defenses.row_filter import Judgement, RowFilter, by_class, penultimate, random_state
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Split
from benchmark.victim import Classifier

DIMENSIONS = 64  # at most, of the features
STARTS = 10  # of k-means
LEAST_ROWS = 2  # of a class that is split, and of trusted rows beside it
NEGLIGIBLE = 1e-9


class Scan(RowFilter):
    """Flags, in classes of an outlying likelihood ratio, the subgroup that lies farther from trusted rows.

    Args:
        threshold: of a class's index, how far its likelihood ratio exceeds the median of all classes in robust
            deviations; above 0. The paper's is e^2.

    Departs from it:
        - within-class covariance is that of trusted rows about their class means, shrunk (Ledoit and Wolf 2004), since
          there are hardly more of them than dimensions; the paper's EM estimates the spread of the means too;
        - whitened by it, two centres of one covariance are what 2-means finds;
        - the ratio is a mean over rows: its sum would grow with the class;
        - which subgroup is poisoned the paper leaves to the reader; here the one farther from the trusted mean, so that
          poisons may be the majority, of which at most half of the class is then removed.

    Raises:
        BadInput: an option out of range.
    """

    needs = frozenset({"clean", "train", "weights"})

    def __init__(self, threshold: float) -> None:
        if not threshold > 0:
            raise BadInput(f"defense.threshold={threshold}: must be above 0; set defense.threshold (e^2 is 7.389)")
        self.threshold = threshold

    def judge(self, victim: Classifier, clean: Split | None, train: Split, lab: Lab) -> Judgement:
        """Untangle each class, compare the gains; evidence `index`, one number a class."""
        assert clean is not None
        features, trusted = whitened(penultimate(victim, train), penultimate(victim, clean), clean)
        seed, trusted_rows = random_state(lab.generator("scan")), dict(by_class(clean))
        suspicion, flagged = torch.zeros(len(train)), torch.zeros(len(train), dtype=torch.bool)
        gains: dict[int, float] = {}
        for label, rows in by_class(train):
            known = trusted[trusted_rows.get(label, rows[:0])]
            if min(len(rows), len(known)) < LEAST_ROWS:
                continue
            found = untangled(features[rows], known.mean(0), seed)
            suspicion[rows], gains[label] = found.evidence.float(), found.gain
        index = torch.zeros(victim.classes)
        index[list(gains)] = outlying(torch.tensor(list(gains.values()), dtype=torch.float64)).float()
        for label, rows in by_class(train):
            flagged[rows] = (suspicion[rows] > 0) & bool(index[label] > self.threshold)
        return Judgement(suspicion, flagged, {"index": index})


def whitened(features: Tensor, trusted: Tensor, clean: Split) -> tuple[Tensor, Tensor]:
    """Both in units of the within-class covariance of trusted rows, float64 (N, k) and (M, k).

    Args:
        features: float64 (N, D) of training rows, which span the k dimensions: a trigger's direction is none that
            trusted rows show.
        trusted: float64 (M, D).
        clean: the trusted rows, for their classes.
    """
    reduction = PCA(min(DIMENSIONS, *features.shape), svd_solver="full").fit(features.numpy())
    inner, outer = (torch.from_numpy(reduction.transform(rows.numpy())) for rows in (features, trusted))
    deviations = [outer[rows] - outer[rows].mean(0) for _, rows in by_class(clean)]
    residuals, freedom = torch.cat(deviations), max(1, len(outer) - len(deviations))
    spread = LedoitWolf(assume_centered=True).fit(residuals.numpy()).covariance_ * len(residuals) / freedom
    variances, axes = torch.linalg.eigh(torch.from_numpy(spread))
    scale = axes / variances.clamp(min=max(NEGLIGIBLE, float(variances[-1]) * NEGLIGIBLE)).sqrt()
    return inner @ scale, outer @ scale


class Untangled(NamedTuple):
    """A class as two subgroups.

    Attributes:
        evidence: float64 (N,), twice each row's log likelihood ratio of the mistrusted subgroup against the other.
        gain: of two centres over one: twice the log likelihood ratio, mean over rows.
    """

    evidence: Tensor
    gain: float


def untangled(rows: Tensor, known: Tensor, seed: int) -> Untangled:
    """Two centres for whitened rows of one class.

    Args:
        rows: float64 (N, k), at least two.
        known: float64 (k,), the mean of the class's trusted rows.
        seed: of k-means.
    """
    means = KMeans(2, n_init=STARTS, random_state=seed).fit(rows.numpy())
    centres = torch.from_numpy(means.cluster_centers_)
    far = int((centres - known).square().sum(1).argmax())
    distances = (rows[:, None] - centres).square().sum(2)
    alone = (rows - rows.mean(0)).square().sum()
    return Untangled(distances[:, 1 - far] - distances[:, far], float(alone - distances.amin(1).sum()) / len(rows))


def outlying(values: Tensor) -> Tensor:
    """How far each value exceeds the median, in units of 1.4826 median absolute deviations; float64 (K,), finite."""
    numbers = values.numpy()
    centre = np.median(numbers) if len(numbers) else math.nan  # torch's median of an even number is the lower one
    deviation = max(NEGLIGIBLE, 1.4826 * float(np.median(np.abs(numbers - centre)))) if len(numbers) else 1.0
    return torch.from_numpy((numbers - centre) / deviation)
