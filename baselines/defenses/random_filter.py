"""The null baseline of filters: remove training rows at random and train again.

What it costs and what it removes is what any filter of the same size gets for nothing.
"""

from __future__ import annotations

import torch

from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.types import Defended, Split
from benchmark.victim import Victim


class RandomFilter(Defense):
    """Flags a share of the training rows at random; needs no access to the victim beyond loading the new weights.

    Args:
        share: of the training rows, between 0 and 1; set it to what the filter beside it removes.

    Departs from it: there is no paper.

    Raises:
        BadInput: an option out of range.
    """

    family = "filter"
    needs = frozenset({"train", "weights"})
    reads = Victim

    def __init__(self, share: float) -> None:
        if not 0 < share < 1:
            raise BadInput(f"defense.share={share}: must lie between 0 and 1; set defense.share (the default is 0.5)")
        self.share = share

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Draw a suspicion for each row, remove the highest, train a fresh victim on the rest.

        Args:
            victim: not looked at.
            clean: withheld.
            train: N rows without their marks.
            lab: gives the fresh victim and the draws.

        Returns:
            The fresh victim's weights, suspicion float (N,) in [0, 1) and flagged bool (N,), round(share * N) rows.
        """
        assert train is not None
        suspicion = torch.rand(len(train), generator=lab.generator("random filter"))
        flagged = torch.zeros(len(train), dtype=torch.bool)
        flagged[suspicion.argsort(descending=True, stable=True)[: round(self.share * len(train))]] = True
        refitted = lab.fresh().fit(train.take(~flagged), lab.generator("victim"))
        return Defended(state=refitted.state(), suspicion=suspicion, flagged=flagged)
