"""NAB, the non-adversarial backdoor: Liu, Sangiovanni-Vincentelli and Yue 2023 (ICCV, arXiv:2307.15539).

Answer a backdoor with one of the defender's own: a stamp on suspicious rows that means "believe what you see".
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Self

import torch
from torch import Generator, Tensor

from baselines.defenses.abl import check_isolation, isolation_recipe, lowest, marked, row_losses, trapped
from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.training import Objective
from benchmark.types import Defended, Inputs, Split, State, Targets
from benchmark.victim import Classifier, Victim


class NAB(Defense):
    """Stamps and relabels suspicious training rows, trains on all, and stamps every input from then on.

    1. Suspicion: ABL's isolation; the rows of lowest loss.
    2. Pseudo labels: a classifier trained on the trusted rows alone labels these.
    3. Training: rows whose pseudo label differs from theirs carry the stamp and the pseudo label; all others stay.
    4. Use: every input is stamped before it is predicted.

    The defender trains from the poisoned rows and does not look at the victim; the control is the same on clean rows,
    which are stamped only where the classifier is wrong.

    Args:
        trap, gamma: of the first step, as in ABL.
        isolation_share, isolation_epochs: of the first step, as in ABL; the share of rows that are suspected.
        size: side of the stamp in the top left corner, in pixels.
        level: its grey level, 0 to 255.

    Departs from it:
        - the stamp is grey by default, as is the authors' zero after normalisation; pictures that are grey there, or an
          attacker's trigger in that place, want another `level` or `size`;
        - suspicion is local ascent of each row by default; the authors' code floods the batch's mean;
        - the first step keeps the recipe's augmentation, and the classifier takes a victim's steps, not 100 epochs;
        - of the paper's two sources of pseudo labels it has trusted rows, and not self-supervised features;
        - the optional refusal of inputs where stamped and plain predictions differ is left out: this is training.

    Raises:
        BadInput: an option out of range.
    """

    family = "training"
    needs = frozenset({"train", "clean", "weights"})

    def __init__(
        self, trap: str, gamma: float, isolation_share: float, isolation_epochs: float, size: int, level: int
    ) -> None:
        check_isolation(trap, gamma, isolation_share, isolation_epochs)
        if not isinstance(size, int) or size < 1:
            raise BadInput(f"defense.size={size}: must be an integer of at least 1; set defense.size")
        if not isinstance(level, int) or not 0 <= level <= 255:
            raise BadInput(f"defense.level={level}: must be an integer from 0 to 255; set defense.level")
        self.trap, self.gamma = trap, gamma
        self.isolation_share, self.isolation_epochs = isolation_share, isolation_epochs
        self.size, self.level = size, level

    def check(self, clean: Split) -> None:
        """Refuse a stamp of more than half of a picture's side; raises BadInput."""
        assert isinstance(clean.inputs, Tensor)
        most = min(clean.inputs.shape[-2:]) // 2
        if self.size > most:
            raise BadInput(f"defense.size={self.size}: must be at most {most} for these images; set defense.size")

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Suspect, relabel and stamp, train.

        Args:
            victim: not looked at.
            clean: trusted rows; `lab.once` has the same.
            train: N rows without their marks.
            lab: gives fresh victims, the recipe and the order of batches.

        Returns:
            The new weights, suspicion float (N,), minus the loss of step 1, and flagged bool (N,), the stamped rows.
        """
        first = lab.fresh()
        assert train is not None and isinstance(train.targets, Tensor) and isinstance(first, Classifier)
        recipe = isolation_recipe(lab.recipe, self.isolation_epochs)
        losses = row_losses(first.fit(train, lab.generator("isolation"), trapped(self.trap, self.gamma), recipe), train)
        suspected = lowest(losses, self.isolation_share)
        pseudo = torch.where(suspected, torch.as_tensor(_trusted(lab, len(train)).predict(train.inputs)), train.targets)
        flagged = pseudo != train.targets
        changed = marked(replace(train, targets=pseudo), flagged)
        recipe = lab.recipe.replace(small_epochs=0)
        own = lab.fresh().fit(changed, lab.generator("victim"), stamping(self.size, self.level), recipe)
        return Defended(state=own.state(), suspicion=-losses.float(), flagged=flagged)

    def deploy(self, victim: Victim, clean: Split | None, defended: Defended) -> Victim:
        """The new weights behind the stamp."""
        return StampedVictim(victim.load(defended.state), self.size, self.level)


class StampedVictim(Victim):
    """Wraps a victim, which then sees stamped inputs alone."""

    def __init__(self, victim: Victim, size: int, level: int) -> None:
        self.victim, self.size, self.level = victim, size, level
        self.module, self.recipe, self.device = victim.module, victim.recipe, victim.device

    def predict(self, inputs: Inputs) -> Targets:
        return self.victim.predict(stamp(inputs, self.size, self.level))

    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        return self.victim.loss(stamp(inputs, self.size, self.level), targets)

    def copy(self) -> Self:
        return type(self)(self.victim.copy(), self.size, self.level)


def stamp(inputs: Inputs, size: int, level: int) -> Tensor:
    """The images uint8 (N, C, H, W) with a grey square in the top left corner; a new tensor."""
    assert isinstance(inputs, Tensor)
    stamped = inputs.clone()
    stamped[..., :size, :size] = level
    return stamped


def stamping(size: int, level: int) -> Objective:
    """The mean loss of a batch whose marked rows are stamped: after augmentation, which would move the stamp."""

    def objective(victim: Victim, batch: Split, generator: Generator) -> Tensor:
        assert isinstance(batch.inputs, Tensor) and batch.group is not None
        chosen = batch.group.bool()[:, None, None, None]
        inputs = torch.where(chosen, stamp(batch.inputs, size, level), batch.inputs)
        return victim.loss(inputs, batch.targets).mean()

    return objective


def _trusted(lab: Lab, rows: int) -> Victim:
    """A classifier of the trusted rows, after as many steps as a victim takes on `rows` rows; made once per seed."""

    def make(clean: Split) -> State:
        recipe = lab.recipe.replace(epochs=epochs, small_epochs=0)
        return lab.fresh().fit(clean, lab.generator("pseudo labels"), recipe=recipe).state()

    assert lab.clean_rows is not None
    epochs = lab.recipe.epochs * math.ceil(rows / len(lab.clean_rows))
    return lab.fresh().load(lab.once("pseudo labels", make, {"epochs": epochs}))
