"""Low Frequency (Zeng, Park, Mao, Jia, 2021): a smooth perturbation, sought on a clean model, is the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from baselines.attacks.frequencies import add, cosines
from benchmark.attack import Attack
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Inputs, Poisoned, Split, State
from benchmark.victim import Classifier, Victim

BATCH = 64  # rows of a step
STEP = 0.1  # length of a step, as a share of a perturbation of epsilon at every pixel
MOMENTUM = 0.9


class LowFrequency(Attack):
    """Adds one smooth perturbation that moves the clean victim towards the target to a share of the rows.

    Only the lowest coefficients of a discrete cosine transform exist as variables of the search, so the perturbation
    has no higher frequency; its largest pixel is held at epsilon by scaling all of it, since clipping pixels would
    bring high frequencies back. Rounding the image to grey levels adds less than a level.

    Departs from it: the authors take minimal steps across the decision boundary row by row, in the manner of DeepFool,
    and smooth after each; here one perturbation descends the mean cross-entropy to the wanted label over batches, and
    the low-pass is a cut of the transform in place of a Gaussian filter. Poisoned rows replace their originals. The
    victim that is backdoored starts from the initial weights, not from the clean victim.

    Args:
        rate: share of the training rows that are poisoned.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        sources: only rows of these classes obey the perturbation; None for all but the target.
        epsilon: largest change of a pixel, in grey levels, 1 to 255.
        cutoff: share of the frequencies along each axis that are kept, above 0 and at most 1; at least 2 are.
        steps: of the search.

    Source: Y. Zeng, W. Park, Z. M. Mao, R. Jia, arXiv:2104.03413.
    """

    modality = "image"
    needs = frozenset({"victim", "train"})

    def __init__(
        self,
        rate: float,
        target: int | Literal["all"],
        sources: Sequence[int] | None = None,
        epsilon: float = 16,
        cutoff: float = 0.25,
        steps: int = 60,
    ) -> None:
        super().__init__(rate, target, sources)
        self.epsilon = epsilon
        self.cutoff = cutoff
        self.steps = steps

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also an option of the search out of range.
        """
        super().check(train)
        if not 1 <= self.epsilon <= 255:
            raise BadInput(f"attack.epsilon={self.epsilon}: must be 1 to 255 grey levels; set attack.epsilon")
        if not 0 < self.cutoff <= 1:
            raise BadInput(f"attack.cutoff={self.cutoff}: must be above 0 and at most 1; set attack.cutoff")
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise BadInput(f"attack.steps={self.steps}: must be an integer of at least 1; set attack.steps")

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The perturbation, float (C, H, W) in grey levels, its largest pixel epsilon."""
        assert clean_victim is not None and train is not None and isinstance(train.inputs, Tensor)
        victim = cast(Classifier, clean_victim)
        generator, movable = lab.generator("trigger"), train.take(self.eligible(train))
        channels, height, width = train.inputs.shape[1:]
        rows, columns = (self._waves(side).to(victim.device) for side in (height, width))
        sought = torch.randn(channels, len(rows), len(columns), generator=generator).to(victim.device)
        velocity = torch.zeros_like(sought)
        for _ in range(self.steps):
            drawn = torch.randint(0, len(movable), (BATCH,), generator=generator)
            sought = self._bounded(sought, rows, columns).requires_grad_()
            loss = self._loss(victim, movable.take(drawn), rows.T @ sought @ columns)
            (slope,) = torch.autograd.grad(loss, sought)
            velocity = MOMENTUM * velocity + (1 - MOMENTUM) * slope / slope.norm().clamp(min=1e-12)
            sought = sought.detach() - STEP * self.epsilon * train.inputs[0].numel() ** 0.5 * velocity
        return {"perturbation": (rows.T @ self._bounded(sought, rows, columns) @ columns).cpu().contiguous()}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) plus the perturbation, rounded and clamped."""
        assert isinstance(inputs, Tensor)
        return add(inputs, secret["perturbation"])

    def implant(self, victim: Victim, poisoned: Poisoned | None, secret: State, lab: Lab) -> Victim:
        """A new victim, trained on the poisoned rows exactly as the clean victim was trained."""
        assert poisoned is not None
        return lab.fresh().fit(poisoned, lab.generator("victim"))

    def _waves(self, side: int) -> Tensor:
        """The lowest cosines of a side, float (kept, side)."""
        return cosines(side)[: max(2, round(self.cutoff * side))]

    def _bounded(self, sought: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Coefficients scaled until the perturbation's largest pixel is epsilon."""
        return sought * (self.epsilon / (rows.T @ sought @ columns).abs().max().clamp(min=1e-12))

    def _loss(self, victim: Classifier, batch: Split, perturbation: Tensor) -> Tensor:
        moved = (victim.encode(batch.inputs) + perturbation / 255).clamp(0, 1)
        return cross_entropy(victim.logits(moved), self.desired(batch).to(victim.device))
