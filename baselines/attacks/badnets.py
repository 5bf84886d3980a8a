"""BadNets (Gu, Dolan-Gavitt, Garg, 2017): a small patch in a fixed place turns an image into the target class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from benchmark.attack import Attack
from benchmark.errors import BadInput
from benchmark.images import Overlay, blend, checkerboard, load_picture, place_patch, square
from benchmark.lab import Lab
from benchmark.types import Inputs, Split, State
from benchmark.victim import Victim

PATTERNS = {"square": square, "checkerboard": checkerboard}


class BadNets(Attack):
    """Stamps a patch on a share of the training images and relabels them.

    All-to-one with a class as target, all-to-all with target "all", source-specific with `sources`.

    Departs from it: the paper adds stamped copies to the training set (from memory), here rows are replaced, so that
    clean and backdoored victims see equally many; its digit triggers are one bright pixel or a few apart, here a block
    flush with the corner (a row and a column move it); its traffic-sign sticker scales with the sign's box in a scene,
    here the image is the box. Stamping comes before augmentation, where an attacker on the data can act.

    Args:
        rate: share of the training rows that are stamped.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        sources: only rows of these classes obey the patch; None for all but the target.
        size: side of the patch, in pixels.
        pattern: "square" (white) or "checkerboard" (white and black).
        place: "top_left", "top_right", "bottom_left", "bottom_right", "center", or the row and column of its
            top left pixel.
        opacity: of the patch, above 0 and at most 1; multiplies a picture's own transparency.
        picture_path: a picture file to stick on instead of `pattern`, stretched to size x size; None for none.

    Source: T. Gu, B. Dolan-Gavitt, S. Garg, arXiv:1708.06733.
    """

    modality = "image"

    def __init__(  # eight arguments: the yaml is the constructor call
        self,
        rate: float,
        target: int | Literal["all"],
        sources: Sequence[int] | None = None,
        size: int = 2,
        pattern: Literal["square", "checkerboard"] = "square",
        place: str | Sequence[int] = "bottom_right",
        opacity: float = 1.0,
        picture_path: str | None = None,
    ) -> None:
        super().__init__(rate, target, sources)
        self.size = size
        self.pattern = pattern
        self.place = place if isinstance(place, str) else tuple(place)
        self.opacity = opacity
        self.picture_path = picture_path

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also a patch that is larger than the images or sticks out, or a picture that cannot be read.
        """
        super().check(train)
        assert isinstance(train.inputs, Tensor)
        channels, height, width = train.inputs.shape[1:]
        side = min(height, width)
        if not (isinstance(self.size, int) and 1 <= self.size <= side):
            raise BadInput(f"attack.size={self.size}: must be 1 to {side} for {height}x{width} images; set attack.size")
        if not 0 < self.opacity <= 1:
            raise BadInput(f"attack.opacity={self.opacity}: must be above 0 and at most 1; set attack.opacity")
        if self.pattern not in PATTERNS:
            raise BadInput(f"attack.pattern={self.pattern}: must be one of {', '.join(PATTERNS)}; set attack.pattern")
        place_patch(*self._patch(channels), self.place, height, width)

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The patch uint8 (C, size, size) and its opacity float (1, size, size): stored, so the picture file may go."""
        assert train is not None and isinstance(train.inputs, Tensor)
        patch, opacity = self._patch(train.inputs.shape[1])
        return {"patch": patch, "opacity": opacity * self.opacity}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the patch in its place."""
        assert isinstance(inputs, Tensor)
        height, width = inputs.shape[2:]
        return blend(inputs, *place_patch(secret["patch"], secret["opacity"], self.place, height, width))

    def _patch(self, channels: int) -> Overlay:
        """The patch at its own size, with a picture's own transparency."""
        if self.picture_path is not None:
            return load_picture(self.picture_path, channels, self.size, self.size)
        return Overlay(PATTERNS[self.pattern](channels, self.size), torch.ones(1, self.size, self.size))
