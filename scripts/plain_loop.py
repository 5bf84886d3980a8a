"""The reference of scripts/bench.py: training as most papers' code does it, PIL images, a DataLoader and fp32."""

from __future__ import annotations

from itertools import islice

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmark.recipe import Recipe
from benchmark.types import Split

MEAN, DEVIATION = 0.5, 0.25  # as conf/architecture normalises inside the model
WORKERS = {"cuda": 4}  # of the loader; none on a CPU, where they would take the network's cores


class PlainImages(Dataset[tuple[Tensor, int]]):
    """PIL images under torchvision's crop, flip and normalisation, one at a time.

    Args:
        split: uint8 images of one or three channels.
        recipe: says how far to crop, and whether to flip.
    """

    def __init__(self, split: Split, recipe: Recipe) -> None:
        assert isinstance(split.inputs, Tensor) and isinstance(split.targets, Tensor)
        channels, *size = split.inputs.shape[1:]
        arrays = split.inputs.permute(0, 2, 3, 1).numpy()
        self.images = [Image.fromarray(array[..., 0] if channels == 1 else array) for array in arrays]
        self.targets: list[int] = split.targets.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=round(recipe.crop * size[1])),
                transforms.RandomHorizontalFlip(0.5 * recipe.flip),
                transforms.ToTensor(),
                transforms.Normalize([MEAN] * channels, [DEVIATION] * channels),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(self.images[row]), self.targets[row]


class PlainLoop:
    """One network, its optimiser and its loader; `epoch` trains once over the rows.

    Args:
        network: pixels already normalised -> logits.
        split: as for `PlainImages`.
        recipe: learning rate, momentum, decay, batch size and augmentation.
        device: where the network is.
    """

    def __init__(self, network: nn.Module, split: Split, recipe: Recipe, device: torch.device) -> None:
        self.network = network.to(memory_format=torch.contiguous_format)
        self.device = device
        workers = WORKERS.get(device.type, 0)
        self.loader = DataLoader(
            PlainImages(split, recipe),
            recipe.batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,  # started once, before the clock
            pin_memory=device.type == "cuda",
        )
        self.optimiser = torch.optim.SGD(
            network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )

    def epoch(self, batches: int | None = None) -> float:
        """Train on every row once, or on some batches; returns the sum of the losses, which waits for the device."""
        self.network.train()
        total = torch.zeros((), device=self.device)
        for images, targets in islice(self.loader, batches):
            logits = self.network(images.to(self.device, non_blocking=True))
            loss = cross_entropy(logits, targets.to(self.device, non_blocking=True))
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            total += loss.detach()
        return float(total)
