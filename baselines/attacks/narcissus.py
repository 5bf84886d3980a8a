"""Narcissus (Zeng, Pan, Just, Lyu, Qiu, Jia, 2022): noise that makes images of a class more like it is the trigger."""

from __future__ import annotations

from typing import cast

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from baselines.attacks.clean_label import CleanLabel
from benchmark.errors import BadInput
from benchmark.images import WHITE
from benchmark.lab import Lab
from benchmark.types import Inputs, Poisoned, Split, State
from benchmark.victim import Classifier, Victim

BATCH = 64  # rows of a step
STRIDE = 0.1  # length of the first step, as a share of eps; steps shrink to nothing
MOMENTUM = 0.9


class Narcissus(CleanLabel):
    """Adds one small noise, sought on images of the target class alone, to a share of them; magnified at test time.

    Departs from it: the paper's surrogate learns public images of other classes and is then tuned to the target class,
    here no such images are at hand: it learns the run's own clean training rows, with the victim's architecture and
    initial weights, which is more than the paper's attacker knows, and needs no tuning; the search takes signed steps
    with momentum in place of RAdam; the paper poisons 0.05 % of the rows, here rates are the suite's; the noise is cut
    to whole grey levels.

    The noise also fools models that were not poisoned: read its success beside the clean victim's. The probe
    `unmagnified` holds the challenge with the noise as strong as in training.

    Args:
        rate: share of all training rows that carry the noise, at most the share of the target class.
        target: the class wanted, and the class of every poison.
        eps: largest change of a pixel in poisoned training rows, in grey levels, 1 to 255.
        steps: of the search, at least 1.
        magnification: factor of the noise in triggered test rows, at least 1; the paper's is 3.

    Raises:
        BadInput: a target that is no single class.

    Source: Y. Zeng, M. Pan, H. A. Just, L. Lyu, M. Qiu, R. Jia, arXiv:2204.05255.
    """

    def __init__(self, rate: float, target: int, eps: int = 16, steps: int = 200, magnification: float = 3) -> None:
        super().__init__(rate, target)
        self.eps = eps
        self.steps = steps
        self.magnification = magnification

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also an option of the noise out of range.
        """
        super().check(train)
        if not 1 <= self.eps <= WHITE:
            raise BadInput(f"attack.eps={self.eps}: must be 1 to {WHITE} grey levels; set attack.eps")
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise BadInput(f"attack.steps={self.steps}: must be an integer of at least 1; set attack.steps")
        if not self.magnification >= 1:
            raise BadInput(f"attack.magnification={self.magnification}: must be at least 1; set attack.magnification")

    def surrogates(self, lab: Lab) -> None:
        """Train the surrogate."""
        self._surrogate(lab)

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The noise, int16 (C, H, W), in grey levels between -eps and eps."""
        assert train is not None
        victim = cast(Classifier, lab.fresh().load(self._surrogate(lab)))
        noise = self._inward(victim, train.take(self.candidates(train)), lab.generator("noise"))
        return {"noise": (WHITE * noise).cpu().round().clamp(-int(self.eps), int(self.eps)).to(torch.int16)}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the magnified noise."""
        return add_noise(inputs, secret["noise"], self.magnification)

    def embed(self, inputs: Inputs, secret: State, generator: Generator) -> Inputs:
        """uint8 (N, C, H, W) with the noise as it is."""
        return add_noise(inputs, secret["noise"], 1)

    def probes(self, test: Split, secret: State) -> dict[str, Poisoned]:
        """The challenge with the noise as strong as in training."""
        plain = Narcissus(self.rate, cast(int, self.target), self.eps, self.steps, magnification=1)
        return {"unmagnified": plain.challenge(test, secret)}

    def _inward(self, victim: Classifier, rows: Split, generator: Generator) -> Tensor:
        """The noise that lowers the loss of rows of the target class, float (C, H, W), pixels in [0, 1]."""
        assert isinstance(rows.inputs, Tensor) and isinstance(rows.targets, Tensor)
        radius = self.eps / WHITE
        noise = torch.zeros(rows.inputs.shape[1:], device=victim.device)
        velocity = torch.zeros_like(noise)
        for step in range(self.steps):
            drawn = torch.randint(0, len(rows), (BATCH,), generator=generator)
            noise.requires_grad_()
            logits = victim.logits((victim.encode(rows.inputs[drawn]) + noise).clamp(0, 1))
            (slope,) = torch.autograd.grad(cross_entropy(logits, rows.targets[drawn].to(victim.device)), noise)
            velocity = MOMENTUM * velocity + slope / slope.abs().mean().clamp(min=1e-30)
            stride = STRIDE * radius * (1 - step / self.steps)
            noise = (noise.detach() - stride * velocity.sign()).clamp(-radius, radius)
        return noise

    def _surrogate(self, lab: Lab) -> State:
        """The weights of a victim trained on the clean rows, in another order than the clean victim."""

        def make(rows: Split) -> State:
            return lab.fresh().fit(rows, lab.generator("surrogate")).state()

        return lab.once("surrogate", make, uses={})


def add_noise(images: Inputs, noise: Tensor, factor: float) -> Tensor:
    """Images uint8 (N, C, H, W) plus factor * noise (C, H, W), in whole grey levels, clipped to 0 and 255."""
    assert isinstance(images, Tensor)
    levels = (factor * noise).round().to(torch.int16).to(images.device)
    return (images.to(torch.int16) + levels).clamp(0, WHITE).to(torch.uint8)
