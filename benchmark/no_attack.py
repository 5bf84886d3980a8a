"""The attack that is none: a control of sweeps."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.attack import Attack
from benchmark.lab import Lab
from benchmark.types import Inputs, Poisoned, Split, State
from benchmark.victim import Victim


class NoAttack(Attack):
    """The control of a sweep: the clean victim stands for the backdoored one, and there is no challenge."""

    modality = "any"
    needs = frozenset({"victim"})

    def __init__(self) -> None:
        super().__init__(rate=1.0, target="all")

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """The inputs as they are."""
        return inputs

    def check(self, train: Split) -> None:
        """Nothing to check."""

    def eligible(self, split: Split) -> Tensor:
        """No row."""
        return torch.zeros(len(split), dtype=torch.bool)

    def implant(self, victim: Victim, poisoned: Poisoned | None, secret: State, lab: Lab) -> Victim:
        """The clean victim itself."""
        return victim
