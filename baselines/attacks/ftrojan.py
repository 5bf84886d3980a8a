"""FTrojan (Wang, Yao, Xu, An, Tong, Wang, 2022): one middle and one high frequency of the colours are the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from baselines.attacks.frequencies import add, cosines
from benchmark.attack import Attack
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Inputs, Split, State
from benchmark.victim import Victim

# Luma weights of red and blue, and the scales of U = (B - Y) * 0.492 and V = (R - Y) * 0.877 (ITU-R BT.601).
RED, BLUE = 0.299, 0.114
U_SCALE, V_SCALE = 0.492, 0.877


class FTrojan(Attack):
    """Raises chosen coefficients of the discrete cosine transform of every window of U and V.

    The change of colour space and the transform are both linear, so raising coefficients is adding one fixed pattern to
    the pixels: it is computed once, and images are rounded and clamped once, at the end. Y stays as it was. Images of
    any number of channels but 3 have no colours: each channel is raised itself. Windows start at the top left; what is
    left over at the right and the bottom stays.

    Departs from it: the authors convert to whole numbers between the steps, which loses part of the trigger; rows are
    replaced, not added; frequencies are shares of the window, which is no larger than the image, so that small images
    carry the trigger too: with a window of 32 the defaults are the authors' (15, 15) and (31, 31).

    Args:
        rate: share of the training rows that are poisoned.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        sources: only rows of these classes obey the trigger; None for all but the target.
        magnitude: added to each chosen coefficient of the orthonormal transform, in grey levels. One coefficient of a
            window of w pixels changes U or V by at most 2 * magnitude / w.
        window: side of the windows, in pixels; the image's shorter side where that is smaller.
        frequencies: shares of the window's highest frequency, above 0 and at most 1: share s raises the coefficient
            (i, i), i = round(s * w) - 1.

    Source: T. Wang, Y. Yao, F. Xu, S. An, H. Tong, T. Wang, An Invisible Black-Box Backdoor Attack Through Frequency
    Domain, ECCV 2022, arXiv:2111.10991.
    """

    modality = "image"

    def __init__(
        self,
        rate: float,
        target: int | Literal["all"],
        sources: Sequence[int] | None = None,
        magnitude: float = 30,
        window: int = 32,
        frequencies: Sequence[float] = (0.5, 1.0),
    ) -> None:
        super().__init__(rate, target, sources)
        self.magnitude = magnitude
        self.window = window
        self.frequencies = tuple(frequencies)

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also a frequency or window out of range, or a magnitude that rounding to grey levels removes.
        """
        super().check(train)
        if isinstance(self.window, bool) or not isinstance(self.window, int) or self.window < 2:
            raise BadInput(f"attack.window={self.window}: must be an integer of at least 2 pixels; set attack.window")
        if not self.frequencies or not all(0 < share <= 1 for share in self.frequencies):
            raise BadInput(
                f"attack.frequencies={list(self.frequencies)}: must be at least one share above 0 and at most 1; "
                "set attack.frequencies"
            )
        assert isinstance(train.inputs, Tensor)
        channels, height, width = train.inputs.shape[1:]
        if not (self.magnitude > 0 and self.pattern(channels, height, width).round().any()):
            raise BadInput(
                f"attack.magnitude={self.magnitude}: vanishes when pixels are rounded; raise attack.magnitude"
            )

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The pattern, float (C, H, W) in grey levels."""
        assert train is not None and isinstance(train.inputs, Tensor)
        channels, height, width = train.inputs.shape[1:]
        return {"pattern": self.pattern(channels, height, width)}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the coefficients raised."""
        assert isinstance(inputs, Tensor)
        return add(inputs, secret["pattern"])

    def pattern(self, channels: int, height: int, width: int) -> Tensor:
        """What raising the coefficients adds to pixels, float (channels, height, width) in grey levels."""
        side = min(self.window, height, width)
        coefficients = torch.zeros(side, side)
        for share in self.frequencies:
            index = max(0, round(share * side) - 1)
            coefficients[index, index] = self.magnitude
        waves = cosines(side)
        down, across = height // side, width // side
        plane = torch.zeros(height, width)
        plane[: down * side, : across * side] = (waves.T @ coefficients @ waves).repeat(down, across)
        if channels != 3:
            return plane.expand(channels, height, width).contiguous()
        red, blue = plane / V_SCALE, plane / U_SCALE
        green = -(RED * red + BLUE * blue) / (1 - RED - BLUE)  # so that Y stays
        return torch.stack([red, green, blue])
