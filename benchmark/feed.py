"""Batches of a split for training: shuffled, on the device, augmented there by batched tensor code.

An epoch's randomness is drawn on the CPU from the epoch's generator, so that every device sees the same order, and
nothing inside an epoch waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Generator, Tensor

from benchmark.augment import Pictures, shrunk
from benchmark.recipe import Recipe
from benchmark.types import Split

DEVICE_SHARE = 0.5  # of the free memory of a GPU that a split may take; a larger one is streamed from the host


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
        smaller = shrunk(images, recipe.small_scale).to(home) if recipe.small_epochs else None
        self.small = None if smaller is None else Pictures(smaller, recipe)
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
