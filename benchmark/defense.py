"""What a defense is: it inspects a victim, leaves data behind, and rebuilds a victim from that data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from benchmark.lab import Lab
from benchmark.types import Defended, Split
from benchmark.victim import Classifier, Victim

Family = Literal["none", "repair", "filter", "input detector", "model detector", "training"]


class Defense(ABC):
    """Applied alike to a backdoored victim and to one without a backdoor.

    It never sees test data, the trigger, the target, the marks or the true rate.

    Class attributes:
        family: what it is compared within: "repair" changes weights; "filter" flags training rows and retrains; "input
            detector" refuses inputs; "model detector" gives a verdict on the model (and may repair it); "training"
            replaces the training.
        needs: subset of {"clean", "train", "labels" | "scores" | "weights"}; what is not declared is withheld.
        reads: the kind of victim it works on; on any other it is not applicable.
    """

    family: ClassVar[Family]
    needs: ClassVar[frozenset[str]]
    reads: ClassVar[type[Victim]] = Classifier  # type: ignore[type-abstract]  # compared with isinstance, never called

    def check(self, clean: Split) -> None:  # noqa: B027  # most methods have nothing to compare
        """Compare the options with the trusted rows, before any training; raises BadInput."""

    @abstractmethod
    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Inspect or repair the victim, a fresh copy.

        Args:
            victim: with "weights" in `needs` a copy; else a black box that answers with labels or scores.
            clean: trusted rows, where declared.
            train: the training rows without their marks, where declared.
            lab: generators, recipe, fresh victims.
        """

    def deploy(self, victim: Victim, clean: Split | None, defended: Defended) -> Victim:
        """The defended victim, from the stored `Defended` alone. Default: load its state into the victim."""
        return victim.load(defended.state)


class NoDefense(Defense):
    """The victim as it is."""

    family = "none"
    needs = frozenset({"labels"})
    reads = Victim

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Nothing to leave behind."""
        return Defended()

    def deploy(self, victim: Victim, clean: Split | None, defended: Defended) -> Victim:
        """The same victim."""
        return victim
