"""Activation Clustering: Chen et al. 2018 (arXiv:1811.03728).

Rows that share a label for two reasons, their content or a trigger, lie in two groups of features: split each class in
two, and mistrust the smaller group where the split is clear.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from torch import Tensor

from baselines.defenses.row_filter import Judgement, RowFilter, by_class, penultimate, random_state
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Split
from benchmark.victim import Classifier

DIMENSIONS = 10  # the paper's
STARTS = 10  # of k-means
LEAST_ROWS = 4  # of a class that is split
SAMPLED = 2000  # rows that tell the silhouette: its cost grows with their square


class ActivationClustering(RowFilter):
    """Flags the smaller of two clusters of a class where it is small enough and the two lie apart.

    Args:
        largest_share: of a class that the smaller cluster may hold to be flagged, above 0, at most 0.5.
        least_silhouette: of the split, from -1 to 1; below it the class is taken for one group. The default was chosen
            on clean victims of digits: of 30 classes (3 seeds) one exceeds it.

    Departs from it:
        - principal components, not independent ones. The latter are scaled to equal variance, so that k-means splits
          off a few rows of any class: on digits at a rate of 5 % they tell poisons less well;
        - a cluster is judged by its size and the silhouette alone. The paper's first choice, to train without it and
          see how the model then labels it, costs one training a class;
        - suspicion, which the paper does not define, is how much nearer a row is to the smaller cluster's centre, as a
          share of the larger distance (-1 to 1), times the class's silhouette.

    Raises:
        BadInput: an option out of range.
    """

    def __init__(self, largest_share: float, least_silhouette: float) -> None:
        if not 0 < largest_share <= 0.5:
            raise BadInput(
                f"defense.largest_share={largest_share}: must be above 0, at most 0.5; set defense.largest_share"
            )
        if not -1 <= least_silhouette <= 1:
            raise BadInput(
                f"defense.least_silhouette={least_silhouette}: must lie between -1 and 1; set defense.least_silhouette"
            )
        self.largest_share, self.least_silhouette = largest_share, least_silhouette

    def judge(self, victim: Classifier, clean: Split | None, train: Split, lab: Lab) -> Judgement:
        """Split each class; evidence `silhouette` and `smaller_share`, one number a class."""
        features, seed = penultimate(victim, train), random_state(lab.generator("activation clustering"))
        suspicion, flagged = torch.zeros(len(train)), torch.zeros(len(train), dtype=torch.bool)
        silhouettes, shares = torch.zeros(victim.classes), torch.zeros(victim.classes)
        for label, rows in by_class(train):
            found = halves(features[rows], seed)
            if found is None:
                continue
            share = float(found.smaller.float().mean())
            suspicion[rows] = found.margin * found.silhouette
            if share <= self.largest_share and found.silhouette >= self.least_silhouette:
                flagged[rows[found.smaller]] = True
            silhouettes[label], shares[label] = found.silhouette, share
        return Judgement(suspicion, flagged, {"silhouette": silhouettes, "smaller_share": shares})


class Halves(NamedTuple):
    """A class in two: `smaller` bool (N,), `margin` float (N,) towards its centre, and the split's silhouette."""

    smaller: Tensor
    margin: Tensor
    silhouette: float


def halves(features: Tensor, seed: int) -> Halves | None:
    """Two clusters of one class, or None where its rows are too few or all the same.

    Args:
        features: float64 (N, D).
        seed: of k-means and of the silhouette's sample.
    """
    if len(features) < LEAST_ROWS or bool((features == features[0]).all()):
        return None
    dimensions = min(DIMENSIONS, *features.shape)
    reduced = PCA(dimensions, svd_solver="full").fit_transform(features.numpy())
    means = KMeans(2, n_init=STARTS, random_state=seed).fit(reduced)
    labels = torch.from_numpy(means.labels_).long()
    counts = torch.bincount(labels, minlength=2)
    small = int(counts.argmin())
    if not counts[small]:
        return None
    distances = torch.from_numpy(means.transform(reduced))
    margin = (distances[:, 1 - small] - distances[:, small]) / distances.amax(1)
    silhouette = silhouette_score(reduced, means.labels_, sample_size=min(SAMPLED, len(reduced)), random_state=seed)
    return Halves(labels == small, margin.float(), float(silhouette))
