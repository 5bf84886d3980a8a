"""Neural Cleanse: Wang et al. 2019 (IEEE S&P).

A backdoored class is reached from everywhere by a far smaller patch than any other: find each class's smallest patch,
call the model backdoored if one is an outlier, and unlearn that patch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.defenses.trigger_inversion import Settings, Triggers, invert, stamp
from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.images import to_uint8
from benchmark.lab import Lab
from benchmark.selection import sample_rows
from benchmark.types import Defended, Split, pick, put
from benchmark.victim import Classifier, Victim

# More than 150 lines: eleven options of the search are written out, and checked.
MAD_TO_DEVIATION = 1.4826  # median absolute deviation -> standard deviation of a normal distribution
OUTLIER = 2.0  # anomaly index above which the paper calls a model backdoored
STAMPED = 0.2  # share of the clean rows that carry the found trigger while it is unlearned


class Anomaly(NamedTuple):
    """The most outlying small mask: its score and its class, or 0 and None where no mask is below the median."""

    score: float
    suspect: int | None


class NeuralCleanse(Defense):
    """Inverts a trigger for every class, judges by the anomaly index of the masks' sizes, and unlearns what it found.

    Args:
        steps: of the search, at most, for each class.
        batch_rows: clean rows of a step.
        group: classes searched side by side; it changes the speed and the last bits, not the method.
        learning_rate: of Adam, on the arguments of tanh.
        weight: of the mask's size in the loss, at the start.
        threshold: share of a batch that must reach the class for a mask to count.
        patience: steps of success (or of failure) in a row after which the weight rises (or falls).
        multiplier: by how much it rises; it falls by multiplier ** 1.5.
        stop_after: steps without a smaller mask after which a class's search ends.
        epochs, unlearning_rate: of the mitigation, on the clean rows; the paper trains one epoch.

    Departs from it:
        - a step is one batch of the defender's clean rows, not a mini-epoch of 1,000 training images: the authors'
          weight then changes after 5 mini-epochs, ours after 5 steps, and all classes need a few hundred steps;
        - success is judged on the one batch of a step, so that the smallest mask kept is a lucky one: on all trusted
          rows it succeeds somewhat less often than `threshold`;
        - the index is a statistic of K masks, and with ten classes one of them lies 2 deviations below the median by
          chance in every few models: the verdict of one clean model proves little, and it
          takes some 20 to calibrate the threshold;
        - masks start half open over grey, the same for every class, where the authors draw both at random: a random
          start can end in a larger local minimum, and the index then tells the luck of the draw;
        - the search's learning rate is 0.3 (0.1 in the authors' code), for fewer steps;
        - the median of an even number of classes is the mean of the middle two; torch's own is the lower one;
        - of the two mitigations it has unlearning alone: the paper's neuron pruning is fine_pruning's neighbour;
        - where nothing is detected the victim stays as it is.

    Raises:
        BadInput: an option out of range.
    """

    family = "model detector"
    needs = frozenset({"clean", "weights"})

    # The arguments are more than six because the yaml is this call.
    def __init__(
        self,
        steps: int,
        batch_rows: int,
        group: int,
        learning_rate: float,
        weight: float,
        threshold: float,
        patience: int,
        multiplier: float,
        stop_after: int,
        epochs: int,
        unlearning_rate: float,
    ) -> None:
        counts = {"steps": steps, "batch_rows": batch_rows, "group": group, "patience": patience, "epochs": epochs}
        for name, count in {**counts, "stop_after": stop_after}.items():
            if count < 1:
                raise BadInput(f"defense.{name}={count}: must be an integer of at least 1; set defense.{name}")
        for name, value in {
            "learning_rate": learning_rate,
            "weight": weight,
            "unlearning_rate": unlearning_rate,
        }.items():
            if value <= 0:
                raise BadInput(f"defense.{name}={value}: must be above 0; set defense.{name}")
        if not 0 < threshold <= 1:
            raise BadInput(f"defense.threshold={threshold}: must be above 0 and at most 1; set defense.threshold")
        if multiplier <= 1:
            raise BadInput(f"defense.multiplier={multiplier}: must be above 1; set defense.multiplier")
        self.settings = Settings(
            steps, batch_rows, group, learning_rate, weight, threshold, patience, multiplier, stop_after
        )
        self.epochs, self.unlearning_rate = epochs, unlearning_rate

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Invert, judge, and unlearn where something was found.

        Args:
            victim: a copy, changed in place.
            clean: trusted rows; all of them are searched on and unlearned with.
            train: withheld.
            lab: gives the recipe and the draws.

        Returns:
            The weights, unchanged where nothing was detected; verdict, decision and suspect; evidence `pattern`
            (C, H, W) as seen through the mask, `mask` (1, H, W), `norms` (K,) in pixels.
        """
        assert isinstance(victim, Classifier) and clean is not None
        found = invert(victim, clean.inputs, self.settings, lab.generator("inversion"))
        verdict = anomaly(found.norms)
        detected = verdict.score > OUTLIER
        if detected and verdict.suspect is not None:
            self._unlearn(victim, clean, found, verdict.suspect, lab)
        smallest = int(found.norms.argmin())
        mask = found.masks[smallest]
        evidence = {"pattern": mask * found.patterns[smallest], "mask": mask, "norms": found.norms}
        return Defended(
            state=victim.state(), verdict=verdict.score, detected=detected, suspect=verdict.suspect, evidence=evidence
        )

    def _unlearn(self, victim: Classifier, clean: Split, found: Triggers, suspect: int, lab: Lab) -> None:
        """Fine-tune on the clean rows, a share of them under the found trigger, all with their true labels."""
        everyone = torch.ones(len(clean), dtype=torch.bool)
        rows = sample_rows(everyone, round(STAMPED * len(clean)), lab.generator("stamped rows"))
        pixels = victim.encode(pick(clean.inputs, rows)).cpu()
        stamped = to_uint8(255 * stamp(pixels, found.masks[suspect], found.patterns[suspect]))
        mixed = replace(clean, inputs=put(clean.inputs, rows, stamped))
        recipe = lab.recipe.replace(
            epochs=self.epochs, learning_rate=self.unlearning_rate, schedule="constant", small_epochs=0
        )
        victim.fit(mixed, lab.generator("unlearning"), recipe=recipe)


def anomaly(norms: Tensor) -> Anomaly:
    """The largest robust deviation below the median.

    Args:
        norms: float (K,), the sizes of the masks.

    Returns:
        Index in robust standard deviations, at least 0, and its class.
    """
    sizes = norms.double()
    below = sizes.quantile(0.5) - sizes  # quantile averages the two middle values; torch's median does not
    spread = MAD_TO_DEVIATION * below.abs().quantile(0.5)
    suspect = int(below.argmax())
    if below[suspect] <= 0 or spread == 0:  # no spread: most searches failed or agree, and nothing can stand out
        return Anomaly(0.0, None)
    return Anomaly(float(below[suspect] / spread), suspect)
