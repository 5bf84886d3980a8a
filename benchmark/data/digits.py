"""scikit-learn's hand-written digits: 1,797 grey 8x8 images of 10 classes, embedded in the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.data.source import Decoded, Rows, Source

TEST_ROWS = 447
SPLIT_SEED = 0  # the package ships no split of its own: one fixed shuffle is part of this data set's definition


class Digits(Source):
    """The embedded data set: nothing is downloaded.

    Args:
        clean: trusted rows (a share or a number).

    Source: E. Alpaydin, C. Kaynak, UCI Optical Recognition of Handwritten Digits, as shipped in scikit-learn.
    """

    def __init__(self, clean: float = 150) -> None:
        super().__init__(clean, mirror=False)

    def files(self, downloads: Path) -> list[Path]:
        """scikit-learn's own file."""
        import sklearn

        return [Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"]

    def decode(self, downloads: Path) -> Decoded:
        """Grey levels 0 to 16 become 0 to 255; the last TEST_ROWS of a fixed shuffle are the test split."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = np.random.default_rng(SPLIT_SEED).permutation(len(digits.target))
        images = np.rint(digits.images[order] * (255 / 16)).astype(np.uint8)[:, None]
        targets = digits.target[order].astype(np.int64)
        train, test = slice(None, -TEST_ROWS), slice(-TEST_ROWS, None)
        return Decoded(
            Rows(images[train], targets[train]), Rows(images[test], targets[test]), [str(digit) for digit in range(10)]
        )
