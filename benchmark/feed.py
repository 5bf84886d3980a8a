"""Batches of a split for training: shuffled, on the device, augmented there by batched tensor code.

An epoch's randomness is drawn on the CPU from the epoch's generator, so that every device sees the same order, and
nothing inside an epoch waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate, pad

from benchmark.recipe import Recipe
from benchmark.types import Split

DEVICE_SHARE = 0.5  # of the free memory of a GPU that a split may take; a larger one is streamed from the host
RESIZED_AT_ONCE = 1024  # images


class Feed:
    """Shuffled batches of a split, without augmentation.

    Args:
        split: rows.
        recipe: gives the batch size.
        device: where batches go.
    """

    def __init__(self, split: Split, recipe: Recipe, device: torch.device) -> None:
        self.split = split
        self.device = device
        self.steps = math.ceil(len(split) / recipe.batch_size)

    def epoch(self, number: int, generator: Generator, start: int = 0) -> Iterator[Split]:
        """Every row once, in equal batches (sizes differ by at most one).

        Args:
            number: of the epoch, from 0.
            generator: all draws of the epoch come from it.
            start: batches to leave out, when a training continues in mid-epoch.
        """
        order = torch.randperm(len(self.split), generator=generator)
        for rows in order.tensor_split(self.steps)[start:]:
            yield self.split.take(rows).to(self.device)


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


class ImageFeed(Feed):
    """Shuffled batches of images, augmented on the device as the recipe says, smaller in its first epochs.

    Images lie on the device. Where they would take too much of its memory they stay on the host, and chunks of the
    shuffled epoch, of half of the limit each, are copied while the device still works on the chunk before.

    Args:
        split: uint8 images.
        recipe: how they are augmented.
        device: where batches go.
        limit: bytes that may lie on the device; None for a share of a GPU's free memory, and no limit on a CPU.
    """

    def __init__(self, split: Split, recipe: Recipe, device: torch.device, limit: int | None = None) -> None:
        images = split.inputs
        assert isinstance(images, Tensor)
        super().__init__(replace(split, inputs=torch.arange(len(split))), recipe, device)  # row numbers for images
        limit = _free(device) if limit is None else limit
        self.chunk_bytes = limit // 2 if limit is not None and images.nbytes > limit else None
        home = device if self.chunk_bytes is None else torch.device("cpu")
        self.split = self.split.to(home)
        shrunk = _shrunk(images, recipe.small_scale).to(home) if recipe.small_epochs else None
        self.small = None if shrunk is None else Pictures(shrunk, recipe)
        self.full = Pictures(images.to(home), recipe)
        self.small_epochs = recipe.small_epochs

    def epoch(self, number: int, generator: Generator, start: int = 0) -> Iterator[Split]:
        """Every row once, augmented; arguments as in `Feed.epoch`."""
        pictures = self.small if self.small is not None and number < self.small_epochs else self.full
        draws = pictures.draw(generator)
        batches = torch.arange(len(self.split)).tensor_split(self.steps)[start:]
        for chunk in self._chunks([(int(batch[0]), int(batch[-1]) + 1) for batch in batches], pictures):
            first, last = chunk[0][0], chunk[-1][1]
            order, here = draws.order[first:last], draws.between(first, last, self.device)
            labels = self.split.take(order).to(self.device)
            padded, rows = self._held(pictures, order)
            for start_row, end_row in chunk:
                at, to = start_row - first, end_row - first
                images = pictures.gather(padded, rows[at:to], here.between(at, to, self.device))
                yield replace(labels.take(torch.arange(at, to, device=self.device)), inputs=images)

    def _chunks(self, batches: list[tuple[int, int]], pictures: Pictures) -> Iterator[list[tuple[int, int]]]:
        """Consecutive batches (first row, end row) whose images lie on the device together."""
        batch_bytes = pictures.padded.nbytes / self.steps
        fitting = self.steps if self.chunk_bytes is None else max(1, int(self.chunk_bytes / batch_bytes))
        for at in range(0, len(batches), fitting):
            yield batches[at : at + fitting]

    def _held(self, pictures: Pictures, order: Tensor) -> tuple[Tensor, Tensor]:
        """Padded images on the device, and where in them the rows of `order` lie."""
        if self.chunk_bytes is None:
            return pictures.padded, order.to(self.device)
        chosen = pictures.padded[order]
        pinned = chosen.pin_memory() if self.device.type == "cuda" else chosen
        return pinned.to(self.device, non_blocking=True), torch.arange(len(order), device=self.device)


def _free(device: torch.device) -> int | None:
    """Bytes of a GPU that a split may take; None on a CPU, where device and host are one."""
    return int(DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def _shrunk(images: Tensor, scale: float) -> Tensor:
    """Images at a share of their side, uint8 (N, C, h, w), antialiased, some at a time."""
    side = [max(1, round(scale * length)) for length in images.shape[-2:]]
    parts = [interpolate(part.float(), side, mode="bilinear", antialias=True) for part in images.split(RESIZED_AT_ONCE)]
    return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
