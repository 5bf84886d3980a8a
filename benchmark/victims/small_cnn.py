"""A small convolutional network for CPUs: four convolutions, about 130 thousand parameters, any input from 8x8."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark.victims.image_classifier import Network


class SmallCNN(Network):
    """Convolutions in two halvings and a global maximum; pooling comes before batch norm, which is cheaper.

    The maximum, unlike the usual mean, lets a patch of a few pixels be seen whole at the last stage.

    Args:
        channels: C of the images.
        classes: K.
        width: channels of the first convolution; the last has four times as many.
    """

    smallest = 8

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        wide, wider = 2 * width, 4 * width
        self.stages = nn.ModuleList(
            [
                _block(channels, width, halve=False),
                _block(width, wide, halve=True),
                _block(wide, wide, halve=False),
                nn.Sequential(*_block(wide, wider, halve=True), GlobalMaximum()),
            ]
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(wider, classes))


class GlobalMaximum(nn.Module):
    """(N, C, H, W) -> (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=True)


def _block(into: int, out: int, halve: bool) -> nn.Sequential:
    convolution = nn.Conv2d(into, out, 3, padding=1, bias=False)
    pool = [nn.MaxPool2d(2)] if halve else []
    return nn.Sequential(convolution, *pool, nn.BatchNorm2d(out), nn.ReLU())
