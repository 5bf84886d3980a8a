"""Two small networks that hide bits in images and read them back, after Zhu et al. (2018, arXiv:1807.09937)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from benchmark.images import WHITE
from benchmark.seeds import derive, forked

WIDTH = 24  # channels of every hidden layer
POOLED = 4  # cells of a side at which the decoder sees an image; the mean of all positions alone learns no code
BATCH = 32  # images of a step
LEARNING_RATE = 3e-3  # of Adam
IMAGE_WEIGHT = 0.5  # of the mean squared change, as a share of the largest one, beside the code's cross-entropy


class Codec(nn.Module):
    """Hides bits in an image by a bounded change, and reads them back.

    Args:
        channels: C of the images.
        bits: of a code.
        strength: largest change of a pixel, in grey levels.
    """

    def __init__(self, channels: int, bits: int, strength: float) -> None:
        super().__init__()
        self.bound = strength / WHITE
        self.encoder = nn.Sequential(*_layers(channels + bits), nn.Conv2d(WIDTH, channels, 3, padding=1), nn.Tanh())
        read = nn.Linear(WIDTH * POOLED**2, bits)
        self.decoder = nn.Sequential(*_layers(channels), nn.AdaptiveAvgPool2d(POOLED), nn.Flatten(), read)

    def hide(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """Pixels (N, C, H, W) in [0, 1] that carry codes (N, bits)."""
        planes = (2 * codes - 1)[:, :, None, None].expand(-1, -1, *pixels.shape[2:])
        carrying: Tensor = pixels + self.bound * self.encoder(torch.cat([pixels - 0.5, planes], dim=1))
        return carrying.clamp(0, 1)

    def read(self, pixels: Tensor) -> Tensor:
        """Logits of the bits, float (N, bits)."""
        logits: Tensor = self.decoder(pixels - 0.5)
        return logits


def _layers(channels: int) -> list[nn.Module]:
    convolutions = [nn.Conv2d(into, WIDTH, 3, padding=1, bias=False) for into in (channels, WIDTH)]
    return [layer for convolution in convolutions for layer in (convolution, nn.BatchNorm2d(WIDTH), nn.ReLU())]


def trained(
    images: Tensor, bits: int, strength: float, steps: int, generator: Generator, device: torch.device
) -> Codec:
    """A codec that has learnt to hide random codes in images.

    Args:
        images: uint8 (N, C, H, W), at least one.
        bits: of a code.
        strength: largest change of a pixel, in grey levels.
        steps: batches of training.
        generator: names the purpose; weights and batches derive their draws from it.
        device: where it is trained, and stays.
    """
    with forked(generator, device):
        codec = Codec(images.shape[1], bits, strength).to(device)
    optimiser = torch.optim.Adam(codec.parameters(), LEARNING_RATE)
    draws = derive(generator, "steps")
    for step in range(steps):  # the image loss starts at nothing: at full weight from the start no code is learnt
        rows = torch.randint(0, len(images), (BATCH,), generator=draws)
        codes = torch.randint(0, 2, (BATCH, bits), generator=draws).float().to(device)
        pixels = images[rows].to(device) / WHITE
        hidden = codec.hide(pixels, codes)
        rounding = (torch.rand(hidden.shape, generator=draws).to(device) - 0.5) / WHITE
        loss = binary_cross_entropy_with_logits(codec.read(hidden + rounding), codes)
        loss = loss + IMAGE_WEIGHT * step / steps * mse_loss(hidden, pixels) / codec.bound**2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return codec.eval()
