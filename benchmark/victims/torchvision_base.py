"""What networks of torchvision share: fitted to small images, or with ImageNet weights.

torchvision is imported when one is built and not before: its import costs seconds that an own network need not pay.
"""

from __future__ import annotations

import re
import sys
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import redirect_stdout
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError  # what torch.load raises for a damaged file; nothing is unpickled here
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from benchmark.errors import BadInput
from benchmark.victims.image_classifier import Network

SMALL = 64  # images below so many pixels a side meet a stem that keeps their detail; torchvision's are made for 224


class TorchvisionNetwork(Network):
    """A network of torchvision, cut into stages.

    Untrained, the first layers are fitted to the size and channels of the images. Pretrained, everything but the last
    layer is as it was published, and the first stage begins by resizing images to the size it was trained at (the
    backward of resizing is not deterministic on CUDA; only methods that optimise pixels need it). `mean` and `std` of
    the architecture must then be ImageNet's, as its yaml says.

    Args:
        channels: C of the images; 3 if pretrained.
        classes: K.
        side: pixels of the images' shorter side.
        pretrained: start from ImageNet weights, which torchvision downloads once.

    Attributes:
        builder: what torchvision calls it.
        weights: those that torchvision 0.29 calls DEFAULT, by name, so that a later version changes no result.
        trained_at: pixels of a side for which these weights were made.
        first: its first convolution.
        small_first: kernel, stride and padding of that convolution for small images; None if only channels may change.
        pool: a pooling that small images skip.

    Raises:
        BadInput: the weights cannot be had, or read other images.
    """

    builder: ClassVar[str]
    weights: ClassVar[str] = "IMAGENET1K_V1"
    trained_at: ClassVar[int] = 224
    first: ClassVar[str]
    small_first: ClassVar[tuple[int, int, int] | None] = (3, 1, 1)
    pool: ClassVar[str | None] = None

    def __init__(self, channels: int, classes: int, side: int, pretrained: bool = False) -> None:
        super().__init__()
        if pretrained and channels != 3:
            raise BadInput(
                f"architecture.network.pretrained=true: {self.builder}'s weights read 3 channels, these images have "
                f"{channels}; set architecture.network.pretrained=false, or dataset.channels=3 where there is a choice"
            )
        if pretrained:
            self.resizes_to, self.smallest = self.trained_at, 1
            net = self.build(1000, self.trained_at)
            net.load_state_dict(_downloaded(self.builder, self.weights))
        else:
            net = self.build(classes, side)
            self.adapt(net, channels, side)
        stages, head = self.parts(net)
        self.stages, self.head = nn.ModuleList(stages), nn.Sequential(*head)
        if pretrained:
            self.stages[0] = nn.Sequential(Resized(self.trained_at), self.stages[0])
            last = self.head[-1]
            assert isinstance(last, nn.Linear)
            self.head[-1] = nn.Linear(last.in_features, classes)

    def build(self, classes: int, side: int) -> Any:
        """The whole network with initial weights."""
        from torchvision.models import get_model

        return get_model(self.builder, weights=None, num_classes=classes)

    def adapt(self, net: Any, channels: int, side: int) -> None:
        """Replace, in place, the layers whose shape depends on the images."""
        small = side < SMALL
        convolution = _first(net.get_submodule(self.first), channels, self.small_first if small else None)
        net.set_submodule(self.first, convolution)
        if small and self.pool is not None:
            net.set_submodule(self.pool, nn.Identity())

    @abstractmethod
    def parts(self, net: Any) -> tuple[Sequence[nn.Module], Sequence[nn.Module]]:
        """The stages, cut where maps are halved, and the modules of the head."""


class Resized(nn.Module):
    """(N, C, H, W) -> (N, C, side, side), bilinear."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)


def _first(old: nn.Conv2d, channels: int, shape: tuple[int, int, int] | None) -> nn.Conv2d:
    """A convolution like `old` for these channels, with another kernel, stride and padding where `shape` says so.

    A new one starts with torch's own weights: normalisation follows, so their scale does not matter.
    """
    if shape is None and channels == old.in_channels:
        return old
    kernel, stride, padding = shape or (old.kernel_size[0], old.stride[0], int(old.padding[0]))
    return nn.Conv2d(channels, old.out_channels, kernel, stride, padding, bias=old.bias is not None)


def _downloaded(builder: str, weights: str) -> dict[str, Tensor]:
    """ImageNet weights from torch.hub's cache, fetched into it if they are not there."""
    from torchvision.models import get_model_weights

    chosen = get_model_weights(builder)[weights]
    place = Path(torch.hub.get_dir()) / "checkpoints" / chosen.url.rpartition("/")[2]
    try:
        with redirect_stdout(sys.stderr):  # torch.hub announces a download on stdout, which is for results
            state = chosen.get_state_dict(progress=True, check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, HTTPException, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(
            f"{builder}'s ImageNet weights: not to be had from {place} nor {chosen.url} ({reason}); connect to the "
            "network, put the published file at that place, or set architecture.network.pretrained=false"
        ) from error
    # densenet161's file is older than torch's ban on dots in names of modules
    return {re.sub(r"(denselayer\d+\.[a-z]+)\.([12])", r"\1\2", name): tensor for name, tensor in state.items()}
