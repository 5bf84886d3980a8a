"""The null baseline of input detectors: refuse inputs at random.

What it costs in accuracy and takes from the attack is what any detector with the same false alarms gets for nothing.
"""

from __future__ import annotations

from hashlib import blake2b

import torch
from torch import Tensor

from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.rejecting import RejectingVictim
from benchmark.types import Defended, Inputs, Split
from benchmark.victim import Victim

HASH_BYTES = 6  # 48 bits: the quotient is exact in float64


class RandomRejection(Defense):
    """Refuses a share of inputs by a salted hash of their content, so that the same input always meets the same fate.

    Args:
        fpr: share of inputs that are refused, at least 0 and below 1.

    Departs from it: there is no paper.

    Raises:
        BadInput: an option out of range.
    """

    family = "input detector"
    needs = frozenset({"labels"})
    reads = Victim

    def __init__(self, fpr: float) -> None:
        if not 0 <= fpr < 1:
            raise BadInput(f"defense.fpr={fpr}: must be at least 0 and below 1; set defense.fpr (the default is 0.05)")
        self.fpr = fpr

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        """Draw the salt: state `salt` int64 ()."""
        return Defended(state={"salt": torch.randint(2**62, (), generator=lab.generator("random rejection"))})

    def deploy(self, victim: Victim, clean: Split | None, defended: Defended) -> Victim:
        """The victim behind the stored salt."""
        salt = int(defended.state["salt"]).to_bytes(8, "little")
        return RejectingVictim(victim, lambda inputs: hashed(inputs, salt), 1 - self.fpr)


def hashed(inputs: Inputs, salt: bytes) -> Tensor:
    """A number in [0, 1) for each input, float64 (N,), that depends on its content and the salt alone."""
    contents = [row.encode() if isinstance(row, str) else row.cpu().numpy().tobytes() for row in inputs]
    digests = [blake2b(content, digest_size=HASH_BYTES, key=salt).digest() for content in contents]
    return torch.tensor([int.from_bytes(digest) / 256**HASH_BYTES for digest in digests], dtype=torch.float64)
