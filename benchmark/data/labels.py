"""Labels of any kind into class numbers: which classes there are, which are kept, and which rows carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.data.tables import nearest
from benchmark.errors import BadInput


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes:
        number: label -> class number, of the labels that are kept.
        names: of the kept classes, in order of their numbers.
        known: every label that a row may carry; None where other labels mean rows to drop.
    """

    number: dict[object, int]
    names: list[str]
    known: frozenset[object] | None

    def rows(self, split: str, labels: Sequence[object], limit: int | None) -> tuple[list[int], NDArray[np.int64]]:
        """The first rows whose class is kept.

        Args:
            split: its name, for errors.
            labels: one a row.
            limit: how many rows to take at most, or None for all.

        Returns:
            Row numbers, ascending, and their classes, int64.

        Raises:
            BadInput: a label that is missing, negative or not one of the known ones.
        """
        for row, label in enumerate(labels):
            _check_label(split, row, label)
            if self.known is not None and label not in self.known:
                there = nearest(str(label), sorted(self.known, key=_order))
                raise BadInput(
                    f"{split} row {row}: label {label} is not one of the training labels; {there}; "
                    "mend the row or name the labels to keep in dataset.classes"
                )
        rows = [row for row, label in enumerate(labels) if label in self.number][:limit]
        return rows, np.array([self.number[labels[row]] for row in rows], np.int64)


def find_classes(
    split: str, labels: Sequence[object], names: list[str] | None, keep: Sequence[int | str] | None
) -> Classes:
    """Number the classes from 0: in the order asked for, else in that of their names' list, else sorted.

    Args:
        split: the training split's name, for errors.
        labels: its labels, integers or strings.
        names: what the labels 0, 1, ... are called, where that is known.
        keep: labels, or their names, to keep; None for all.

    Raises:
        BadInput: missing or negative labels, a label to keep that is not there or there twice, fewer than 2 classes.
    """
    for row, label in enumerate(labels):
        _check_label(split, row, label)
    values: list[object] = list(range(len(names))) if names is not None else sorted(set(labels), key=_order)
    called = names if names is not None else [str(value) for value in values]
    lookup: dict[object, object] = dict(zip(called, values, strict=True))
    lookup.update((value, value) for value in values)
    for label in keep or []:
        if label not in lookup:
            raise BadInput(f"dataset.classes: no label {label}; {nearest(str(label), called)}")
    kept = values if keep is None else [lookup[label] for label in keep]
    if len(set(kept)) < len(kept):
        raise BadInput(f"dataset.classes={list(keep or [])}: a label appears twice; list each once")
    if len(kept) < 2:
        raise BadInput(
            f"{split} has {len(kept)} classes {kept}: at least 2 are needed; add rows or list more in dataset.classes"
        )
    name_of = dict(zip(values, called, strict=True))
    number = {value: index for index, value in enumerate(kept)}
    return Classes(number, [name_of[value] for value in kept], frozenset(values) if keep is None else None)


def _check_label(split: str, row: int, label: object) -> None:
    if label is None or (isinstance(label, int) and label < 0):
        raise BadInput(
            f"{split} row {row}: label {label}; labels start at 0: label the rows, or choose a labelled split"
        )


def _order(label: object) -> tuple[int, str]:
    """Integers by value; strings by their characters."""
    return (label, "") if isinstance(label, int) else (0, str(label))
