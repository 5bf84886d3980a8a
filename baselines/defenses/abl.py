"""Anti-Backdoor Learning: Li, Lyu, Koren, Lyu, Li and Ma 2021 (NeurIPS, arXiv:2110.11571).

What is learnt first is the backdoor: hold every loss at a level, isolate the rows that fall below it, and unlearn them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.training import Objective
from benchmark.types import Defended, Split
from benchmark.victim import Classifier, Victim


class ABL(Defense):
    """Trains a model of its own in two parts: the first finds a few poisons, the second learns the rest against them.

    1. Isolation: epochs with a loss that pushes rows back once they fit; the rows of lowest loss are isolated.
    2. Unlearning: the other epochs minimise the mean loss of the other rows and maximise that of the isolated.

    The defender trains from the poisoned rows and does not look at the victim; the control is the same training on
    clean rows. There, the isolated rows are the easiest clean ones, and what their unlearning costs is measured.

    Cross-entropy has no upper end, so ascent must be bounded, without rows held out: by the paper through few rows, few
    epochs and a low rate (5e-4), fixed beforehand; here a row is pushed only while its loss is below log K, that of a
    guess among K classes, since a model that knows nothing of a row has unlearnt it.

    Args:
        trap: "lga" or "flooding", as the functions here; their gradients agree on a batch of one row.
        gamma: the level at which losses are held, above 0.
        isolation_share: share of the training rows that are isolated, between 0 and 1.
        isolation_epochs: share of the recipe's epochs spent on isolation, between 0 and 1; at least one epoch.

    Departs from it:
        - the second part follows the paper's objective: ascent and descent at once, from the turning epoch on. The
          authors' code first trains on without the isolated rows, then ascends on them alone. On digits hardly any
          gradient is left by then (losses below 1e-5): what acts is that batch norm's averages come to be those of
          the isolated rows, which removes the backdoor and 6 to 24 points of clean accuracy;
        - the local ascent is taken row by row, as the paper writes it; the authors' code takes it of the batch's mean,
          where it has the gradient of flooding. `flooding` is of the mean, as everywhere;
        - each part runs through the recipe's schedule at full size; the paper isolates at a constant rate;
        - a recipe of one epoch takes two: neither part can be empty.

    Raises:
        BadInput: an option out of range.
    """

    family = "training"
    needs = frozenset({"train", "weights"})

    def __init__(self, trap: str, gamma: float, isolation_share: float, isolation_epochs: float) -> None:
        check_isolation(trap, gamma, isolation_share, isolation_epochs)
        self.trap, self.gamma = trap, gamma
        self.isolation_share, self.isolation_epochs = isolation_share, isolation_epochs

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Isolate, then learn the rest and unlearn the isolated.

        Args:
            victim: not looked at.
            clean: withheld.
            train: N rows without their marks.
            lab: gives the fresh victim, the recipe and the order of its batches.

        Returns:
            The new weights, suspicion float (N,), minus the loss after isolation, and flagged bool (N,), the isolated.
        """
        own = lab.fresh()
        assert train is not None and isinstance(own, Classifier)
        recipe = isolation_recipe(lab.recipe, self.isolation_epochs)
        losses = row_losses(own.fit(train, lab.generator("isolation"), trapped(self.trap, self.gamma), recipe), train)
        isolated = lowest(losses, self.isolation_share)
        left = recipe.replace(epochs=max(1, lab.recipe.epochs - recipe.epochs))
        own.fit(marked(train, isolated), lab.generator("unlearning"), unlearning(math.log(own.classes)), left)
        return Defended(state=own.state(), suspicion=-losses.float(), flagged=isolated)


def check_isolation(trap: str, gamma: float, isolation_share: float, isolation_epochs: float) -> None:
    """Refuse options out of range; raises BadInput."""
    if trap not in ("lga", "flooding"):
        raise BadInput(f"defense.trap={trap}: must be lga or flooding; set defense.trap")
    if not gamma > 0:
        raise BadInput(f"defense.gamma={gamma}: must be above 0; set defense.gamma (the paper has 0.5)")
    for name, share in (("isolation_share", isolation_share), ("isolation_epochs", isolation_epochs)):
        if not 0 < share < 1:
            raise BadInput(f"defense.{name}={share}: must lie between 0 and 1; set defense.{name}")


def isolation_recipe(recipe: Recipe, share: float) -> Recipe:
    """The recipe of isolation: a share of the epochs, at least one, at full size, where small triggers are seen."""
    return recipe.replace(epochs=max(1, round(share * recipe.epochs)), small_epochs=0)


def trapped(trap: str, gamma: float) -> Objective:
    """The objective of isolation: "lga" of each row, or "flooding" of the batch's mean."""

    def objective(victim: Victim, batch: Split, generator: Generator) -> Tensor:
        losses = victim.loss(batch.inputs, batch.targets)
        return lga(losses, gamma).mean() if trap == "lga" else flooding(losses.mean(), gamma)

    return objective


def lga(loss: Tensor, gamma: float) -> Tensor:
    """Local gradient ascent, sign(loss - gamma) * loss: above gamma descend, below it ascend."""
    return (loss.detach() - gamma).sign() * loss


def flooding(loss: Tensor, gamma: float) -> Tensor:
    """Flooding, |loss - gamma| + gamma: the gradient of `lga`, and a value that is never below gamma."""
    return (loss - gamma).abs() + gamma


def row_losses(victim: Classifier, rows: Split) -> Tensor:
    """Cross-entropy of each row without augmentation, float64 (N,): in float32 well-fitted rows would tie at 0."""
    assert isinstance(rows.targets, Tensor)
    return cross_entropy(victim.over(rows.inputs, victim.logits).double(), rows.targets, reduction="none")


def lowest(losses: Tensor, share: float) -> Tensor:
    """The share of rows with the lowest loss, at least one, bool (N,)."""
    isolated = torch.zeros(len(losses), dtype=torch.bool)
    isolated[losses.argsort(stable=True)[: max(1, round(share * len(losses)))]] = True
    return isolated


def marked(rows: Split, marks: Tensor) -> Split:
    """The rows with marks, bool (N,), in place of their groups: the one column that a batch carries along untouched."""
    return replace(rows, group=marks.long())


def unlearning(ceiling: float) -> Objective:
    """Mean loss of the rows that are not marked minus that of the marked, which counts up to a ceiling."""

    def objective(victim: Victim, batch: Split, generator: Generator) -> Tensor:
        assert batch.group is not None
        losses, isolated = victim.loss(batch.inputs, batch.targets), batch.group.bool()  # a batch may lack one kind
        kept = (losses * ~isolated).sum() / (~isolated).sum().clamp(min=1)
        return kept - (losses.clamp(max=ceiling) * isolated).sum() / isolated.sum().clamp(min=1)

    return objective
