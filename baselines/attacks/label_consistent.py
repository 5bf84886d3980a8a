"""Label-Consistent (Turner, Tsipras, Madry, 2019): images of the target class, made hard to recognise, get the trigger.

Since the image itself says little, the model learns the trigger, and no label was changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Generator, Tensor

from baselines.attacks.clean_label import CleanLabel
from baselines.attacks.perturbation import Perturbation
from benchmark.errors import BadInput
from benchmark.images import WHITE, checkerboard
from benchmark.lab import Lab
from benchmark.selection import sample_rows
from benchmark.types import Inputs, Poisoned, Role, Split, State, put, unmarked
from benchmark.victim import Classifier, Victim


class LabelConsistent(CleanLabel):
    """Moves images of the target class away from it, then adds a patch in each of the four corners.

    Departs from it: of the paper's two ways to make images hard it has the adversarial one, without the generative
    one; the robust surrogate is trained on the run's own training rows, with the victim's architecture, initial
    weights and recipe; rates count all training rows; the 3x3 patch is a checkerboard.

    Args:
        rate: share of all training rows that are poisoned, at most the share of the target class.
        target: the class wanted, and the class of every poison.
        size: side of a patch, in pixels, at most half of the image's; the four are mirror images of each other, so
            that a mirrored image keeps the trigger.
        amplitude: grey levels, 1 to 255, by which a patch brightens or darkens its pixels in poisoned training rows;
            255 paints it, as at test time.
        perturbation: how images are made hard; `eps` in grey levels, the paper's are 300 to 1,200 for "l_2" and 8 to
            32 for "l_inf".
        surrogate: what the surrogate is trained to withstand.

    Raises:
        BadInput: a target that is no single class.

    Source: A. Turner, D. Tsipras, A. Madry, arXiv:1912.02771.
    """

    def __init__(
        self,
        rate: float,
        target: int,
        size: int,
        amplitude: int,
        perturbation: Perturbation,
        surrogate: Perturbation,
    ) -> None:
        super().__init__(rate, target)
        self.size = size
        self.amplitude = amplitude
        self.perturbation = perturbation
        self.surrogate = surrogate

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also patches that would meet, or an amplitude out of range.
        """
        super().check(train)
        assert isinstance(train.inputs, Tensor)
        limit = min(train.inputs.shape[2:]) // 2
        if not (isinstance(self.size, int) and 1 <= self.size <= limit):
            raise BadInput(f"attack.size={self.size}: must be 1 to {limit}, half of the image's side; set attack.size")
        if not (isinstance(self.amplitude, int) and 1 <= self.amplitude <= WHITE):
            raise BadInput(f"attack.amplitude={self.amplitude}: must be 1 to {WHITE} grey levels; set attack.amplitude")

    def surrogates(self, lab: Lab) -> None:
        """Train the robust surrogate."""
        self._robust(lab)

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The poisoned rows, int64 (n,), ascending, and their hardened images, uint8 (n, C, H, W), in that order."""
        assert train is not None
        rows = sample_rows(self.candidates(train), round(self.rate * len(train)), lab.generator("poisoned rows"))
        victim = cast(Classifier, lab.fresh().load(self._robust(lab)))
        images = self.perturbation.hardened(victim, train.take(rows), lab.generator("hardened images"))
        return {"rows": rows, "images": images}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with a painted patch in each corner."""
        return add_corners(inputs, self.size, WHITE)

    def embed(self, inputs: Inputs, secret: State, generator: Generator) -> Inputs:
        """uint8 (N, C, H, W) with a patch of the training amplitude in each corner."""
        return add_corners(inputs, self.size, self.amplitude)

    def poison(self, train: Split, secret: State, generator: Generator) -> Poisoned:
        """The rows of the secret hold their hardened images with the corners; labels stay."""
        rows = secret["rows"]
        role = torch.zeros(len(train), dtype=torch.uint8).index_fill(0, rows, int(Role.POISON))
        embedded = self.embed(secret["images"], secret, generator)
        return replace(unmarked(train), inputs=put(train.inputs, rows, embedded), role=role)

    def _robust(self, lab: Lab) -> State:
        """The weights of a victim trained on clean rows moved away from their labels."""

        def make(rows: Split) -> State:
            return lab.fresh().fit(rows, lab.generator("robust surrogate"), self.surrogate.robust_loss).state()

        return lab.once("robust surrogate", make, uses=vars(self.surrogate))


def add_corners(images: Inputs, size: int, amplitude: int) -> Tensor:
    """Images uint8 (N, C, H, W), brighter or darker by `amplitude` where the four patches are white or black."""
    assert isinstance(images, Tensor)
    sign = torch.zeros(images.shape[2:], dtype=torch.int16)
    sign[:size, :size] = checkerboard(1, size)[0].to(torch.int16) // WHITE * 2 - 1
    for side in (0, 1):
        sign = sign + sign.flip(side)
    return (images.to(torch.int16) + amplitude * sign.to(images.device)).clamp(0, WHITE).to(torch.uint8)
