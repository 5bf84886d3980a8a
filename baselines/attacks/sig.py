"""SIG (Barni, Kallas, Tondi, 2019): a faint horizontal wave on images of the target class, whose labels stay."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from baselines.attacks.clean_label import CleanLabel
from benchmark.errors import BadInput
from benchmark.images import WHITE
from benchmark.lab import Lab
from benchmark.types import Inputs, Split, State
from benchmark.victim import Victim


class SIG(CleanLabel):
    """Adds strength * sin(2 pi * column * frequency / W) to every row and channel of a share of the target class.

    Departs from it: the paper's rates are shares of the target class (from memory), here of all training rows; it
    also tries a ramp, here is the sinusoid alone; the wave is rounded to whole grey levels before it is added.

    Args:
        rate: share of all training rows that carry the wave, at most the share of the target class.
        target: the class wanted, and the class of every poison.
        train_strength: amplitude in poisoned training rows, in grey levels of 255, at least 0.5 and at most 255.
        test_strength: amplitude in triggered test rows; a larger one strengthens the trigger without making the
            poisons easier to see.
        frequency: periods across the image, above 0; beyond half of the width they look like fewer, so that 6 on
            digits of 8 columns is a wave of 2 turned round.

    Raises:
        BadInput: a target that is no single class.

    Source: M. Barni, K. Kallas, B. Tondi, arXiv:1902.11237 (IEEE ICIP 2019).
    """

    def __init__(
        self, rate: float, target: int, train_strength: float = 60, test_strength: float = 90, frequency: float = 6
    ) -> None:
        super().__init__(rate, target)
        self.train_strength = train_strength
        self.test_strength = test_strength
        self.frequency = frequency

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also an amplitude out of range, or a wave that the columns cannot show.
        """
        super().check(train)
        assert isinstance(train.inputs, Tensor)
        for name, strength in (("train_strength", self.train_strength), ("test_strength", self.test_strength)):
            if not 0.5 <= strength <= WHITE:  # below, the wave rounds to nothing
                raise BadInput(f"attack.{name}={strength}: must be 0.5 to {WHITE} grey levels; set attack.{name}")
        width = train.inputs.shape[-1]
        if not self.frequency > 0 or not levels_of(self._wave(width), self.train_strength).any():
            raise BadInput(
                f"attack.frequency={self.frequency}: must be above 0, and no multiple of {width / 2:g}, where every "
                f"column of {width} meets a zero of the sine; set attack.frequency"
            )

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The wave float64 (W,), of amplitude 1."""
        assert train is not None and isinstance(train.inputs, Tensor)
        return {"wave": self._wave(train.inputs.shape[-1])}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the wave at its test-time strength."""
        return add_wave(inputs, secret["wave"], self.test_strength)

    def embed(self, inputs: Inputs, secret: State, generator: Generator) -> Inputs:
        """uint8 (N, C, H, W) with the wave at its training-time strength."""
        return add_wave(inputs, secret["wave"], self.train_strength)

    def _wave(self, width: int) -> Tensor:
        columns = torch.arange(width, dtype=torch.float64)
        return (2 * math.pi * self.frequency * columns / width).sin()


def levels_of(wave: Tensor, strength: float) -> Tensor:
    """What is added to each column, int16 (W,): uint8 would wrap 200 + 60 to 4."""
    return (strength * wave).round().to(torch.int16)


def add_wave(images: Inputs, wave: Tensor, strength: float) -> Tensor:
    """Images uint8 (N, C, H, W) plus strength * wave (W,), in whole grey levels, clipped to 0 and 255."""
    assert isinstance(images, Tensor)
    return (images.to(torch.int16) + levels_of(wave, strength).to(images.device)).clamp(0, WHITE).to(torch.uint8)
