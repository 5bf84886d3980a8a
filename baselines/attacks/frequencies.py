"""The discrete cosine transform (Ahmed, Natarajan, Rao, 1974), and patterns added to pictures, for two attacks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmark.images import to_uint8

ADD_ROWS = 64  # at a time: a bound on memory


def cosines(size: int) -> Tensor:
    """The orthonormal DCT-II matrix D, float32 (size, size): D @ x @ D.T transforms, D.T @ z @ D transforms back.

    Row 0 is the mean, the last row the highest frequency.
    """
    index = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * index[:, None] * (index + 0.5)) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves.float()


def add(images: Tensor, pattern: Tensor) -> Tensor:
    """The images plus a pattern, rounded and clamped: uint8 (N, C, H, W), a new tensor.

    Args:
        images: uint8 (N, C, H, W).
        pattern: float (C, H, W), in grey levels.
    """
    added = pattern.to(images.device)
    return torch.cat([to_uint8(part + added) for part in torch.split(images, ADD_ROWS)])
