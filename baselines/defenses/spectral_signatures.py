"""Spectral Signatures: Tran, Li and Madry 2018 (NeurIPS, arXiv:1811.00636).

Poisoned rows of a class stand out along the direction in which its features vary most: remove them and train again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.defenses.row_filter import Judgement, RowFilter, by_class, penultimate
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Split
from benchmark.victim import Classifier

REMOVED_PER_POISON = 1.5  # the paper removes half as many rows again as it expects poisons


class SpectralSignatures(RowFilter):
    """Scores every training row by its squared projection on its class's top singular vector, removes the top, refits.

    The paper's epsilon is an upper bound on the number of poisons, all of which may sit in one class; which class, the
    defender does not know. Hence 1.5 epsilon rows go from *each* class, not from the set as a whole. Here epsilon is
    stated as a share of the training rows, the unit of an attack's `rate`, and a class never loses more than half of
    its rows: beyond that the poisons are its majority, the direction is theirs, and the method has no ground to stand
    on. With K equal classes the cap binds from assumed_rate = 1 / (3 K) on: 3.3 % for ten classes, so that the
    default halves every class. The paper's own experiments (250 and 500 poisons in 50,000 rows) are rates of 0.5 and
    1 %; at 5 % the price is half of the data, and the half that varies most.

    Args:
        assumed_rate: the largest share of poisoned training rows to expect, between 0 and 1; never the true rate.

    Departs from it:
        - at most half of a class is removed (the paper's experiments stay far below);
        - features are centred for the scores too, as in the paper; the authors' code scores uncentred ones;
        - all classes are filtered, as in the paper; the authors' code filters the known target class at a percentile;
        - suspicion is the score itself, in the units of the features, which all classes share. Dividing each class by
          its own median absolute deviation would hide the attacker's class, whose poisons inflate it (they are a third
          of it on digits at a rate of 5 %, and the AUROC over all rows falls).

    Raises:
        BadInput: an option out of range.
    """

    def __init__(self, assumed_rate: float) -> None:
        if not 0 < assumed_rate < 1:
            raise BadInput(f"defense.assumed_rate={assumed_rate}: must lie between 0 and 1; set defense.assumed_rate")
        self.assumed_rate = assumed_rate

    def judge(self, victim: Classifier, clean: Split | None, train: Split, lab: Lab) -> Judgement:
        """Score every class; flag the highest of each, as many as the budget allows."""
        features = penultimate(victim, train)
        suspicion, flagged = torch.zeros(len(train)), torch.zeros(len(train), dtype=torch.bool)
        for _, rows in by_class(train):
            suspicion[rows] = spectral_scores(features[rows]).float()
            ranked = suspicion[rows].argsort(descending=True, stable=True)
            flagged[rows[ranked[: round(REMOVED_PER_POISON * self.assumed_rate * len(train))]]] = True
        return Judgement(suspicion, flagged)


def spectral_scores(features: Tensor) -> Tensor:
    """Squared projection of each row on the direction of largest variance.

    Args:
        features: float64 (N, D) of one class.

    Returns:
        float64 (N,).
    """
    centred = features - features.mean(0)
    # The top right singular vector is the last eigenvector of the D x D scatter: cheaper than decomposing N rows.
    direction: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
    return (centred @ direction).square()
