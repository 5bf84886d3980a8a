"""Shared choices of rows, settings and thresholds, so that no method invents its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Generator, Tensor

from benchmark.errors import BadInput
from benchmark.types import Split

Setting = TypeVar("Setting")

FIT_SHARE = 0.8  # of the defender's clean rows; the rest validates
TOLERANCE = 0.02  # of validation accuracy that a defense may spend


def sample_rows(allowed: Tensor, count: int, generator: Generator) -> Tensor:
    """`count` distinct rows out of those allowed, int64, ascending.

    Args:
        allowed: bool (N,).
        count: at most the number of allowed rows.
        generator: draws them.
    """
    rows = allowed.nonzero().flatten().cpu()
    return rows[torch.randperm(len(rows), generator=generator)[:count]].sort().values


def draw_stratified(split: Split, share: float, at_least: int, generator: Generator) -> Tensor:
    """About a share of the rows of every class, whole groups only; int64, ascending.

    Every class gives at least `at_least` groups and keeps one; the realised share can therefore exceed the asked one.

    Args:
        split: rows with class labels; a row without a group is a group of its own.
        share: of each class's groups, in (0, 1).
        at_least: groups of each class.
        generator: draws them.

    Raises:
        BadInput: a class has too few groups.
    """
    assert isinstance(split.targets, Tensor)
    group = torch.arange(len(split)) if split.group is None else split.group
    drawn = []
    for label in split.targets.unique():
        rows = (split.targets == label).nonzero().flatten()
        groups = group[rows].unique()
        if len(groups) <= at_least:
            raise BadInput(
                f"class {int(label)} has {len(groups)} rows or tracks to choose from, {at_least + 1} are needed; "
                "raise dataset.clean, add rows or drop the class"
            )
        taken = min(len(groups) - 1, max(at_least, round(share * len(groups))))
        chosen = groups[torch.randperm(len(groups), generator=generator)[:taken]]
        drawn.append(rows[torch.isin(group[rows], chosen)])
    return torch.cat(drawn).sort().values


class FitValidation(NamedTuple):
    """The defender's trusted rows, cut in two."""

    fit: Split
    validation: Split


def fit_validation(clean: Split, generator: Generator) -> FitValidation:
    """Cut trusted rows 80 to 20, stratified, groups whole: the only validation rows a defense may use.

    Raises:
        BadInput: a class has a single row or track.
    """
    held_out = draw_stratified(clean, 1 - FIT_SHARE, 1, generator)
    return FitValidation(clean.without(held_out), clean.take(held_out))


def allowed_drop(accuracy: float, rows: int) -> float:
    """How much validation accuracy a defense may spend: the larger of 2 points and one standard error."""
    return max(TOLERANCE, math.sqrt(accuracy * (1 - accuracy) / rows))


def strongest(
    settings: Iterable[Setting], accuracy: Callable[[Setting], float], start: float, rows: int
) -> Setting | None:
    """The last setting of a ladder before validation accuracy falls too far; None if already the first costs too much.

    Args:
        settings: from weak to strong; the climb stops at the first that costs too much.
        accuracy: validation accuracy under a setting, in [0, 1].
        start: validation accuracy before the defense.
        rows: validation rows.
    """
    floor, best = start - allowed_drop(start, rows), None
    for setting in settings:
        if accuracy(setting) < floor:
            break
        best = setting
    return best


def threshold_at_fpr(clean_suspicion: Tensor, fpr: float) -> float:
    """The lowest threshold that at most a share `fpr` of clean rows exceeds (flag where suspicion > threshold).

    Args:
        clean_suspicion: float (N,), at least one.
        fpr: in [0, 1).
    """
    ranked = clean_suspicion.sort(descending=True).values
    return float(ranked[min(len(ranked) - 1, math.floor(fpr * len(ranked)))])
