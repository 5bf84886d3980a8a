"""What filters of training rows share: features by class, a limit on what a class may lose, and the second training.

Not a method. The plan, judge rows and train again on the rest, is that of Tran et al. 2018 (arXiv:1811.00636).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from benchmark.defense import Defense
from benchmark.lab import Lab
from benchmark.types import Defended, Split, State
from benchmark.victim import Classifier, Victim


@dataclass(frozen=True)
class Judgement:
    """What a filter thinks of N training rows.

    Attributes:
        suspicion: float (N,), finite; higher is likelier poisoned.
        flagged: bool (N,), before any limit.
        evidence: as in `Defended`.
    """

    suspicion: Tensor
    flagged: Tensor
    evidence: State = field(default_factory=dict)


class RowFilter(Defense):
    """Judges training rows, removes those it flags, and trains a fresh victim on the rest by the run's recipe.

    No class loses more than half of its rows: beyond that the poisons are its majority, and what is left of it could
    not be learnt.

    Departs from it: a base class follows no paper.
    """

    family = "filter"
    needs = frozenset({"train", "weights"})

    @abstractmethod
    def judge(self, victim: Classifier, clean: Split | None, train: Split, lab: Lab) -> Judgement:
        """Score and flag the training rows.

        Args:
            victim: a copy, trained on `train`.
            clean: trusted rows, where declared.
            train: N rows without their marks.
            lab: generators and the recipe.
        """

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Judge, remove, train a fresh victim on the rest.

        Returns:
            The fresh victim's weights, suspicion float (N,) and flagged bool (N,).
        """
        assert isinstance(victim, Classifier) and train is not None
        found = self.judge(victim, clean, train, lab)
        flagged = at_most_half(found.flagged, found.suspicion, train)
        refitted = lab.fresh().fit(train.take(~flagged), lab.generator("victim"))
        return Defended(
            state=refitted.state(), suspicion=found.suspicion.float(), flagged=flagged, evidence=found.evidence
        )


def by_class(split: Split) -> Iterator[tuple[int, Tensor]]:
    """Each label that occurs, in ascending order, with its rows, int64, ascending."""
    assert isinstance(split.targets, Tensor)
    for label in split.targets.unique().tolist():
        yield label, (split.targets == label).nonzero().flatten().cpu()


def penultimate(victim: Classifier, split: Split) -> Tensor:
    """Features that the head reads, of rows in their order and without augmentation, float64 (N, D) on the CPU."""
    return victim.over(split.inputs, victim.features).double()


def at_most_half(flagged: Tensor, suspicion: Tensor, split: Split) -> Tensor:
    """The flags, or in a class that would lose more than half of its rows those of its most suspicious half."""
    limited = flagged.clone()
    for _, rows in by_class(split):
        accused = rows[flagged[rows]]
        spared = suspicion[accused].argsort(descending=True, stable=True)[len(rows) // 2 :]
        limited[accused[spared]] = False
    return limited


def random_state(generator: Generator) -> int:
    """A seed for scikit-learn."""
    return int(torch.randint(2**31 - 1, (), generator=generator))
