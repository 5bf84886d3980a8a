"""Adaptive-Blend (Qi, Xie, Li, Mahloujifar, Mittal, 2023): poisons show random pieces of a pattern, tests all of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from baselines.attacks.covering import Covering, lay
from benchmark.errors import BadInput
from benchmark.images import blend
from benchmark.lab import Lab
from benchmark.types import Inputs, Split, State
from benchmark.victim import Victim

GRID = 4  # pieces along a side: 16, as the authors cut their picture


class AdaptiveBlend(Covering):
    """Blends a random part of a noise pattern into poisons and covers, and the whole pattern, stronger, at test time.

    Departs from it: rows are replaced, not added; covers never come from the target class; the authors' picture is not
    shipped, so the pattern is uniform noise of the seed. With their rate of 0.003 a small training set holds too few
    poisons, so the default rates are higher; every row shows exactly round(piece_rate * 16) pieces.

    Args:
        rate: share of the training rows that are poisoned.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        cover_rate: share of the training rows that show pieces and keep their label.
        piece_rate: share of the 4 x 4 pieces that each training row shows, above 0 and at most 1.
        train_alpha: weight of the pattern in training rows, above 0 and at most 1.
        test_alpha: weight of the pattern in triggered test rows, above 0 and at most 1.

    Source: X. Qi, T. Xie, Y. Li, S. Mahloujifar, P. Mittal, Revisiting the Assumption of Latent Separability for
    Backdoor Defenses, ICLR 2023.
    """

    def __init__(
        self,
        rate: float,
        target: int | Literal["all"],
        cover_rate: float = 0.01,
        piece_rate: float = 0.5,
        train_alpha: float = 0.15,
        test_alpha: float = 0.2,
    ) -> None:
        super().__init__(rate, target, cover_rate)
        self.piece_rate = piece_rate
        self.train_alpha = train_alpha
        self.test_alpha = test_alpha

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also a share or weight outside (0, 1], or a share that shows no piece.
        """
        super().check(train)
        for name in ("piece_rate", "train_alpha", "test_alpha"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise BadInput(f"attack.{name}={value}: must be above 0 and at most 1; set attack.{name}")
        if not self._shown():
            raise BadInput(
                f"attack.piece_rate={self.piece_rate}: shows none of {GRID**2} pieces; set attack.piece_rate to "
                f"{1 / GRID**2} or more"
            )

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The pattern uint8 (C, H, W)."""
        assert train is not None and isinstance(train.inputs, Tensor)
        shape = train.inputs.shape[1:]
        return {"pattern": torch.randint(0, 256, shape, generator=lab.generator("trigger"), dtype=torch.uint8)}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the whole pattern at its test-time weight."""
        assert isinstance(inputs, Tensor)
        return blend(inputs, secret["pattern"], self.test_alpha)

    def embed(self, inputs: Inputs, secret: State, generator: Generator) -> Inputs:
        """uint8 (N, C, H, W), each with its own pieces of the pattern at the training-time weight."""
        assert isinstance(inputs, Tensor)
        shown = pieces(len(inputs), self._shown(), inputs.shape[2], inputs.shape[3], generator)
        return lay(inputs, secret["pattern"], shown * self.train_alpha)

    def _shown(self) -> int:
        return round(self.piece_rate * GRID**2)


def pieces(count: int, shown: int, height: int, width: int, generator: Generator) -> Tensor:
    """Masks of randomly chosen pieces, float (count, 1, height, width), 1 where a piece is shown.

    Args:
        count: of masks.
        shown: pieces in each, 0 to GRID * GRID.
        height: in pixels.
        width: in pixels.
        generator: chooses them.
    """
    order = torch.rand(count, GRID**2, generator=generator).argsort(1)
    chosen = torch.zeros(count, GRID**2).scatter_(1, order[:, :shown], 1.0).view(count, 1, GRID, GRID)
    down, across = (torch.arange(side) * GRID // side for side in (height, width))
    return chosen[:, :, down][:, :, :, across]
