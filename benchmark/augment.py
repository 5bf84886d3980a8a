"""Augmentation of whole batches of images by tensor code: crop, flip, turn, cutout, and smaller copies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate, pad

from benchmark.recipe import Recipe

RESIZED_AT_ONCE = 1024  # images


@dataclass(frozen=True)
class Draws:
    """An epoch's draws, one a row in the epoch's order.

    Attributes:
        order: int64 (N,), the rows.
        shift: int64 (2, N), down and across, in pixels.
        mirrored: bool (N,).
        turn: float (N,), radians.
        hole: int64 (2, N), the upper left corner of the cutout.
    """

    order: Tensor
    shift: Tensor
    mirrored: Tensor
    turn: Tensor
    hole: Tensor

    def between(self, first: int, last: int, device: torch.device) -> Draws:
        """The draws of some rows, on a device."""
        columns = (self.order, self.shift, self.mirrored, self.turn, self.hole)
        return Draws(*(column[..., first:last].to(device) for column in columns))


class Pictures:
    """Padded images of one size, from which augmented batches are gathered.

    Order, crop, flip and rotation are one gather from NHWC rows: measured faster than unfolding, slicing or
    grid_sample, equal to a loop over images, and the result is channels_last already.

    Args:
        images: uint8 (N, C, H, W).
        recipe: says how far to shift, turn and cut.
    """

    def __init__(self, images: Tensor, recipe: Recipe) -> None:
        self.height, self.width = images.shape[-2:]
        self.recipe = recipe
        self.margin = round(recipe.crop * self.width)
        self.padded = pad(images, [self.margin] * 4).permute(0, 2, 3, 1).contiguous()  # (N, H + 2m, W + 2m, C)

    def draw(self, generator: Generator) -> Draws:
        """The draws of one epoch, on the CPU; always the same number of them, whatever the recipe uses."""
        rows, recipe = len(self.padded), self.recipe
        order = torch.randperm(rows, generator=generator)
        shift = torch.randint(0, 2 * self.margin + 1, (2, rows), generator=generator)
        mirrored = torch.rand(rows, generator=generator) < 0.5 * recipe.flip
        turn = (2 * torch.rand(rows, generator=generator) - 1) * math.radians(recipe.rotation)
        middle = torch.rand(2, rows, generator=generator)
        hole = (middle * torch.tensor([[self.height], [self.width]]) - recipe.cutout * self.width / 2).round().long()
        return Draws(order, shift, mirrored, turn, hole)

    def gather(self, padded: Tensor, rows: Tensor, draws: Draws) -> Tensor:
        """uint8 (B, C, H, W) in channels_last: the augmented form of `rows` int64 (B,) of padded images."""
        y, x = self._turned(draws) if self.recipe.rotation else self._windows(draws)
        images = padded[rows[:, None, None], y, x]
        if self.recipe.cutout:
            images = images.masked_fill(self._holes(draws)[..., None], 0)
        return images.permute(0, 3, 1, 2)

    def _windows(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """Rows (B, H, 1) and columns (B, 1, W) of each image's window."""
        down = torch.arange(self.height, device=draws.order.device)
        across = torch.arange(self.width, device=draws.order.device)
        columns = torch.where(draws.mirrored[:, None], across.flip(0), across)
        return (draws.shift[0][:, None] + down)[:, :, None], (draws.shift[1][:, None] + columns)[:, None, :]

    def _turned(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """Rows and columns (B, H, W) of the nearest pixel under each image's turn about its middle."""
        y, x = self._windows(draws)
        middle_y = draws.shift[0][:, None, None] + (self.height - 1) / 2
        middle_x = draws.shift[1][:, None, None] + (self.width - 1) / 2
        sine, cosine = draws.turn.sin()[:, None, None], draws.turn.cos()[:, None, None]
        away_y, away_x = y - middle_y, x - middle_x
        turned_y = (middle_y + cosine * away_y + sine * away_x).round().long()
        turned_x = (middle_x + cosine * away_x - sine * away_y).round().long()
        return turned_y.clamp(0, self.padded.shape[1] - 1), turned_x.clamp(0, self.padded.shape[2] - 1)

    def _holes(self, draws: Draws) -> Tensor:
        """Whether each pixel lies inside its image's cutout, bool (B, H, W)."""
        side = round(self.recipe.cutout * self.width)
        down = torch.arange(self.height, device=draws.order.device) - draws.hole[0][:, None]
        across = torch.arange(self.width, device=draws.order.device) - draws.hole[1][:, None]
        inside_y, inside_x = (down >= 0) & (down < side), (across >= 0) & (across < side)
        return inside_y[:, :, None] & inside_x[:, None, :]


def shrunk(images: Tensor, scale: float) -> Tensor:
    """Images at a share of their side, uint8 (N, C, h, w), antialiased, some at a time."""
    side = [max(1, round(scale * length)) for length in images.shape[-2:]]
    parts = [interpolate(part.float(), side, mode="bilinear", antialias=True) for part in images.split(RESIZED_AT_ONCE)]
    return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
