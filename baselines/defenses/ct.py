"""Confusion Training: Qi et al. 2023 (USENIX Security, arXiv:2205.13616).

Train the victim further on trusted rows under wrong labels: it unlearns what content means, yet still fits the rows
that a trigger explains.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from baselines.defenses.row_filter import Judgement, RowFilter
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.types import Split
from benchmark.victim import Classifier, Victim

SURE = 0.5  # probability of its own label from which a row counts as still fitted


class ConfusionTraining(RowFilter):
    """Flags rows whose label the victim still holds for likelier than not after it was confused.

    The defaults were chosen on digits with a patch at 5 %, seed 0. They are no safe choice elsewhere: at half the steps
    the trigger is unlearnt with the content for other seeds, and at a rate of 1 % the default unlearns it too. The
    method costs about two trainings of digits.

    Args:
        steps: of confusion, rounded up to whole passes over the training rows; at least 1.
        weight: of the wrongly labelled trusted rows' loss beside that of the training rows; above 0.
        learning_rate: peak of the recipe's schedule; above 0.
        batch_size: training rows of a step, and as many trusted ones; at least 2.

    Departs from it:
        - one round: the paper distils the suspects over several, each with a model trained anew;
        - a trusted row's label is drawn among the wrong ones, not among all;
        - without augmentation, by which the two halves of a batch could be told apart;
        - flags by probability; the paper adds a test of each class for a second mode.

    Raises:
        BadInput: an option out of range.
    """

    needs = frozenset({"clean", "train", "weights"})

    def __init__(self, steps: int, weight: float, learning_rate: float, batch_size: int) -> None:
        for name, value, least in (("steps", steps, 1), ("batch_size", batch_size, 2)):
            if value < least:
                raise BadInput(f"defense.{name}={value}: must be at least {least}; set defense.{name}")
        for name, amount in (("weight", weight), ("learning_rate", learning_rate)):
            if not amount > 0:
                raise BadInput(f"defense.{name}={amount}: must be above 0; set defense.{name}")
        self.steps, self.weight = steps, weight
        self.learning_rate, self.batch_size = learning_rate, batch_size

    def judge(self, victim: Classifier, clean: Split | None, train: Split, lab: Lab) -> Judgement:
        """Confuse the victim; suspicion is the log probability of a row's own label."""
        assert clean is not None and isinstance(train.targets, Tensor)
        objective = Confusion(clean, self.weight, victim.classes)
        victim.fit(train, lab.generator("confusion"), objective, self.recipe(lab.recipe, len(train)))
        own = victim.over(train.inputs, victim.logits).log_softmax(1)
        suspicion = own[torch.arange(len(train)), train.targets.cpu()]
        return Judgement(suspicion, suspicion > math.log(SURE))

    def recipe(self, usual: Recipe, rows: int) -> Recipe:
        """The run's, for some steps and without augmentation."""
        return usual.replace(
            epochs=math.ceil(self.steps / math.ceil(rows / self.batch_size)),
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            crop=0.0,
            flip=False,
            rotation=0.0,
            cutout=0.0,
            small_epochs=0,
        )


class Confusion:
    """The objective: rows on their labels, and as many trusted rows on wrong ones."""

    def __init__(self, clean: Split, weight: float, classes: int) -> None:
        self.clean, self.weight, self.classes = clean, weight, classes

    def __call__(self, victim: Victim, batch: Split, generator: Generator) -> Tensor:
        """The weighted mean of both losses, in one pass, so that both share their batch's statistics."""
        inputs, targets = batch.inputs, batch.targets
        assert isinstance(inputs, Tensor) and isinstance(targets, Tensor)
        drawn = self.clean.take(torch.randint(len(self.clean), (len(batch),), generator=generator))
        assert isinstance(drawn.inputs, Tensor) and isinstance(drawn.targets, Tensor)
        shift = torch.randint(1, self.classes, (len(batch),), generator=generator)
        wrong = (drawn.targets + shift.to(drawn.targets.device)) % self.classes
        both = torch.cat([inputs, drawn.inputs.to(inputs.device)]), torch.cat([targets, wrong.to(targets.device)])
        losses = victim.loss(*both)
        kept, confused = losses[: len(batch)].mean(), losses[len(batch) :].mean()
        return (kept + self.weight * confused) / (1 + self.weight)
