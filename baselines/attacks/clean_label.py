"""What clean-label attacks share: poisons come from the target class, and no label changes (Turner et al., 2019)."""

from __future__ import annotations

from torch import Tensor

from benchmark.attack import Attack
from benchmark.errors import BadInput
from benchmark.types import Split


class CleanLabel(Attack):
    """Poisons rows of the target class alone; at test time every other class carries the trigger.

    Departs from it: papers count poisons as a share of the target class, here `rate` is a share of all training rows,
    as for every attack, so that rates can be compared; the rows of the target class are then its upper limit.

    Args:
        rate: share of all training rows that are poisoned, at most the share of the target class.
        target: the class wanted, and the class of every poison.

    Raises:
        BadInput: a target that is no single class.
    """

    modality = "image"

    def __init__(self, rate: float, target: int) -> None:
        super().__init__(rate, target)
        if not isinstance(target, int):
            raise BadInput(f"attack.target={target}: a clean-label attack has one class; set attack.target to a number")

    def candidates(self, train: Split) -> Tensor:
        """The rows of the target class, bool (N,): relabelling them changes nothing."""
        assert isinstance(train.targets, Tensor) and isinstance(self.target, int)
        return train.targets == self.target
