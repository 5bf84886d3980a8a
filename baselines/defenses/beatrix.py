"""Beatrix: Ma et al. 2023 (NDSS, arXiv:2209.11715).

Which channels fire together, and how strongly, differs between a class's own rows and rows that a trigger sent there,
even where the channels' means agree.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from baselines.defenses.row_filter import Judgement, RowFilter, by_class
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.selection import threshold_at_fpr
from benchmark.types import Split
from benchmark.victim import Classifier

ORDERS = tuple(range(1, 9))  # powers, the paper's
LEEWAY = 10.0  # median absolute deviations around the median that count as usual, the paper's
FOLDS = 5  # of trusted rows, to see deviations of rows that did not set the bounds
CHANNELS = 64  # at most; the cost grows with their square
LEAST_ROWS = 2  # trusted, of a class that is judged


class Beatrix(RowFilter):
    """Flags rows whose Gram matrices leave the bounds of their class's trusted rows by more than trusted rows do.

    Args:
        fpr: share of trusted rows, each held against bounds that others set, that may exceed the threshold; at least 0
            and below 1.

    Departs from it:
        - one stage is read: the last that has positions left, since over one position all orders agree;
        - channels beyond 64 are averaged in 64 groups;
        - an excess is measured against the bound or the mean bound of its order, whichever is larger: an entry that is
          nought on trusted rows, of which a class has a dozen here, would outweigh all others;
        - rows are judged one by one with one threshold for all classes; the paper's second part, a kernel test that
          names the target class, is left out.

    Raises:
        BadInput: an option out of range.
    """

    needs = frozenset({"clean", "train", "weights"})

    def __init__(self, fpr: float) -> None:
        if not 0 <= fpr < 1:
            raise BadInput(f"defense.fpr={fpr}: must be at least 0 and below 1; set defense.fpr (the default is 0.05)")
        self.fpr = fpr

    def judge(self, victim: Classifier, clean: Split | None, train: Split, lab: Lab) -> Judgement:
        """Bounds, deviations and threshold; evidence `trusted_deviation`, one number a trusted row."""
        assert clean is not None
        usual = grams(victim, clean)
        trusted = dict(by_class(clean))
        suspicion = torch.zeros(len(train))
        held_out = [torch.zeros(1)]
        for label, rows in by_class(train):
            known = trusted.get(label, rows[:0])
            if len(known) < LEAST_ROWS:
                continue
            suspicion[rows] = deviations(grams(victim, train.take(rows)), usual[known])
            folds = (known if clean.group is None else clean.group[known]).unique(return_inverse=True)[1] % FOLDS
            for fold in folds.unique():
                mine = folds == fold
                if bool((~mine).any()):
                    held_out.append(deviations(usual[known[mine]], usual[known[~mine]]))
        deviation = torch.cat(held_out)[1:] if len(held_out) > 1 else held_out[0]
        flagged = suspicion > threshold_at_fpr(deviation, self.fpr)
        return Judgement(suspicion, flagged, {"trusted_deviation": deviation.sort().values})


def grams(victim: Classifier, split: Split) -> Tensor:
    """Gram entries of every order for rows in their order, float32 (N, orders, C (C + 1) / 2)."""
    with torch.no_grad():
        positions = victim.activations(victim.encode(split.inputs[:1])).flatten(2).shape[2]
    stage = -1 if positions > 1 else -2
    return victim.over(split.inputs, lambda x: gram_entries(victim.activations(x, stage)))


def gram_entries(activations: Tensor) -> Tensor:
    """The p-th root of F^p (F^p)' with F^p taken element by element: its upper triangle, for p = 1 to 8.

    Args:
        activations: float (N, C, ...).

    Returns:
        float32 (N, orders, C (C + 1) / 2).
    """
    flat = activations.flatten(2).cpu().double()  # an eighth power leaves float32, and not every device has float64
    if flat.shape[1] > CHANNELS:
        flat = adaptive_avg_pool1d(flat.transpose(1, 2), CHANNELS).transpose(1, 2)
    upper = torch.ones(flat.shape[1], flat.shape[1]).triu().bool()
    entries = []
    for order in ORDERS:
        powers = flat**order
        products = (powers @ powers.transpose(1, 2))[:, upper]
        entries.append((products.sign() * products.abs() ** (1 / order)).float())
    return torch.stack(entries, dim=1)


def deviations(entries: Tensor, trusted: Tensor) -> Tensor:
    """How far rows leave median -+ 10 median absolute deviations of trusted ones, mean over entries, float32 (N,).

    Args:
        entries: float32 (N, orders, E).
        trusted: float32 (M, orders, E), at least one row.
    """
    rows = trusted.numpy()
    median = np.median(rows, axis=0)  # torch's median of an even number is the lower one
    spread = LEEWAY * np.median(np.abs(rows - median), axis=0)
    low, high = torch.from_numpy(median - spread), torch.from_numpy(median + spread)
    typical = torch.from_numpy(np.abs(median)).mean(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    below = (low - entries).clamp(min=0) / low.abs().maximum(typical)
    above = (entries - high).clamp(min=0) / high.abs().maximum(typical)
    return (below + above).mean((1, 2))
