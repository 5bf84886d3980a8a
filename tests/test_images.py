"""Known answers of the image helpers."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmark.errors import BadInput
from benchmark.images import blend, checkerboard, load_picture, place_patch, render, square, to_uint8


def grey(level: int, rows: int = 1, channels: int = 1, side: int = 4) -> Tensor:
    return torch.full((rows, channels, side, side), level, dtype=torch.uint8)


def shown(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_to_uint8_clamps_before_the_cast() -> None:
    assert to_uint8(torch.tensor([200.0 + 100.0, -5.0, 254.6, 0.4])).tolist() == [255, 0, 255, 0]


@pytest.mark.parametrize(("opacity", "expected"), [(0.0, 200), (0.2, 170), (0.5, 125), (0.99, 52), (1.0, 50)])
def test_blend_is_the_rounded_weighted_mean(opacity: float, expected: int) -> None:
    mixed = blend(grey(200, rows=3), grey(50)[0], opacity)  # 0.99 * 50 + 0.01 * 200 = 51.5, halves to even
    assert mixed.dtype == torch.uint8 and mixed.shape == (3, 1, 4, 4)
    assert mixed.unique().tolist() == [expected]


def test_blend_keeps_untouched_pixels_and_covers_exactly() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    mask = torch.zeros(1, 16, 16)
    mask[:, :8] = 1
    mixed = blend(images, grey(7, side=16)[0], mask)
    assert (mixed[:, :, :8] == 7).all()
    assert torch.equal(mixed[:, :, 8:], images[:, :, 8:])


def test_blend_takes_an_opacity_for_each_channel() -> None:
    mixed = blend(grey(100, channels=3), grey(200, channels=3)[0], torch.tensor([0.0, 0.5, 1.0])[:, None, None])
    assert mixed[0, :, 0, 0].tolist() == [100, 150, 200]


def test_blend_gives_every_row_the_same_whatever_its_batch() -> None:
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (150, 3, 5, 7), generator=drawn, dtype=torch.uint8)
    pattern = torch.randint(0, 256, (3, 5, 7), generator=drawn, dtype=torch.uint8)
    before = images.clone()
    together = blend(images, pattern, 0.1)
    assert torch.equal(together, torch.cat([blend(image[None], pattern, 0.1) for image in images]))
    assert torch.equal(images, before)
    assert blend(images[:0], pattern, 0.1).shape == (0, 3, 5, 7)


def test_blend_refuses_to_broadcast_a_pattern() -> None:
    with pytest.raises(ValueError, match=r"\(1, 4, 4\) does not fit images of \(3, 4, 4\)"):
        blend(grey(0, channels=3), grey(0)[0], 0.5)


def test_patterns() -> None:
    assert square(3, 2).unique().tolist() == [255] and square(3, 2).shape == (3, 2, 2)
    assert checkerboard(1, 3)[0].tolist() == [[255, 0, 255], [0, 255, 0], [255, 0, 255]]
    assert torch.equal(checkerboard(3, 2)[0], checkerboard(3, 2)[2])


@pytest.mark.parametrize(
    ("place", "row", "column"),
    [
        ("top_left", 0, 0),
        ("top_right", 0, 4),
        ("bottom_left", 3, 0),
        ("bottom_right", 3, 4),
        ("center", 1, 2),
        ((2, 1), 2, 1),
        ([0, 4], 0, 4),
    ],
)
def test_place_patch_puts_it_there_and_nowhere_else(place: str | list[int], row: int, column: int) -> None:
    pattern, opacity = place_patch(square(3, 2, level=9), 0.5, place, height=5, width=6)
    expected = torch.zeros(5, 6)
    expected[row : row + 2, column : column + 2] = 1
    assert torch.equal(pattern, (expected * 9).to(torch.uint8).expand(3, 5, 6))
    assert torch.equal(opacity, expected[None] * 0.5)


@pytest.mark.parametrize("place", ["middle", (4, 0), (0, 5), (-1, 0), (1,), (1, 1, 1), (0.5, 0)])
def test_place_patch_refuses_a_place_outside(place: str | tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"place=.*; set place"):
        place_patch(square(1, 2), 1.0, place, height=5, width=6)


def test_place_patch_refuses_a_patch_larger_than_the_image() -> None:
    with pytest.raises(BadInput, match="1 pixels larger"):
        place_patch(square(1, 6), 1.0, "center", height=5, width=6)


def test_load_picture_reads_colours_and_transparency(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    picture.putpixel((1, 0), (10, 20, 30, 51))
    picture.save(tmp_path / "sticker.png")
    pattern, alpha = load_picture(tmp_path / "sticker.png", channels=3, height=1, width=2)
    assert pattern.dtype == torch.uint8 and pattern[:, 0].T.tolist() == [[255, 0, 0], [10, 20, 30]]
    assert torch.allclose(alpha, torch.tensor([[[1.0, 0.2]]]))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "CMYK", "I;16"])
def test_load_picture_reads_any_mode_as_grey_levels_at_the_size_asked_for(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (8, 6)).save(tmp_path / "picture.tiff")
    pattern, alpha = load_picture(tmp_path / "picture.tiff", channels=1, height=3, width=4)
    assert pattern.shape == (1, 3, 4) and pattern.is_contiguous()
    assert alpha.shape == (1, 3, 4) and alpha.unique().tolist() == [0.0 if mode == "LA" else 1.0]


@pytest.mark.parametrize("content", [None, b"", b"no picture", "cut"])
def test_load_picture_names_the_file_it_cannot_read(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "picture.png"
    if content == "cut":
        Image.effect_noise((32, 32), 50).save(path)
        path.write_bytes(path.read_bytes()[:300])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"picture .*picture\.png: cannot be read \(.+\); give the path of") as error:
        load_picture(path, 3, 4, 4)
    assert "\n" not in str(error.value)


def test_render_shows_up_to_four_pictures_side_by_side() -> None:
    images = torch.cat([grey(level) for level in (10, 20, 30, 40, 50)])
    row = shown(render(images))
    assert row.mode == "L" and row.size == (16, 4)
    assert [row.getpixel((column, 2)) for column in (0, 4, 8, 12)] == [10, 20, 30, 40]


def test_render_keeps_colours() -> None:
    image = torch.tensor([1, 2, 3], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 2, 2)
    row = shown(render(image))
    assert row.size == (2, 2) and row.getpixel((1, 1)) == (1, 2, 3)


def test_render_shows_fewer_where_they_are_large_and_none_where_there_are_none() -> None:
    noise = torch.randint(0, 256, (4, 3, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert shown(render(noise)).size == (48, 24)  # noise does not compress: 1,728 bytes each
    assert shown(render(noise, limit_bytes=1000)).size == (24, 12)
    assert render(noise[:0]) == ""
