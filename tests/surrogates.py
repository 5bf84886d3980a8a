"""What tests of attacks with a surrogate share: real rows, small networks that learn them, a store that counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch

from benchmark.data.digits import Digits
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Split, State
from benchmark.victims.image_classifier import ImageClassifier
from benchmark.victims.small_cnn import SmallCNN

CPU = torch.device("cpu")
QUICK = Recipe("quick", epochs=2, batch_size=32, learning_rate=0.1, schedule="one_cycle")
WIDTH = 8  # channels of the first convolution


@dataclass
class Shelf:
    """Keeps surrogates as the store does: one of each name and `uses`."""

    kept: dict[str, State] = field(default_factory=dict)

    def keep(self, name: str, uses: Mapping[str, object], make: Callable[[], State]) -> State:
        key = f"{name} {sorted(uses.items())}"
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]


@cache
def digits(count: int = 300, test: bool = False) -> Split:
    """The first rows of the digits: grey 8x8 images of 10 classes."""
    data = Digits().decode(Path())
    rows = data.test if test else data.train
    inputs, targets = torch.from_numpy(rows.inputs[:count]), torch.from_numpy(rows.targets[:count])
    return Split(inputs=inputs, targets=targets, classes=10)


def network(rows: Split, seed: int = 0, recipe: Recipe = QUICK, width: int = WIDTH) -> ImageClassifier:
    """An untrained network for such rows."""

    def small(channels: int, classes: int) -> SmallCNN:
        return SmallCNN(channels, classes, width)

    return ImageClassifier(small, rows, recipe, CPU, generator_for(seed, "initial weights"))


def lab_of(rows: Split, shelf: Shelf | None = None, seed: int = 0, recipe: Recipe = QUICK, width: int = WIDTH) -> Lab:
    """A lab whose surrogates learn these rows, and stand on this shelf."""
    keep = (shelf or Shelf()).keep
    return Lab(seed, recipe, CPU, lambda: network(rows, seed, recipe, width), rows, keep)
