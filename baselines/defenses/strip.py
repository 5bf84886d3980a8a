"""STRIP: Gao, Xu, Wang, Chen, Ranasinghe and Nepal 2019 (ACSAC, arXiv:1902.06531).

A strong trigger decides the output whatever is laid over the input: refuse inputs whose blends are predicted surely.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor

from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.rejecting import RejectingVictim
from benchmark.seeds import generator_for
from benchmark.selection import fit_validation, sample_rows, threshold_at_fpr
from benchmark.types import Defended, Inputs, Split, pick
from benchmark.victim import Classifier, Victim
from benchmark.victims.image_classifier import ImageClassifier

BLENDED_BYTES = 2**24  # of uint8 blends held at once; their float form takes four times as much


class Weights(NamedTuple):
    """What a blend is: input * w1 + overlay * w2, cut off at white."""

    input: float
    overlay: float


class Strip(Defense):
    """Blends each input with clean overlays; the lower the mean entropy of the predictions, the more suspicious.

    Args:
        overlays: clean rows laid over each input.
        input_weight, overlay_weight: of the two images in a blend, above 0.
        fpr: share of clean inputs that may be refused, at least 0 and below 1.

    Departs from it:
        - weights are the authors' own, 1 and 1: the trigger keeps its strength, which trojanzoo's 0.5 and 0.5 halves.
          Sums are rounded and cut off at white, so that the victim reads ordinary images; theirs leave the range;
        - every input meets the same overlays, drawn once, so that a decision depends on the input alone; the authors
          draw new ones for each input;
        - the threshold is a quantile of held-out trusted rows that are no overlays; the paper takes the 1 % percentile
          of a normal distribution fitted to such entropies. fpr 0.05 is trojanzoo's: 1 % would take 100 rows;
        - 64 overlays, as in trojanzoo; the paper has 100.

    Raises:
        BadInput: an option out of range.
    """

    family = "input detector"
    needs = frozenset({"clean", "scores"})
    reads = ImageClassifier

    def __init__(self, overlays: int, input_weight: float, overlay_weight: float, fpr: float) -> None:
        if not isinstance(overlays, int) or overlays < 1:
            raise BadInput(f"defense.overlays={overlays}: must be an integer of at least 1; set it (say, 64)")
        for name, weight in (("input_weight", input_weight), ("overlay_weight", overlay_weight)):
            if weight <= 0:
                raise BadInput(f"defense.{name}={weight}: must be above 0; set defense.{name} (the default is 1)")
        if not 0 <= fpr < 1:
            raise BadInput(f"defense.fpr={fpr}: must be at least 0 and below 1; set defense.fpr (the default is 0.05)")
        self.overlays = overlays
        self.weights = Weights(input_weight, overlay_weight)
        self.fpr = fpr

    def check(self, clean: Split) -> None:
        """Overlays come from the fit part of the trusted rows; raises BadInput where it is smaller."""
        available = len(fit_validation(clean, generator_for(0, "check")).fit)
        if self.overlays > available:
            raise BadInput(f"defense.overlays={self.overlays}: there are {available} clean rows to draw from; lower it")

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Draw overlays from the fit rows and choose the threshold on the validation rows.

        Args:
            victim: answers with class probabilities.
            clean: trusted rows.
            train: withheld.
            lab: gives the draws.

        Returns:
            State `overlays` uint8 (M, C, H, W) and `threshold` float64 (); evidence `clean_entropy` float (V,), bits,
            of the validation rows, ascending.
        """
        assert clean is not None
        fit, validation = fit_validation(clean, lab.generator("split"))
        rows = sample_rows(torch.ones(len(fit), dtype=torch.bool), self.overlays, lab.generator("overlays"))
        overlays = pick(fit.inputs, rows)
        assert isinstance(overlays, Tensor)
        entropy = mean_entropy(victim, validation.inputs, overlays, self.weights)
        threshold = torch.tensor(threshold_at_fpr(-entropy, self.fpr), dtype=torch.float64)
        return Defended(
            state={"overlays": overlays, "threshold": threshold}, evidence={"clean_entropy": entropy.sort().values}
        )

    def deploy(self, victim: Victim, clean: Split | None, defended: Defended) -> Victim:
        """The victim behind the detector, from the stored overlays and threshold."""
        overlays, threshold = defended.state["overlays"], float(defended.state["threshold"])
        return RejectingVictim(victim, lambda inputs: -mean_entropy(victim, inputs, overlays, self.weights), threshold)


def mean_entropy(victim: Victim, inputs: Inputs, overlays: Tensor, weights: Weights) -> Tensor:
    """Mean entropy of the predictions of an input blended with each overlay.

    Args:
        victim: has `scores`: a classifier, or a black box that answers with them.
        inputs: uint8 (N, C, H, W).
        overlays: uint8 (M, C, H, W).
        weights: of the two images.

    Returns:
        float (N,), in bits, from 0 to log2 K.
    """
    assert isinstance(inputs, Tensor)
    scores = cast(Classifier, victim).scores  # a black box has it too, but is no Classifier
    under = weights.overlay * overlays.to(victim.device).float()
    entropies = []
    rows = max(1, BLENDED_BYTES // overlays.numel())
    for at in range(0, len(inputs), rows):
        chunk = inputs[at : at + rows].to(victim.device)
        blends = torch.add(under, chunk[:, None].float(), alpha=weights.input)  # (n, M, C, H, W)
        ready = blends.round_().clamp_(max=255).to(torch.uint8).flatten(0, 1)
        bits = torch.special.entr(scores(ready)).sum(1) / math.log(2)
        entropies.append(bits.view(len(chunk), len(overlays)).mean(1))
    return torch.cat(entropies) if entropies else torch.empty(0)
