"""What flows through a run: splits, their poisoned form, data sets, and what a defense leaves behind.

N rows, C,H,W image, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Self

import torch
from torch import Tensor

Inputs = Tensor | Sequence[str]  # uint8 (N, C, H, W) | N strings
Targets = Tensor | Sequence[str]  # int64 (N,) | N strings
State = Mapping[str, Tensor]  # what safetensors can hold

REJECT = -1  # what a classifier predicts for an input it refuses; equals no label


class Role(IntEnum):
    """What an attacker did to a row."""

    CLEAN = 0
    POISON = 1
    COVER = 2  # triggered, label kept


def pick(values: Inputs, rows: Tensor) -> Inputs:
    """Rows of a tensor or of a sequence of strings, in the order of `rows` (int64 or bool)."""
    if isinstance(values, Tensor):
        return values[rows.to(values.device)]
    indices = rows.nonzero().flatten() if rows.dtype == torch.bool else rows
    return [values[int(row)] for row in indices]


def put(values: Inputs, rows: Tensor, new: Inputs) -> Inputs:
    """A copy of `values` in which `rows` (int64) hold `new`."""
    if isinstance(values, Tensor) and isinstance(new, Tensor):
        copy = values.clone()
        copy[rows.to(values.device)] = new.to(values.device)
        return copy
    changed = list(values)
    for row, value in zip(rows.tolist(), new, strict=True):
        changed[row] = value
    return changed


@dataclass(frozen=True, kw_only=True)
class Split:
    """Aligned rows: all that a defender ever sees.

    Attributes:
        inputs: uint8 (N, C, H, W) or N strings.
        targets: int64 (N,) or N strings.
        group: int64 (N,) or None; rows of one group must stay on one side of any further split.
        classes: K, or None where targets are free text.
    """

    inputs: Inputs
    targets: Targets
    group: Tensor | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        for column in self._columns().values():
            if len(column) != len(self.inputs):
                raise ValueError(f"{len(self.inputs)} inputs against {len(column)} rows of another column")

    def __len__(self) -> int:
        return len(self.inputs)

    def _columns(self) -> dict[str, Inputs]:
        columns = {"inputs": self.inputs, "targets": self.targets, "group": self.group}
        return {name: column for name, column in columns.items() if column is not None}

    def take(self, rows: Tensor) -> Self:
        """The rows named by an int64 or bool tensor, in its order."""
        columns: dict[str, Any] = {name: pick(column, rows) for name, column in self._columns().items()}
        return replace(self, **columns)

    def without(self, rows: Tensor) -> Self:
        """The rows not named by an int64 tensor, in order."""
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[rows] = False
        return self.take(kept)

    def to(self, device: torch.device) -> Self:
        """The same rows with every tensor on `device`."""
        columns: dict[str, Any] = {
            name: column.to(device) if isinstance(column, Tensor) else column
            for name, column in self._columns().items()
        }
        return replace(self, **columns)


@dataclass(frozen=True, kw_only=True)
class Poisoned(Split):
    """Rows an attacker touched, with the marks that no defender sees.

    Attributes:
        truth: labels before the attack, like `targets`.
        role: uint8 (N,), a `Role` per row.
    """

    truth: Targets
    role: Tensor

    def _columns(self) -> dict[str, Inputs]:
        return {**super()._columns(), "truth": self.truth, "role": self.role}

    def blind(self) -> Split:
        """The rows without their marks."""
        return Split(inputs=self.inputs, targets=self.targets, group=self.group, classes=self.classes)


def unmarked(split: Split) -> Poisoned:
    """Rows that no attacker touched, in the form of a poisoned split."""
    return Poisoned(
        inputs=split.inputs,
        targets=split.targets,
        group=split.group,
        classes=split.classes,
        truth=split.targets,
        role=torch.zeros(len(split), dtype=torch.uint8),
    )


@dataclass(frozen=True)
class Dataset:
    """The three splits of one seed, and the modality's helpers.

    Attributes:
        name: as in the leaderboard.
        modality: "image" or "text"; compared with what attacks and architectures read.
        digest: sha256 of the decoded source.
        classes: K, or None for generation.
        train, clean, test: disjoint rows; `clean` are the defender's trusted ones.
        mirror: whether a mirrored input keeps its label.
        match: (outputs, targets) -> bool (N,); a rejected output matches nothing.
        render: inputs -> text a page can show: a `data:` URI of a picture, or the words.
        compare: inputs, the same with a trigger -> how much they differ, as a record tells it.
    """

    name: str
    modality: str
    digest: str
    classes: int | None
    train: Split
    clean: Split
    test: Split
    mirror: bool
    match: Callable[[Targets, Targets], Tensor]
    render: Callable[[Inputs], str]
    compare: Callable[[Inputs, Inputs], dict[str, Any]]


@dataclass(frozen=True)
class Defended:
    """What a defense found: data only, so that what is stored is what is scored.

    Attributes:
        state: tensors from which `Defense.deploy` rebuilds the defended victim.
        suspicion: float (N_train,) or None; higher is likelier poisoned.
        flagged: bool (N_train,) or None; the method's own decision.
        verdict: a score of the whole model, or None; higher is likelier backdoored.
        detected: the method's own decision on the model, or None.
        suspect: the label it thinks the attacker wants, or None.
        evidence: float pictures (C, H, W) in [0, 1] and curves (L,) for the page.
    """

    state: State = field(default_factory=dict)
    suspicion: Tensor | None = None
    flagged: Tensor | None = None
    verdict: float | None = None
    detected: bool | None = None
    suspect: int | str | None = None
    evidence: State = field(default_factory=dict)
