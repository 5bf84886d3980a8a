"""The classifier of images: reads uint8 pixels, normalises inside the model, runs a network's stages and head."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Self

import torch
from torch import Generator, Tensor, nn

from benchmark.errors import BadInput
from benchmark.feed import Feed, ImageFeed
from benchmark.recipe import Recipe, resolved_precision
from benchmark.seeds import forked
from benchmark.types import Inputs, Split, State
from benchmark.victim import Classifier

PIXELS_PER_BATCH = {"cpu": 131_072, "cuda": 8_388_608, "mps": 4_194_304}  # evaluation: 128 rows of 32x32 on a CPU


class Network(nn.Module):
    """What an architecture file provides.

    Attributes:
        stages: run in order, from normalised pixels (N, C, H, W) to the last activations.
        head: last activations -> logits (N, K); its last module is a `nn.Linear`.
        smallest: the smallest height and width it can read, in pixels.
        resizes_to: pixels of a side to which it resizes images by itself; None where it reads them as they come.
    """

    stages: nn.ModuleList
    head: nn.Sequential
    smallest: int
    resizes_to: int | None = None


class ImageClassifier(Classifier):
    """A network that reads uint8 images.

    Args:
        network: (channels, classes) -> Network, the partial constructor in the architecture's yaml; one whose layers
            depend on the images' shorter side has a third argument, `side`.
        sample: rows that tell the image's shape and the number of classes.
        recipe: how it is trained.
        device: where it lives.
        generator: draws the initial weights.
        mean, std: normalisation of pixels in [0, 1], inside the model so that attacks and defenses act on pixels; one
            number, or one a channel.

    Raises:
        BadInput: the images are smaller than the network can read, or `mean` or `std` do not fit their channels.
    """

    modality = "image"

    # More than six: three from the yaml, four from the run.
    def __init__(
        self,
        network: Callable[..., Network],
        sample: Split,
        recipe: Recipe,
        device: torch.device,
        generator: Generator,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.25,
    ) -> None:
        assert isinstance(sample.inputs, Tensor) and sample.classes is not None
        self.classes, channels = sample.classes, sample.inputs.shape[1]
        side = min(sample.inputs.shape[-2:])
        asked = {"side": side} if "side" in inspect.signature(network).parameters else {}
        with forked(generator, torch.device("cpu")):
            net = network(channels=channels, classes=self.classes, **asked)
        if side < net.smallest:
            raise BadInput(
                f"images of {side} pixels: {type(net).__name__} needs {net.smallest}; choose another architecture"
            )
        self.pixels = net.resizes_to**2 if net.resizes_to else sample.inputs.shape[-2] * sample.inputs.shape[-1]
        self.widths = _widths(net, sample.inputs[:1].float())
        for stage, width in enumerate(self.widths):
            net.register_buffer(f"keep_{stage}", torch.ones(width))
        super().__init__(net.to(memory_format=torch.channels_last), recipe, device)
        self.network = net
        self.masked = frozenset[int]()  # stages with a mask
        if not all(value > 0 for value in ([std] if isinstance(std, int | float) else std)):
            raise BadInput(f"architecture.std={std}: must be above 0; set architecture.std")
        self.mean = _per_channel("mean", mean, channels, device)
        self.std = _per_channel("std", std, channels, device)
        self.bf16 = resolved_precision(recipe.precision, device.type) == "bf16"

    def copy(self) -> ImageClassifier:
        """An independent twin with the same weights."""
        twin = super().copy()
        assert isinstance(twin.module, Network)
        twin.network = twin.module
        return twin

    def feed(self, split: Split, recipe: Recipe) -> Feed:
        """Batches of images on the device, augmented as the recipe says."""
        return ImageFeed(split, recipe, self.device)

    def compile(self) -> None:
        """Compile each stage: training calls them one by one."""
        for stage in self.network.stages:
            stage.compile()

    def encode(self, inputs: Inputs) -> Tensor:
        """uint8 (N, C, H, W) -> float pixels in [0, 1] on the device, channels_last."""
        assert isinstance(inputs, Tensor)
        x = inputs.to(self.device).to(torch.float32, memory_format=torch.channels_last)
        return x / 255

    def activations(self, x: Tensor, stage: int = -1) -> Tensor:
        """Output of a stage, float (N, C, ...), channels masked where `mask` said so."""
        last = stage % len(self.network.stages)
        with self._autocast():
            x = (x - self.mean) / self.std
            for at in range(last + 1):
                x = self.network.stages[at](x)
                if at in self.masked:  # a product at every stage would cost each training a few percent
                    x = x * self._keep(at, x.dim())
        return x.float()

    def head_logits(self, activations: Tensor) -> Tensor:
        """Class scores from the last stage's activations, float (N, K)."""
        with self._autocast():
            logits: Tensor = self.network.head(activations)
        return logits.float()

    def channels(self, stage: int = -1) -> int:
        """C of a stage's activations."""
        return self.widths[stage]

    def mask(self, keep: Tensor, stage: int = -1) -> None:
        """Multiply a stage's channels by `keep`, float (C,), from now on."""
        buffer = self.network.get_buffer(f"keep_{stage % len(self.widths)}")
        buffer.copy_(keep)
        self._find_masks()

    def load(self, state: State) -> Self:
        """Set all tensors, masks among them, and return self."""
        super().load(state)
        self._find_masks()
        return self

    def resize(self, classes: int, generator: Generator) -> None:
        """Give the last linear layer `classes` outputs; classes that stay keep their weights."""
        old = self.network.head[-1]
        assert isinstance(old, nn.Linear)
        with forked(generator, torch.device("cpu")):
            new = nn.Linear(old.in_features, classes)
        kept = min(classes, old.out_features)
        with torch.no_grad():
            new.weight[:kept] = old.weight[:kept].cpu()
            new.bias[:kept] = old.bias[:kept].cpu()
        self.network.head[-1] = new.to(self.device)
        self.classes = classes

    def batch_rows(self) -> int:
        """Rows of an evaluation batch: as many as fit the measured number of pixels."""
        return max(16, PIXELS_PER_BATCH.get(self.device.type, 131_072) // self.pixels)

    def _keep(self, stage: int, dimensions: int) -> Tensor:
        return self.network.get_buffer(f"keep_{stage}").view(1, -1, *[1] * (dimensions - 2))

    def _find_masks(self) -> None:
        stages = range(len(self.widths))
        self.masked = frozenset(at for at in stages if not bool(self.network.get_buffer(f"keep_{at}").eq(1).all()))

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


@torch.no_grad()
def _widths(net: Network, image: Tensor) -> list[int]:
    """Channels after each stage, by running one blank image in evaluation mode."""
    net.eval()
    widths, x = [], torch.zeros_like(image)
    for stage in net.stages:
        x = stage(x)
        widths.append(x.shape[1])
    return widths


def _per_channel(name: str, values: float | Sequence[float], channels: int, device: torch.device) -> float | Tensor:
    """A number as it is, or one number a channel as (C, 1, 1)."""
    if isinstance(values, int | float):
        return values
    if len(values) != channels:
        raise BadInput(
            f"architecture.{name}={list(values)}: {len(values)} numbers for images of {channels} channels; "
            "give one number, or one a channel"
        )
    return torch.tensor(list(values), device=device)[:, None, None]
