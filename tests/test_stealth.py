"""How visible a trigger is, on pictures whose distance can be said beforehand."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.seeds import generator_for
from benchmark.stealth import ROWS, colour_difference, similarity, stealth, window_for


def noise(rows: int = 4, channels: int = 1, side: int = 8) -> Tensor:
    drawn = torch.randint(0, 200, (rows, channels, side, side), generator=generator_for(0, "pictures"))
    return drawn.to(torch.uint8)


def grey(level: int, channels: int = 1, side: int = 8) -> Tensor:
    return torch.full((1, channels, side, side), level, dtype=torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_constant_offset(channels: int) -> None:
    before = noise(channels=channels)
    found = stealth(before, before + 10)
    assert found.psnr == pytest.approx(20 * math.log10(255 / 10))
    assert (found.n, found.unchanged) == (4, 0)


def test_one_white_pixel_of_64_on_black() -> None:
    after = grey(0)
    after[0, 0, 7, 7] = 255
    found = stealth(grey(0), after)
    assert found.psnr == pytest.approx(10 * math.log10(64))
    assert found.colour_difference == pytest.approx(100 / 64, abs=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_identical_pictures_have_no_finite_ratio_and_are_counted(channels: int) -> None:
    before = noise(channels=channels)
    found = stealth(before, before.clone())
    assert (found.n, found.unchanged, found.psnr) == (4, 4, None)
    assert found.ssim == pytest.approx(1) and found.colour_difference == 0


def test_unchanged_rows_are_left_out_of_the_ratio_alone() -> None:
    before = noise()
    after = before.clone()
    after[1] += 10
    found, alone = stealth(before, after), stealth(before[1:2], after[1:2])
    assert (found.n, found.unchanged) == (4, 3)
    assert found.psnr == pytest.approx(alone.psnr)
    assert found.ssim == pytest.approx((3 + alone.ssim) / 4)
    assert found.colour_difference == pytest.approx(alone.colour_difference / 4)


def test_the_ratio_is_the_mean_of_the_rows_and_not_of_their_errors() -> None:
    before = torch.cat([grey(0), grey(0)])
    found = stealth(before, torch.cat([grey(10), grey(100)]))
    assert found.psnr == pytest.approx(20 * math.log10(255) - 30)  # 20 log10 of 10 and of 100 average to 30


@pytest.mark.parametrize("channels", [1, 3])
def test_black_against_white(channels: int) -> None:
    found = stealth(grey(0, channels), grey(255, channels))
    assert found.colour_difference == pytest.approx(100, abs=1e-2)
    assert found.psnr == pytest.approx(0)
    assert found.ssim == pytest.approx(0, abs=1e-3)  # (2 * 0 * 255 + c) / (255 ** 2 + c), c = (0.01 * 255) ** 2


def test_structural_similarity_of_flat_pictures_by_hand() -> None:
    """No variance: what is left is the luminance term."""
    constant = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + constant) / (100**2 + 150**2 + constant)
    assert stealth(grey(100), grey(150)).ssim == pytest.approx(expected)


def test_a_patch_in_a_corner_costs_similarity() -> None:
    before = noise(side=32, channels=3)
    after = before.clone()
    after[:, :, -2:, -2:] = 255
    found = stealth(before, after)
    assert 0.9 < found.ssim < 1
    assert stealth(before, 255 - before).ssim < 0 < found.ssim


def test_colour_is_seen_where_grey_levels_agree() -> None:
    """Red against green: a known value (Lab of sRGB red and green, CIEDE2000 by any reference)."""
    red, green = (np.zeros((3, 4, 4), dtype=np.uint8) for _ in range(2))
    red[0], green[1] = 255, 255
    assert colour_difference(red, green) == pytest.approx(86.6, abs=0.1)


def test_grey_pictures_are_repeated_and_further_channels_left_out() -> None:
    before = noise(channels=1)
    thrice = stealth(before.expand(-1, 3, -1, -1), (before + 20).expand(-1, 3, -1, -1))
    assert stealth(before, before + 20).colour_difference == pytest.approx(thrice.colour_difference)
    four = torch.cat([noise(channels=3), grey(0).expand(4, 1, 8, 8)], 1)
    touched = four.clone()
    touched[:, 3] = 255
    assert stealth(four, touched).colour_difference == 0


@pytest.mark.parametrize(
    ("side", "window"), [(2, None), (3, 3), (8, 3), (10, 5), (12, 5), (14, 7), (28, 7), (32, 7), (224, 7)]
)
def test_windows_fit_the_picture(side: int, window: int | None) -> None:
    assert window_for(side, 2 * side) == window_for(2 * side, side) == window
    found = stealth(noise(side=side), noise(side=side))
    assert found.window == window and (found.ssim is None) == (window is None)


def test_a_window_of_seven_hardly_sees_a_corner_of_eight() -> None:
    """Why small pictures get small windows: a white 2x2 patch in the corner."""
    before = noise(1)[0].numpy()
    after = before.copy()
    after[:, -2:, -2:] = 255
    assert similarity(before, after, 3) < similarity(before, before, 3) == pytest.approx(1)


def test_the_first_rows_count() -> None:
    before = grey(0).expand(ROWS + 5, 1, 8, 8)
    after = before.clone()
    after[ROWS:] = 255
    assert (stealth(before, after).n, stealth(before, after).unchanged) == (ROWS, ROWS)
    assert stealth(before, after, most=ROWS + 5).unchanged == ROWS


def test_no_rows_are_no_mean() -> None:
    found = stealth(noise()[:0], noise()[:0])
    assert asdict(found) == {
        "n": 0, "unchanged": 0, "psnr": None, "ssim": None, "window": 3, "colour_difference": None
    }  # fmt: skip


def test_rows_are_left_alone() -> None:
    before, after = noise(), noise() + 10
    kept = before.clone(), after.clone()
    assert stealth(before, after) == stealth(before, after)
    assert torch.equal(before, kept[0]) and torch.equal(after, kept[1])


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (noise(2), noise(3), "must be one"),
        (noise(2)[0], noise(2)[0], "must be one"),
        (noise().float(), noise().float(), "uint8"),
    ],
)
def test_what_cannot_be_compared_is_refused(before: Tensor, after: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stealth(before, after)
    with pytest.raises(ValueError, match="most=0"):
        stealth(noise(), noise(), most=0)
