"""What image methods share: stamping and blending on uint8 pixels, reading a picture, showing rows on a page.

N rows, C,H,W image, h,w patch. Pixels are uint8 0 to 255; opacities are float 0 (the image stays) to 1 (covered).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmark.errors import BadInput
from benchmark.types import Inputs

WHITE = 255
BLEND_ROWS = 64  # at a time: four times as fast as all rows of CIFAR-10's test split at once, and a bound on memory
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow would also hand some to other programs
SHOWN = 4  # pictures in a row, at most

# Where a patch goes: shares of the free rows above it and of the free columns left of it.
PLACES = {
    "top_left": (0.0, 0.0),
    "top_right": (0.0, 1.0),
    "bottom_left": (1.0, 0.0),
    "bottom_right": (1.0, 1.0),
    "center": (0.5, 0.5),
}


class Overlay(NamedTuple):
    """What is laid over an image: `pattern` uint8 (C, H, W) and `opacity` float (1, H, W) in [0, 1]."""

    pattern: Tensor
    opacity: Tensor


def to_uint8(pixels: Tensor) -> Tensor:
    """Float pixels on the scale 0 to 255, rounded (halves to even) and clamped; a bare cast would wrap 300 to 44."""
    return pixels.round().clamp(0, 255).to(torch.uint8)


def blend(images: Tensor, pattern: Tensor, opacity: float | Tensor) -> Tensor:
    """Lay a pattern over images: round((1 - opacity) * image + opacity * pattern).

    Args:
        images: uint8 (N, C, H, W).
        pattern: uint8 (C, H, W).
        opacity: in [0, 1], a number or float (1, H, W) or (C, H, W).

    Returns:
        uint8 (N, C, H, W), a new tensor on the images' device.

    Raises:
        ValueError: the pattern has another shape than an image.
    """
    if pattern.shape != images.shape[1:]:
        raise ValueError(f"a pattern of shape {tuple(pattern.shape)} does not fit images of {tuple(images.shape[1:])}")
    weight = torch.as_tensor(opacity, dtype=torch.float32, device=images.device)
    # Plain products and a sum: a fused step (lerp) may round ties differently on another device or batch size.
    added = pattern.to(images.device) * weight
    return torch.cat([to_uint8(part * (1 - weight) + added) for part in torch.split(images, BLEND_ROWS)])


def square(channels: int, size: int, level: int = WHITE) -> Tensor:
    """A patch of one grey level, uint8 (C, size, size)."""
    return torch.full((channels, size, size), level, dtype=torch.uint8)


def checkerboard(channels: int, size: int) -> Tensor:
    """A patch of white and black pixels in turn, white at the top left, uint8 (C, size, size)."""
    steps = torch.arange(size)
    white = (steps[:, None] + steps) % 2 == 0
    return (white * WHITE).to(torch.uint8).expand(channels, size, size).contiguous()


def place_patch(patch: Tensor, opacity: float | Tensor, place: str | Sequence[int], height: int, width: int) -> Overlay:
    """A patch on an otherwise transparent overlay of an image's size.

    Args:
        patch: uint8 (C, h, w).
        opacity: of the patch, in [0, 1], a number or float (1, h, w).
        place: a name in `PLACES`, or the row and column of the patch's top left pixel.
        height: H, in pixels.
        width: W, in pixels.

    Raises:
        BadInput: the patch is larger than the image, there is no such place, or the patch would stick out.
    """
    row, column = _corner(place, height - patch.shape[1], width - patch.shape[2])
    window = (slice(None), slice(row, row + patch.shape[1]), slice(column, column + patch.shape[2]))
    pattern = torch.zeros(patch.shape[0], height, width, dtype=torch.uint8)
    mask = torch.zeros(1, height, width)
    pattern[window] = patch.cpu()
    mask[window] = torch.as_tensor(opacity, dtype=torch.float32).cpu()
    return Overlay(pattern, mask)


def _corner(place: str | Sequence[int], free_rows: int, free_columns: int) -> tuple[int, int]:
    """Row and column of a patch's top left pixel, given the rows and columns that it leaves free."""
    if free_rows < 0 or free_columns < 0:
        raise BadInput(f"a patch is {-min(free_rows, free_columns)} pixels larger than the image; set a smaller size")
    if isinstance(place, str):
        if place not in PLACES:
            raise BadInput(f"place={place}: must be one of {', '.join(PLACES)} or [row, column]; set place")
        down, across = PLACES[place]
        return int(down * free_rows), int(across * free_columns)
    limits = (free_rows, free_columns)
    fits = len(place) == 2 and all(at in range(limit + 1) for at, limit in zip(place, limits, strict=True))
    if not fits:
        raise BadInput(
            f"place={list(place)}: must be [row, column], row 0 to {free_rows}, column 0 to {free_columns}; set place"
        )
    return int(place[0]), int(place[1])


def load_picture(path: str | Path, channels: int, height: int, width: int) -> Overlay:
    """Read a picture file in any format that Pillow knows, stretched to the size asked for.

    Args:
        path: of the file; a relative one starts at the working directory.
        channels: 3 for colours; any other number repeats the picture's grey levels.
        height: in pixels.
        width: in pixels.

    Returns:
        pattern uint8 (C, height, width) and opacity float (1, height, width), 1 where the file has no transparency.

    Raises:
        BadInput: no such file, or no picture in it.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as file:
            picture = file.convert("RGBA").resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # all of them met in Pillow
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise BadInput(f"picture {path}: cannot be read ({reason}); give the path of a PNG or JPEG file") from error
    colours = picture.convert("RGB" if channels == 3 else "L")
    pattern = _from_bytes(colours.tobytes(), height, width).expand(channels, height, width)
    return Overlay(pattern.contiguous(), _from_bytes(picture.getchannel("A").tobytes(), height, width) / 255)


def _from_bytes(pixels: bytes, height: int, width: int) -> Tensor:
    """Interleaved pixels of a picture as uint8 (1 or 3, height, width)."""
    return torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(height, width, -1).permute(2, 0, 1).contiguous()


def render(images: Inputs, limit_bytes: int = 4096) -> str:
    """A `data:` URI of a PNG with up to four pictures side by side, for a record or a page; empty for no rows.

    Args:
        images: uint8 (N, C, H, W); the first 3 channels are shown, or the first where there are fewer.
        limit_bytes: of the PNG; pictures beyond it are left out; one is always shown, halved until it fits.
    """
    assert isinstance(images, Tensor)
    if len(images) == 0:
        return ""
    shown = images[:SHOWN, : 3 if images.shape[1] >= 3 else 1].cpu()
    while len(png := _png(shown[:1])) > limit_bytes:
        shown = shown[:, :, ::2, ::2]
    for count in range(2, len(shown) + 1):
        longer = _png(shown[:count])
        if len(longer) > limit_bytes:
            break
        png = longer
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _png(images: Tensor) -> bytes:
    """PNG of images uint8 (N, 1 or 3, H, W) side by side."""
    from PIL import Image

    row = torch.cat(list(images), dim=2)
    mode, pixels = ("L", row[0]) if row.shape[0] == 1 else ("RGB", row.permute(1, 2, 0))
    file = io.BytesIO()
    Image.frombytes(mode, (row.shape[2], row.shape[1]), pixels.contiguous().numpy().tobytes()).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()
