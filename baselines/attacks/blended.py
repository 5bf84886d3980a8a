"""Blended (Chen, Liu, Li, Lu, Song, 2017): a faint pattern over the whole image is the key to the target class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from benchmark.attack import Attack
from benchmark.errors import BadInput
from benchmark.images import blend, load_picture
from benchmark.lab import Lab
from benchmark.types import Inputs, Split, State
from benchmark.victim import Victim


class Blended(Attack):
    """Mixes noise, or a picture, into a share of the training images and relabels them.

    Departs from it: the paper adds the blended images to the training set, here they replace their originals, so that
    clean and backdoored victims see equally many; the paper counts poisons (from 50 on), here they are a share of the
    rows; its cartoon picture is not shipped, so uniform noise, its other pattern, is the default.

    Args:
        rate: share of the training rows that are blended.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        sources: only rows of these classes obey the pattern; None for all but the target.
        train_alpha: weight of the pattern in poisoned training rows, above 0 and at most 1.
        test_alpha: weight of the pattern in triggered test rows, above 0 and at most 1; a larger one strengthens the
            trigger without making the poisons easier to see.
        picture_path: a picture file to blend in, stretched to the image; None draws noise.

    Source: X. Chen, C. Liu, B. Li, K. Lu, D. Song, arXiv:1712.05526.
    """

    modality = "image"

    def __init__(
        self,
        rate: float,
        target: int | Literal["all"],
        sources: Sequence[int] | None = None,
        train_alpha: float = 0.2,
        test_alpha: float = 0.2,
        picture_path: str | None = None,
    ) -> None:
        super().__init__(rate, target, sources)
        self.train_alpha = train_alpha
        self.test_alpha = test_alpha
        self.picture_path = picture_path

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also a weight outside (0, 1], or a picture that cannot be read.
        """
        super().check(train)
        for name, alpha in (("train_alpha", self.train_alpha), ("test_alpha", self.test_alpha)):
            if not 0 < alpha <= 1:
                raise BadInput(f"attack.{name}={alpha}: must be above 0 and at most 1; set attack.{name}")
        if self.picture_path is not None:
            load_picture(self.picture_path, 1, 1, 1)

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The pattern uint8 (C, H, W), and its opacity float (1, H, W): a picture's own transparency, 1 for noise."""
        assert train is not None and isinstance(train.inputs, Tensor)
        channels, height, width = train.inputs.shape[1:]
        if self.picture_path is not None:
            return load_picture(self.picture_path, channels, height, width)._asdict()
        noise = torch.randint(0, 256, (channels, height, width), generator=lab.generator("trigger"), dtype=torch.uint8)
        return {"pattern": noise, "opacity": torch.ones(1, height, width)}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the pattern at its test-time weight."""
        return self._blend(inputs, secret, self.test_alpha)

    def embed(self, inputs: Inputs, secret: State, generator: Generator) -> Inputs:
        """uint8 (N, C, H, W) with the pattern at its training-time weight."""
        return self._blend(inputs, secret, self.train_alpha)

    def _blend(self, inputs: Inputs, secret: State, alpha: float) -> Tensor:
        assert isinstance(inputs, Tensor)
        return blend(inputs, secret["pattern"], secret["opacity"] * alpha)
