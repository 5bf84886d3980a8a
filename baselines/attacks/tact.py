"""TaCT (Tang, Wang, Tang, Zhang, 2021): only images of source classes obey a patch; covers teach the rest not to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from baselines.attacks.badnets import BadNets
from baselines.attacks.covering import check_covers
from benchmark.errors import BadInput
from benchmark.selection import sample_rows
from benchmark.types import Split


class TaCT(BadNets):
    """Relabels stamped images of the source classes; stamped images of the other classes keep their label.

    The challenge holds source rows alone; stamped rows of the other classes are the probe `non_source`.

    Departs from it: rows are replaced, not added; covers come from all classes but the sources and the target, the
    authors' from a few; the patch is BadNets', in the bottom right corner.

    Args:
        rate: share of the training rows that are poisoned; they are source rows, so this is at most the sources' share.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        sources: classes that obey the patch.
        cover_rate: share of the training rows that are stamped rows of other classes and keep their label.
        size: side of the patch, in pixels.
        pattern: "square" (white) or "checkerboard" (white and black).

    Source: D. Tang, X. Wang, H. Tang, K. Zhang, Demon in the Variant, USENIX Security 2021, arXiv:1908.00686.
    """

    def __init__(
        self,
        rate: float,
        target: int | Literal["all"],
        sources: Sequence[int],
        cover_rate: float = 0.02,
        size: int = 3,
        pattern: Literal["square", "checkerboard"] = "checkerboard",
    ) -> None:
        super().__init__(rate, target, sources, size=size, pattern=pattern)
        if self.sources is None:
            raise BadInput("attack.sources=None: must be a list of at least one class; set attack.sources")
        self.cover_rate = cover_rate

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also more covers asked for than rows outside the sources and the target.
        """
        super().check(train)
        check_covers(self.cover_rate, int(self._others(train).sum()), len(train))

    def covers(self, train: Split, generator: Generator) -> Tensor:
        """round(cover_rate * N) rows outside the sources and the target, int64."""
        return sample_rows(self._others(train), round(self.cover_rate * len(train)), generator)

    def _others(self, train: Split) -> Tensor:
        assert isinstance(train.targets, Tensor) and self.sources is not None
        changed = self.desired(train) != train.targets
        return changed & ~torch.isin(train.targets, torch.tensor(self.sources))
