"""How visible a trigger is: each row beside its triggered form, in three measures that need no trained network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = 200  # the first so many are measured: enough for a mean to one decimal, and the cost grows with the pixels
WHITE = 255.0
WIDEST = 7  # pixels; the usual side of a window of structural similarity

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Stealth:
    """Means over rows of one picture against another; a measure without any row to stand on is None.

    Attributes:
        n: rows that were compared.
        unchanged: of these, rows whose two pictures are equal. Their PSNR is infinite, so `psnr` leaves them out; the
            other two means hold them.
        psnr: peak signal-to-noise ratio in dB, over the n - unchanged other rows; higher is stealthier.
        ssim: structural similarity, at most 1, which is equality.
        window: side of its windows in pixels, or None where pictures are too small for any.
        colour_difference: CIEDE2000, averaged over a picture's pixels; 0 is equality, 1 about the least that an eye
            tells apart, 100 black against white.
    """

    n: int
    unchanged: int
    psnr: float | None
    ssim: float | None
    window: int | None
    colour_difference: float | None


def stealth(before: Tensor, after: Tensor, most: int = ROWS) -> Stealth:
    """Compare pictures with what an attack made of them: test rows under the trigger, or training rows embedded.

    Args:
        before: uint8 (N, C, H, W).
        after: uint8 (N, C, H, W), aligned with `before`.
        most: only the first so many rows are measured, at least 1.

    Returns:
        Counts and means; None for each mean of no rows.

    Raises:
        ValueError: shapes differ, pixels are not uint8, or `most` is below 1.
    Source: Wang, Bovik, Sheikh and Simoncelli 2004 (IEEE Transactions on Image Processing) for structural similarity;
        Sharma, Wu and Dalal 2005 (Color Research and Application) for CIEDE2000; both as scikit-image computes them.
    """
    if before.shape != after.shape or before.ndim != 4:
        raise ValueError(f"rows of shapes {tuple(before.shape)} and {tuple(after.shape)}: must be one (N, C, H, W)")
    if (before.dtype, after.dtype) != (torch.uint8, torch.uint8):
        raise ValueError(f"pixels of {before.dtype} and {after.dtype}: must be uint8")
    if most < 1:
        raise ValueError(f"most={most}: must be at least 1")
    pairs = [(one.numpy(), other.numpy()) for one, other in zip(before[:most].cpu(), after[:most].cpu(), strict=True)]
    changed = [pair for pair in pairs if not np.array_equal(*pair)]
    side = window_for(before.shape[2], before.shape[3])
    return Stealth(
        n=len(pairs),
        unchanged=len(pairs) - len(changed),
        psnr=_mean([peak_ratio(*pair) for pair in changed]),
        ssim=None if side is None else _mean([similarity(*pair, side) for pair in pairs]),
        window=side,
        colour_difference=_mean([colour_difference(*pair) for pair in pairs]),
    )


def window_for(height: int, width: int) -> int | None:
    """Side of the windows: 7 pixels, or the largest odd number in half of a smaller picture's side, at least 3.

    Seven pixels of eight would leave four windows, of which one alone sees a corner; three leave thirty-six.
    """
    smaller = min(height, width)
    half = smaller // 2
    side = max(3, min(WIDEST, half - (half + 1) % 2))
    return side if side <= smaller else None


def peak_ratio(before: Pictures, after: Pictures) -> float:
    """Peak signal-to-noise ratio of two different pictures uint8 (C, H, W), in dB."""
    error = np.square(before.astype(np.float64) - after).mean()
    return float(10 * np.log10(WHITE**2 / error))


def similarity(before: Pictures, after: Pictures, side: int) -> float:
    """Structural similarity of two pictures uint8 (C, H, W), averaged over channels and windows."""
    from skimage.metrics import structural_similarity  # a second to import, and only this measure needs it

    return float(structural_similarity(before, after, win_size=side, data_range=WHITE, channel_axis=0))


def colour_difference(before: Pictures, after: Pictures) -> float:
    """CIEDE2000 between two pictures uint8 (C, H, W), averaged over pixels.

    Three channels and more are read as red, green, blue and what is left out; fewer as grey levels.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab  # as above

    one, other = (rgb2lab(_colours(picture)) for picture in (before, after))
    return float(np.mean(deltaE_ciede2000(one, other)))


def _colours(picture: Pictures) -> Pictures:
    """uint8 (H, W, 3)."""
    three = picture[:3] if picture.shape[0] >= 3 else np.repeat(picture[:1], 3, axis=0)
    return np.moveaxis(three, 0, 2)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
