"""Seven networks of torchvision as stages and head, fitted to small images or with ImageNet weights.

`_cut` names torchvision's layers by number, those of version 0.29; tests compare every network with the uncut one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from benchmark.errors import BadInput
from benchmark.victims.torchvision_base import TorchvisionNetwork

BLOCKS_PER_STAGE = 3  # of the vision transformer's 12

Parts = tuple[Sequence[nn.Module], Sequence[nn.Module]]  # stages, modules of the head


class ResNet18(TorchvisionNetwork):
    """Eight residual blocks; below 64 pixels the stem is one 3x3 convolution without pooling.

    Source: He et al. 2016, arXiv:1512.03385; the small stem is that of its section 4.2.
    """

    builder, first, pool, smallest = "resnet18", "conv1", "maxpool", 8

    def parts(self, net: Any) -> Parts:
        stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        return [stem, net.layer1, net.layer2, net.layer3, net.layer4], [net.avgpool, nn.Flatten(), net.fc]


class VGG19BN(TorchvisionNetwork):
    """Sixteen convolutions with batch norm; the first linear layer reads as many positions as the last maps have.

    torchvision would blow the single position of a 32-pixel image up to 7x7, for 100 million parameters more. Where
    several positions are left (from 64 pixels on), pooling has no deterministic backward on CUDA.

    Source: Simonyan and Zisserman 2015, arXiv:1409.1556.
    """

    builder, first, smallest = "vgg19_bn", "features.0", 32

    def adapt(self, net: Any, channels: int, side: int) -> None:
        super().adapt(net, channels, side)
        positions = max(1, min(7, side // 32))
        net.avgpool = nn.AdaptiveAvgPool2d(positions)
        net.classifier[0] = nn.Linear(512 * positions**2, 4096)

    def parts(self, net: Any) -> Parts:
        return _cut(net.features, 0, 7, 14, 27, 40), [net.avgpool, nn.Flatten(), *net.classifier]


class MobileNetV3Large(TorchvisionNetwork):
    """Inverted residual blocks with squeeze and excitation; below 64 pixels the stem does not halve.

    Source: Howard et al. 2019, arXiv:1905.02244.
    """

    builder, weights, first, smallest = "mobilenet_v3_large", "IMAGENET1K_V2", "features.0.0", 16

    def parts(self, net: Any) -> Parts:
        return _cut(net.features, 0, 2, 4, 7, 13), [net.avgpool, nn.Flatten(), *net.classifier]


class EfficientNetB3(TorchvisionNetwork):
    """Inverted residual blocks, scaled in depth and width together; below 64 pixels the stem does not halve.

    Source: Tan and Le 2019, arXiv:1905.11946.
    """

    builder, trained_at, first, smallest = "efficientnet_b3", 300, "features.0.0", 16

    def parts(self, net: Any) -> Parts:
        return _cut(net.features, 0, 2, 3, 4, 6), [net.avgpool, nn.Flatten(), *net.classifier]


class DenseNet161(TorchvisionNetwork):
    """Four dense blocks; below 64 pixels the stem is one 3x3 convolution without pooling.

    Source: Huang et al. 2017, arXiv:1608.06993, whose networks for CIFAR begin so.
    """

    builder, first, pool, smallest = "densenet161", "features.conv0", "features.pool0", 8

    def parts(self, net: Any) -> Parts:
        *stages, last = _cut(net.features, 0, 4, 5, 7, 9)
        stages.append(last.append(nn.ReLU()))  # torchvision applies it between features and pooling
        return stages, [nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.classifier]


class ConvNeXtTiny(TorchvisionNetwork):
    """Four stages of depthwise 7x7 convolutions; below 64 pixels the stem cuts patches of 2x2 instead of 4x4.

    Source: Liu et al. 2022, arXiv:2201.03545.
    """

    builder, first, small_first, smallest = "convnext_tiny", "features.0.0", (2, 2, 0), 16

    def parts(self, net: Any) -> Parts:
        return _cut(net.features, 0, 2, 4, 6), [net.avgpool, *net.classifier]


class ViTB16(TorchvisionNetwork):
    """Twelve transformer blocks of 768 channels; activations are (N, C, T), the first of the T tokens the class token.

    Patches measure 16 pixels from 128 pixels a side on, and an eighth of the side of smaller images, which gives about
    64 of them. Images are padded to whole patches, since a trigger may lie in the last columns; they must be square.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929.
    """

    builder, first, small_first, smallest = "vit_b_16", "conv_proj", None, 8

    def build(self, classes: int, side: int) -> Any:
        from torchvision.models import VisionTransformer

        patch = min(16, max(1, round(side / 8)))
        whole = -(-side // patch) * patch
        return VisionTransformer(whole, patch, 12, 12, 768, 3072, num_classes=classes)  # the numbers of vit_b_16

    def parts(self, net: Any) -> Parts:
        blocks = list(net.encoder.layers)
        groups = [blocks[at : at + BLOCKS_PER_STAGE] for at in range(0, len(blocks), BLOCKS_PER_STAGE)]
        groups[-1].append(net.encoder.ln)
        patches = Patches(net.conv_proj, net.class_token, net.encoder.pos_embedding, net.image_size)
        return [patches, *(Blocks(*group) for group in groups)], [ClassToken(), net.heads.head]


class Patches(nn.Module):
    """(N, 3, H, W) -> (N, C, 1 + patches): the class token and one token a patch, each marked by its position.

    Raises:
        BadInput: images that are not square.
    """

    def __init__(self, projection: nn.Conv2d, token: nn.Parameter, positions: nn.Parameter, side: int) -> None:
        super().__init__()
        self.projection, self.token, self.positions, self.side = projection, token, positions, side

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height != width:
            raise BadInput(
                f"images of {height}x{width} pixels: a vision transformer reads square ones; set dataset.size"
            )
        whole = pad(x, (0, self.side - width, 0, self.side - height))
        tokens: Tensor = self.projection(whole).flatten(2)  # (N, C, patches)
        first = self.token.mT.expand(len(x), -1, -1)  # (N, C, 1)
        return torch.cat([first, tokens], 2) + self.positions.mT


class Blocks(nn.Sequential):
    """Layers on (N, T, C) that are given (N, C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.mT
        for layer in self:
            x = layer(x)
        return x.mT


class ClassToken(nn.Module):
    """(N, C, T) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 0]


def _cut(layers: nn.Sequential, *starts: int) -> list[nn.Sequential]:
    return [layers[start:end] for start, end in zip(starts, (*starts[1:], len(layers)), strict=True)]
