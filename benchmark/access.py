"""A victim of which a method sees only what it declared."""

from __future__ import annotations

from collections.abc import Set
from typing import NoReturn, Self

from torch import Tensor

from benchmark.types import Inputs, Targets
from benchmark.victim import Classifier, Victim


class UndeclaredAccessError(PermissionError):
    """A method reached for access that its `needs` does not declare."""


class BlackBox(Victim):
    """A victim that answers with labels, and with class probabilities where `scores` was declared.

    Args:
        victim: the one that answers.
        needs: what the method declared.
    """

    def __init__(self, victim: Victim, needs: Set[str]) -> None:
        self._victim = victim
        self._needs = needs
        self.device = victim.device

    def predict(self, inputs: Inputs) -> Targets:
        """The victim's outputs; needs "labels" or "scores"."""
        if not self._needs & {"labels", "scores"}:
            self._refuse("predict", "labels")
        return self._victim.predict(inputs)

    def scores(self, inputs: Inputs) -> Tensor:
        """The victim's class probabilities, float (N, K); needs "scores"."""
        if "scores" not in self._needs:
            self._refuse("scores", "scores")
        assert isinstance(self._victim, Classifier)
        return self._victim.scores(inputs)

    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        """Refused: a loss needs weights."""
        self._refuse("loss", "weights")

    def copy(self) -> Self:
        """The same view: there is nothing to change in it."""
        return self

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse(name, "weights")

    def _refuse(self, name: str, access: str) -> NoReturn:
        raise UndeclaredAccessError(f"this method uses victim.{name}: it must declare {access!r} in its `needs`")


def view(victim: Victim, needs: Set[str]) -> Victim:
    """What a method with these `needs` may hold: a copy of the victim, or a black box around one."""
    return victim.copy() if "weights" in needs else BlackBox(victim, needs)
