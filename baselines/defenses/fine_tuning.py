"""Fine-tuning: keep training on trusted rows and let the backdoor be forgotten. The plain baseline of every repair.

Used as a baseline by Liu, Dolan-Gavitt and Garg, "Fine-Pruning" (RAID 2018, arXiv:1805.12185), section 3.3.
"""

from __future__ import annotations

from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Defended, Split
from benchmark.victim import Victim


class FineTuning(Defense):
    """Trains the victim further on all trusted rows; nothing is selected, so no row is held out.

    Args:
        epochs: passes over the trusted rows, at least 1.
        learning_rate: the peak of the recipe's schedule.
        batch_size: rows of a step, at least 2.

    Departs from it: schedule, momentum, weight decay and augmentation are those of the run's recipe (the paper keeps
        the victim's last learning rate, constant), so that every repair of a run differs in its idea alone.

    Raises:
        BadInput: an option out of range.
    Source: defaults lie between two customs: the paper on attention distillation (NAD, arXiv:2101.05930) has 20 epochs,
        batch 64, rate 0.1; BackdoorBench 100 epochs, batch 256, rate 0.01. Trusted rows are few, hence the small batch.
    """

    family = "repair"
    needs = frozenset({"clean", "weights"})
    reads = Victim

    def __init__(self, epochs: int, learning_rate: float, batch_size: int) -> None:
        if not isinstance(epochs, int) or epochs < 1:
            raise BadInput(f"defense.epochs={epochs}: must be an integer of at least 1; set defense.epochs (say, 20)")
        if learning_rate <= 0:
            raise BadInput(f"defense.learning_rate={learning_rate}: must be above 0; set defense.learning_rate")
        if not isinstance(batch_size, int) or batch_size < 2:
            raise BadInput(f"defense.batch_size={batch_size}: must be an integer of at least 2; set defense.batch_size")
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Train on every trusted row.

        Args:
            victim: a copy, trained further in place.
            clean: trusted rows.
            train: withheld.
            lab: gives the recipe and the order of the rows.

        Returns:
            The repaired weights.
        """
        assert clean is not None
        recipe = lab.recipe.replace(
            epochs=self.epochs, learning_rate=self.learning_rate, batch_size=self.batch_size, small_epochs=0
        )
        return Defended(state=victim.fit(clean, lab.generator("defense"), recipe=recipe).state())
