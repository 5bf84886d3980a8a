"""What a data source is. Nothing here or in a source's module imports torch at import time: keys need only digests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BadInput


@dataclass(frozen=True)
class Rows:
    """Decoded rows of one split.

    Attributes:
        inputs: uint8 (N, C, H, W).
        targets: int64 (N,), classes from 0.
        group: int64 (N,) or None; rows of one group (a track, a patient) must not be separated.
    """

    inputs: NDArray[np.uint8]
    targets: NDArray[np.int64]
    group: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Decoded:
    """A whole data set, as a source reads it.

    Attributes:
        train, test: its rows.
        classes: names of the K classes, in order of their numbers.
    """

    train: Rows
    test: Rows
    classes: list[str]


class Source(ABC):
    """Reads a data set.

    Args:
        clean: the defender's trusted rows, taken out of the training rows: a share below 1, or a number of rows.
        mirror: whether a mirrored picture keeps its label.
    """

    modality: ClassVar[str] = "image"

    def __init__(self, clean: float, mirror: bool) -> None:
        if isinstance(clean, bool) or clean <= 0 or (clean >= 1 and clean != int(clean)):
            raise BadInput(
                f"dataset.clean={clean}: must be a share between 0 and 1 or a number of rows; set dataset.clean"
            )
        self.name = type(self).__name__  # what tables call it
        self.clean = clean
        self.mirror = mirror

    @abstractmethod
    def files(self, downloads: Path) -> list[Path]:
        """The files the rows are read from, downloaded into `downloads` if they are not there.

        Raises:
            BadInput: they are missing and cannot be downloaded.
        """

    @abstractmethod
    def decode(self, downloads: Path) -> Decoded:
        """Read and decode everything.

        Raises:
            BadInput: unreadable pictures, missing columns, no rows.
        """
