"""Fine-Pruning: Liu, Dolan-Gavitt and Garg 2018 (RAID, arXiv:1805.12185).

Channels that sleep on clean inputs are where a backdoor can hide: prune them, then fine-tune.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from baselines.defenses.fine_tuning import FineTuning
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.scoring import same_class
from benchmark.seeds import generator_for
from benchmark.selection import fit_validation, strongest
from benchmark.types import Defended, Split
from benchmark.victim import Classifier, Victim


class FinePruning(FineTuning):
    """Prunes the last stage's channels from the least active one on, as far as validation allows, then fine-tunes.

    Args:
        step: share of the stage's channels that one rung of the ladder adds; at least one channel.
        epochs, learning_rate, batch_size: of the fine-tuning, as in `FineTuning`.

    Departs from it:
        - the ladder ends by the suite's shared rule on held-out trusted rows (2 points or one standard error; the
          paper spends 4 points), never on test rows;
        - one rung of the ladder prunes a share `step` of the channels, not one channel: 1 % costs at most 100
          evaluations at any width;
        - a pruned channel is masked where the stage ends, after its batch norm and activation (the authors zero the
          convolution's kernel and bias): the head receives 0 from it, also while it is fine-tuned;
        - fine-tuning is that of `FineTuning` on all trusted rows: the two lines of a table differ in pruning alone.

    Raises:
        BadInput: an option out of range.
    """

    reads = Classifier

    def __init__(self, step: float, epochs: int, learning_rate: float, batch_size: int) -> None:
        super().__init__(epochs, learning_rate, batch_size)
        if not 0 < step < 1:
            raise BadInput(f"defense.step={step}: must lie between 0 and 1; set defense.step (the default is 0.01)")
        self.step = step

    def check(self, clean: Split) -> None:
        """Trusted rows must suffice to fit and to validate; raises BadInput."""
        fit_validation(clean, generator_for(0, "check"))

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Prune, then fine-tune.

        Args:
            victim: a copy, changed in place.
            clean: trusted rows; 80 % rank the channels, 20 % end the ladder.
            train: withheld.
            lab: gives the recipe and the draws.

        Returns:
            The repaired weights, the mask among them; evidence `validation_accuracy` float (L,): before pruning, then
            under each rung that was tried.
        """
        assert isinstance(victim, Classifier) and clean is not None
        fit, validation = fit_validation(clean, lab.generator("split"))
        # The ladder changes what the head receives and nothing before: the stages run over the validation rows once.
        received = victim.over(validation.inputs, victim.activations).to(victim.device)
        accuracies: list[float] = []

        def accuracy(keep: Tensor) -> float:
            with torch.no_grad():
                logits = victim.head_logits(received * keep.to(victim.device).view(-1, *[1] * (received.dim() - 2)))
            accuracies.append(float(same_class(logits.argmax(1), validation.targets).float().mean()))
            return accuracies[-1]

        order = self.ranking(victim, fit, lab)
        unpruned = torch.ones(len(order))
        chosen = strongest(self._ladder(order), accuracy, accuracy(unpruned), len(validation))
        victim.mask(unpruned if chosen is None else chosen)
        evidence = {"validation_accuracy": torch.tensor(accuracies)}
        return replace(super().apply(victim, clean, train, lab), evidence=evidence)

    def ranking(self, victim: Classifier, fit: Split, lab: Lab) -> Tensor:
        """The last stage's channels in the order of pruning, int64 (C,): by mean activation on `fit`, ascending."""
        return victim.over(fit.inputs, victim.features).mean(0).argsort(stable=True)

    def _ladder(self, order: Tensor) -> Iterator[Tensor]:
        """Masks float (C,) that prune more and more channels; the last one is never pruned."""
        channels = len(order)
        stride = max(1, round(self.step * channels))
        for pruned in range(stride, channels, stride):
            keep = torch.ones(channels)  # a new tensor for every rung: a chosen one must not change afterwards
            keep[order[:pruned]] = 0
            yield keep


class RandomPruning(FinePruning):
    """The null baseline of pruning: the same ladder, rule and fine-tuning, but channels in random order.

    Args:
        step, epochs, learning_rate, batch_size: as in `FinePruning`.

    Departs from it: nothing to depart from; it replaces the paper's ranking alone.
    """

    def ranking(self, victim: Classifier, fit: Split, lab: Lab) -> Tensor:
        """The last stage's channels in random order, int64 (C,)."""
        return torch.randperm(victim.channels(), generator=lab.generator("random pruning"))
