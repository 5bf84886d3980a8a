"""Small changes of images that make a classifier err, and training that withstands them (Madry et al., 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from benchmark.errors import BadInput
from benchmark.images import WHITE
from benchmark.types import Split
from benchmark.victim import Classifier, Victim

STRIDE = 2.5  # steps * stride = 2.5 eps, so that a search can cross the ball and come back
ROWS = 128  # searched at a time
SLACK = 1e-3  # grey levels; a change of 7.9999999 is one of 8


@dataclass(frozen=True)
class Perturbation:
    """How far an image may be moved, and how hard that is tried: projected gradient ascent on the cross-entropy.

    Attributes:
        norm: "l_inf" bounds the change of each pixel, "l_2" the Euclidean length of the change of all.
        eps: the bound, in grey levels of 255.
        steps: of the search, from a random start.

    Raises:
        BadInput: an option out of range.

    Source: A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu, arXiv:1706.06083.
    """

    norm: Literal["l_inf", "l_2"]
    eps: float
    steps: int

    def __post_init__(self) -> None:
        if self.norm not in ("l_inf", "l_2"):
            raise BadInput(f"norm={self.norm}: must be l_inf or l_2; set norm of the attack's perturbation")
        if self.eps < 1:
            raise BadInput(f"eps={self.eps}: must be at least 1 grey level; set eps of the attack's perturbation")
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise BadInput(f"steps={self.steps}: must be an integer of at least 1; set steps of the perturbation")

    def away(self, victim: Classifier, pixels: Tensor, targets: Tensor, generator: Generator) -> Tensor:
        """Pixels moved to where the victim's loss on their labels is large.

        Args:
            victim: in evaluation mode, so that a row's change does not depend on the rows beside it.
            pixels: encoded, float (N, C, H, W) in [0, 1].
            targets: int64 (N,), on the same device.
            generator: draws the start.

        Returns:
            float (N, C, H, W) in [0, 1], within the ball around `pixels`.
        """
        radius = self.eps / WHITE
        noise = torch.rand(pixels.shape, generator=generator).to(pixels.device) * 2 - 1
        change = self._bounded(radius * noise, radius)
        for _ in range(self.steps):
            moved = (pixels + change).clamp(0, 1).requires_grad_()
            loss = cross_entropy(victim.logits(moved), targets, reduction="sum")
            (slope,) = torch.autograd.grad(loss, moved)
            ahead = slope.sign() if self.norm == "l_inf" else slope / _length(slope)
            change = self._bounded(moved.detach() - pixels + STRIDE * radius / self.steps * ahead, radius)
        return (pixels + change).clamp(0, 1)

    def robust_loss(self, victim: Victim, batch: Split, generator: Generator) -> Tensor:
        """An objective of `Victim.fit`: the mean loss on a batch moved away from its labels by the victim of now."""
        classifier = cast(Classifier, victim)
        assert isinstance(batch.targets, Tensor)
        targets = batch.targets.to(victim.device)
        victim.module.eval()  # the search must not move the averages of batch norm
        moved = self.away(classifier, classifier.encode(batch.inputs), targets, generator)
        victim.module.train()
        return cross_entropy(classifier.logits(moved), targets)

    def hardened(self, victim: Classifier, rows: Split, generator: Generator) -> Tensor:
        """The images of rows, moved away from their labels within the ball in whole grey levels.

        Rounding goes towards the image, so that the bound holds for uint8 images too.

        Args:
            victim: in evaluation mode.
            rows: uint8 (N, C, H, W) and their labels.
            generator: draws the starts.

        Returns:
            uint8 (N, C, H, W), a new tensor on the CPU.
        """
        assert isinstance(rows.inputs, Tensor) and isinstance(rows.targets, Tensor)
        parts = [torch.empty_like(rows.inputs[:0])]
        for images, targets in zip(rows.inputs.split(ROWS), rows.targets.split(ROWS), strict=True):
            moved = self.away(victim, victim.encode(images), targets.to(victim.device), generator)
            change = WHITE * moved.cpu() - images
            levels = (change + SLACK * change.sign()).trunc().to(torch.int16)
            parts.append((images.to(torch.int16) + levels).clamp(0, WHITE).to(torch.uint8))
        return torch.cat(parts)

    def _bounded(self, change: Tensor, radius: float) -> Tensor:
        """The nearest change within the ball."""
        if self.norm == "l_inf":
            return change.clamp(-radius, radius)
        return change * (radius / _length(change)).clamp(max=1)


def _length(change: Tensor) -> Tensor:
    """Euclidean length of each row's change, (N, 1, 1, 1), above 0."""
    length: Tensor = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True)
    return length.clamp(min=1e-12)
