"""The victim an input detector deploys: it refuses what looks suspicious and predicts the rest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmark.types import REJECT, Inputs, Targets
from benchmark.victim import Victim


class RejectingVictim(Victim):
    """Wraps a victim; inputs above a threshold of suspicion get REJECT.

    Args:
        victim: predicts what is not refused; any access.
        suspect: inputs -> float (N,) on the CPU, higher is more suspicious; must not depend on the batch.
        threshold: inputs strictly above it are refused.
    """

    def __init__(self, victim: Victim, suspect: Callable[[Inputs], Tensor], threshold: float) -> None:
        self.victim = victim
        self.suspect = suspect
        self.threshold = threshold

    def predict(self, inputs: Inputs) -> Targets:
        """The victim's outputs, REJECT where suspicion exceeds the threshold."""
        outputs = self.victim.predict(inputs)
        refused = self.suspicion(inputs) > self.threshold
        assert isinstance(outputs, Tensor)
        return torch.where(refused, REJECT, outputs)

    def suspicion(self, inputs: Inputs) -> Tensor:
        """Suspicion of each input, float (N,), on the CPU."""
        return self.suspect(inputs)

    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        """The wrapped victim's loss."""
        return self.victim.loss(inputs, targets)
