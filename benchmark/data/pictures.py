"""Encoded pictures into one uint8 array. Nothing here imports torch: data sources use it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmark.errors import BadInput

MODES = {1: "L", 3: "RGB"}  # Pillow's name for a picture of so many channels
# Rasters only, since Pillow would otherwise hand EPS and PDF to Ghostscript, which runs what is in the file.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "GIF", "WEBP", "TIFF")
# Pillow's readers have no common error: broken bytes of the formats above raise any of these.
BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def check_picture_options(channels: int, size: int | None) -> None:
    """Refuse a size or a number of channels that no picture can have.

    Raises:
        BadInput: `dataset.channels` is neither 1 nor 3, or `dataset.size` is not a positive whole number or null.
    """
    if channels not in MODES:
        raise BadInput(f"dataset.channels={channels}: must be 1 (grey) or 3 (colour)")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise BadInput(
            f"dataset.size={size}: must be a whole number of pixels above 0, or null to keep each picture's own"
        )


def decode_picture(where: str, content: bytes, channels: int, size: int | None) -> NDArray[np.uint8]:
    """One encoded picture as pixels.

    Args:
        where: names the picture in errors.
        content: a file of one of `FORMATS`; an alpha channel is dropped, later frames are not read.
        channels: 1 or 3.
        size: pixels of a side to which height and width are resized (bilinear, antialiased), or None.

    Returns:
        uint8 (C, H, W).

    Raises:
        BadInput: it cannot be read, or has more than 8 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            pixels = _pixels(picture, MODES[channels], size)
    except BROKEN as error:
        reason = "not one of " + ", ".join(FORMATS) if isinstance(error, UnidentifiedImageError) else error
        raise BadInput(f"{where}: unreadable picture ({reason}); mend or remove it") from error
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _pixels(picture: Image.Image, mode: str, size: int | None) -> NDArray[np.uint8]:
    if picture.mode.startswith(("I", "F")):  # converting would clip 16 bits to white
        raise ValueError(f"mode {picture.mode}, but 8 bits a channel are read")
    converted = picture if picture.mode == mode else picture.convert(mode)
    sized = converted if size is None else converted.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(sized, dtype=np.uint8)


def decode_pictures(
    encoded: Iterable[tuple[str, bytes]], count: int, channels: int, size: int | None
) -> NDArray[np.uint8]:
    """Many encoded pictures of one size, decoded one after the other into a single array.

    Args:
        encoded: `count` pairs of a name for errors and a picture file's bytes.
        count: N.
        channels: 1 or 3.
        size: pixels of a side, or None to keep the pictures' own, which must then agree.

    Returns:
        uint8 (N, C, H, W).

    Raises:
        BadInput: an unreadable picture, sizes that differ, or no pictures.
    """
    inputs: NDArray[np.uint8] | None = None
    for index, (where, content) in enumerate(encoded):
        pixels = decode_picture(where, content, channels, size)
        if inputs is None:
            inputs = np.empty((count, *pixels.shape), dtype=np.uint8)
        if pixels.shape != inputs.shape[1:]:
            here, first = ("x".join(map(str, shape[1:])) for shape in (pixels.shape, inputs.shape[1:]))
            raise BadInput(
                f"{where}: {here} pixels, the first picture {first}; set dataset.size, such as dataset.size=32"
            )
        inputs[index] = pixels
    if inputs is None:
        raise BadInput("the data set holds no pictures; check dataset.path and the rows it is limited to")
    return inputs
