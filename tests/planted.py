"""A classifier small enough to plant a backdoor in by hand, and the lab that goes with it."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.types import Inputs, Split
from benchmark.victim import Classifier

CPU = torch.device("cpu")
RECIPE = Recipe(name="planted", epochs=2, batch_size=16, learning_rate=0.1)


class PlantedModule(nn.Module):
    """One stage that passes its channels on under a mask, and a linear head."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.head.weight = nn.Parameter(weight.clone())
        self.register_buffer("keep", torch.ones(weight.shape[1]))


class PlantedVictim(Classifier):
    """Its features are the pixels of an image (C, 1, 1); its logits are `weight` (K, C) times them."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(PlantedModule(weight), RECIPE, CPU)
        self.classes = len(weight)

    def encode(self, inputs: Inputs) -> Tensor:
        assert isinstance(inputs, Tensor)
        return inputs.float() / 255

    def activations(self, x: Tensor, stage: int = -1) -> Tensor:
        return x * self.module.get_buffer("keep")[:, None, None]

    def head_logits(self, activations: Tensor) -> Tensor:
        return self.module.head(activations.flatten(2).mean(2))

    def channels(self, stage: int = -1) -> int:
        return len(self.module.get_buffer("keep"))

    def mask(self, keep: Tensor, stage: int = -1) -> None:
        self.module.get_buffer("keep").copy_(keep)

    def resize(self, classes: int, generator: Generator) -> None:
        raise NotImplementedError

    def batch_rows(self) -> int:
        return 128


def lab(victim: Classifier, clean: Split, seed: int = 0) -> Lab:
    """A lab whose fresh victims are copies of one, and that caches nothing."""
    return Lab(seed, RECIPE, CPU, victim.copy, clean, lambda name, uses, make: make())
