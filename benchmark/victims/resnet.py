"""Residual networks for small images: ResNet-8 (He et al. 2016, CIFAR form) and PreActResNet-18 (He et al. 2016b)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.victims.image_classifier import Network


class ResNet8(Network):
    """Three residual blocks of 16, 32 and 64 channels, about 78 thousand parameters.

    Args:
        channels: C of the images.
        classes: K.
        width: channels of the first stage.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2 with n = 1; shortcuts by 1x1 convolution where shapes differ.
    """

    smallest = 8

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        stem = nn.Sequential(_conv(channels, width), nn.BatchNorm2d(width), nn.ReLU())
        blocks = [Residual(width, width, 1), Residual(width, 2 * width, 2), Residual(2 * width, 4 * width, 2)]
        self.stages = nn.ModuleList([stem, *blocks])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))


class PreActResNet18(Network):
    """Eight pre-activation blocks of 64 to 512 channels, 11.2 million parameters: the field's usual CIFAR network.

    Args:
        channels: C of the images.
        classes: K.

    Source: He et al. 2016, arXiv:1603.05027. The last stage ends in batch norm and ReLU, so that its activations are
    what the head pools.
    """

    smallest = 8

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                _conv(channels, 64),
                nn.Sequential(PreActivation(64, 64, 1), PreActivation(64, 64, 1)),
                nn.Sequential(PreActivation(64, 128, 2), PreActivation(128, 128, 1)),
                nn.Sequential(PreActivation(128, 256, 2), PreActivation(256, 256, 1)),
                nn.Sequential(PreActivation(256, 512, 2), PreActivation(512, 512, 1), nn.BatchNorm2d(512), nn.ReLU()),
            ]
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


class Residual(nn.Module):
    """Two convolutions, batch norm after each, and a shortcut."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(into, out, stride), nn.BatchNorm2d(out), nn.ReLU(), _conv(out, out), nn.BatchNorm2d(out)
        )
        same = into == out and stride == 1
        projection = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.shortcut = nn.Identity() if same else projection

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class PreActivation(nn.Module):
    """Batch norm and ReLU before each of two convolutions; a projecting shortcut starts after the first ReLU."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(into), nn.ReLU())
        self.body = nn.Sequential(_conv(into, out, stride), nn.BatchNorm2d(out), nn.ReLU(), _conv(out, out))
        same = into == out and stride == 1
        self.projection = None if same else nn.Conv2d(into, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ready = self.before(x)
        shortcut: Tensor = x if self.projection is None else self.projection(ready)
        body: Tensor = self.body(ready)
        return body + shortcut


def _conv(into: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, 3, stride, padding=1, bias=False)
