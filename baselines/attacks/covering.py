"""Cover rows: triggered training rows that keep their label, as two adaptive attacks use them (Qi et al., 2023)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Generator, Tensor

from benchmark.attack import Attack
from benchmark.errors import BadInput
from benchmark.images import to_uint8
from benchmark.selection import sample_rows
from benchmark.types import Poisoned, Role, Split, State, pick, put


def check_covers(cover_rate: float, allowed: int, rows: int) -> None:
    """Compare a share of cover rows with the rows that there are.

    Args:
        cover_rate: share of the training rows.
        allowed: how many rows may be covers.
        rows: N, all training rows.

    Raises:
        BadInput: no share of the rows, or more than may be covers.
    """
    if isinstance(cover_rate, bool) or not isinstance(cover_rate, int | float) or not 0 <= cover_rate <= 1:
        raise BadInput(f"attack.cover_rate={cover_rate}: must be at least 0 and at most 1; set attack.cover_rate")
    if round(cover_rate * rows) > allowed:
        limit = allowed * 10_000 // rows / 10_000
        raise BadInput(
            f"attack.cover_rate={cover_rate}: only {allowed} rows may be covers; set attack.cover_rate to {limit} or "
            "less"
        )


class Covering(Attack):
    """A poisoning attack with exactly round(cover_rate * N) cover rows beside its poisons.

    Covers weaken the tie between trigger and target, so that poisons lie less apart from clean rows in feature space.

    Departs from it: covers never come from the target class, where a triggered row is as good as a poison.

    Args:
        rate: share of the training rows that are poisoned.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        cover_rate: share of the training rows that are triggered and keep their label.

    Source: X. Qi, T. Xie, Y. Li, S. Mahloujifar, P. Mittal, Revisiting the Assumption of Latent Separability for
    Backdoor Defenses, ICLR 2023.
    """

    modality = "image"

    def __init__(self, rate: float, target: int | Literal["all"], cover_rate: float) -> None:
        super().__init__(rate, target)
        self.cover_rate = cover_rate

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also more covers asked for than the poisons leave.
        """
        super().check(train)
        left = int(self.candidates(train).sum()) - round(self.rate * len(train))
        check_covers(self.cover_rate, left, len(train))

    def covers(self, train: Split, generator: Generator) -> Tensor:
        """round(cover_rate * N) rows whose label the attacker would change, int64."""
        return sample_rows(self.eligible(train), round(self.cover_rate * len(train)), generator)

    def poison(self, train: Split, secret: State, generator: Generator) -> Poisoned:
        """The poisons and the covers; for each cover that was drawn as a poison too, another cover."""
        poisoned = super().poison(train, secret, generator)
        free = self.eligible(train) & (poisoned.role == int(Role.CLEAN))
        missing = round(self.cover_rate * len(train)) - int((poisoned.role == int(Role.COVER)).sum())
        rows = sample_rows(free, missing, generator)
        triggered = self.embed(pick(train.inputs, rows), secret, generator)
        role = poisoned.role.index_fill(0, rows, int(Role.COVER))
        return replace(poisoned, inputs=put(poisoned.inputs, rows, triggered), role=role)


def lay(images: Tensor, patterns: Tensor, weights: Tensor) -> Tensor:
    """Lay a pattern over each image at its own weights, rounded: uint8 (N, C, H, W), a new tensor.

    Args:
        images: uint8 (N, C, H, W).
        patterns: uint8 (C, H, W), or (N, C, H, W).
        weights: float in [0, 1], (N, 1, H, W).
    """
    weights = weights.to(images.device)
    return to_uint8(images * (1 - weights) + patterns.to(images.device) * weights)
