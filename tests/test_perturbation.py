"""Adversarial perturbations against known answers: a linear victim whose worst direction is known, and batch norm."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from planted import PlantedVictim
from surrogates import digits, network
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from baselines.attacks.perturbation import Perturbation
from benchmark.errors import BadInput
from benchmark.seeds import generator_for
from benchmark.types import Split

Norm = Literal["l_inf", "l_2"]
SIDE = 8


def victim() -> PlantedVictim:
    """Class 0 where the first channel is brighter than the second, class 1 where it is darker."""
    return PlantedVictim(torch.tensor([[4.0, -4.0], [-4.0, 4.0]]))


def rows(level: int | None = 100, count: int = 40) -> Split:
    """Flat images, or noise where no level is asked for."""
    images = torch.randint(0, 256, (count, 2, SIDE, SIDE), generator=generator_for(0, "pixels"))
    if level is not None:
        images = torch.full_like(images, level)
    return Split(inputs=images.to(torch.uint8), targets=torch.arange(count) % 2, classes=2)


def direction(targets: Tensor) -> Tensor:
    """Where the loss rises fastest, of signs (N, 2, 1, 1): away from the channel of the row's own class."""
    return (1 - 2 * one_hot(targets, 2))[:, :, None, None]


def hardened(search: Perturbation, split: Split, seed: int = 0) -> Tensor:
    """The change of each pixel, int16."""
    moved = search.hardened(victim(), split, generator_for(seed, "starts"))
    assert moved.dtype == torch.uint8 and moved.shape == torch.as_tensor(split.inputs).shape
    return moved.to(torch.int16) - torch.as_tensor(split.inputs).to(torch.int16)


def loss(images: Tensor, split: Split) -> Tensor:
    return victim().loss(images, split.targets)


def test_every_pixel_goes_the_whole_way_against_its_class() -> None:
    split = rows()
    change = hardened(Perturbation("l_inf", eps=8, steps=10), split)
    assert torch.equal(change, (8 * direction(torch.as_tensor(split.targets))).expand_as(change).to(torch.int16))


def test_the_length_points_the_same_way() -> None:
    """A linear victim's slope is the same everywhere: 2.5 eps of steps leave little of a random start."""
    split = rows()
    search = Perturbation("l_2", eps=200, steps=40)
    change = hardened(search, split).float()
    wanted = direction(torch.as_tensor(split.targets)).expand_as(change).float()
    assert (torch.cosine_similarity(change.flatten(1), wanted.flatten(1)) > 0.97).all()
    lengths = change.flatten(1).norm(dim=1)
    assert (lengths > 190).all() and (lengths <= 200).all(), "200 over 128 pixels is 17.7 each, cut to 17"


@pytest.mark.parametrize("norm", ["l_inf", "l_2"])
def test_the_loss_rises_on_every_row(norm: Norm) -> None:
    split = rows(level=None)
    moved = Perturbation(norm, eps=20 if norm == "l_inf" else 200, steps=5).hardened(
        victim(), split, generator_for(0, "starts")
    )
    assert (loss(moved, split) > loss(torch.as_tensor(split.inputs), split)).all()


@pytest.mark.parametrize("eps", [1, 7.5, 8, 32])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_no_pixel_leaves_the_cube_after_rounding(eps: float, steps: int) -> None:
    change = hardened(Perturbation("l_inf", eps, steps), rows(level=None)).abs()
    assert int(change.max()) == int(eps), "and some go as far as they may"


@pytest.mark.parametrize("eps", [30, 300.5, 1200])
@pytest.mark.parametrize("steps", [1, 7])
def test_no_image_leaves_the_ball_after_rounding(eps: float, steps: int) -> None:
    lengths = hardened(Perturbation("l_2", eps, steps), rows(level=None)).double().flatten(1).norm(dim=1)
    assert (lengths <= eps).all() and (lengths > 0).all()
    flat = hardened(Perturbation("l_2", eps, steps), rows(level=128)).double().flatten(1).norm(dim=1)
    assert (flat <= eps).all() and (eps == 30 or (flat > 0.9 * min(eps, 1200)).all())


@pytest.mark.parametrize("level", [0, 3, 252, 255])
def test_dark_and_light_pixels_do_not_wrap(level: int) -> None:
    split = rows(level)
    ahead = direction(torch.as_tensor(split.targets)).expand(-1, -1, SIDE, SIDE)
    expected = (level + 60 * ahead).clamp(0, 255) - level
    assert torch.equal(hardened(Perturbation("l_inf", eps=60, steps=20), split).long(), expected)
    ball = hardened(Perturbation("l_2", eps=1000, steps=20), split).long()
    assert (ball * ahead >= 0).all(), "a pixel that wraps goes the other way"
    assert int((level + ball).min()) >= 0 and int((level + ball).max()) <= 255


def test_the_starts_follow_the_generator_and_the_rows_stay_as_they_were() -> None:
    split, judged = rows(level=None), victim()
    images, weights = torch.as_tensor(split.inputs).clone(), judged.state()
    search = Perturbation("l_2", eps=100, steps=1)
    one, same, other = (hardened(search, split, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    search.hardened(judged, split, generator_for(0, "starts"))
    assert torch.equal(torch.as_tensor(split.inputs), images)
    assert all(torch.equal(weights[name], tensor) for name, tensor in judged.state().items())
    assert all(parameter.grad is None for parameter in judged.module.parameters())


@pytest.mark.parametrize("norm", ["l_inf", "l_2"])
def test_a_row_moves_as_it_would_alone(norm: Norm) -> None:
    split = rows(level=None)
    search, pixels = Perturbation(norm, eps=50, steps=4), victim().encode(split.inputs)
    targets = torch.as_tensor(split.targets)
    together = search.away(victim(), pixels, targets, generator_for(0, "starts"))
    alone = search.away(victim(), pixels[:1], targets[:1], generator_for(0, "starts"))  # the first row's start
    assert torch.allclose(together[:1], alone, atol=1e-6)


@pytest.mark.parametrize("norm", ["l_inf", "l_2"])
def test_a_victim_without_a_slope_gives_numbers(norm: Norm) -> None:
    split, still = rows(level=None), PlantedVictim(torch.zeros(2, 2))
    pixels = still.encode(split.inputs)
    moved = Perturbation(norm, eps=10, steps=3).away(
        still, pixels, torch.as_tensor(split.targets), generator_for(0, "starts")
    )
    assert moved.isfinite().all() and float((moved - pixels).abs().max()) <= 10 / 255 + 1e-6


def test_the_robust_loss_is_that_of_the_worst_pixels() -> None:
    split, judged = rows(), victim()
    wanted = torch.as_tensor(split.targets)
    worst = judged.encode(split.inputs) + 8 / 255 * direction(wanted)
    expected = float(cross_entropy(judged.logits(worst), wanted).detach())
    found = Perturbation("l_inf", eps=8, steps=10).robust_loss(judged, split, generator_for(0, "step"))
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)
    found.backward()  # type: ignore[no-untyped-call]
    weight = next(judged.module.parameters())
    assert weight.grad is not None and bool(weight.grad.any()), "and it trains the victim"


def test_the_search_leaves_the_averages_of_batch_norm_alone() -> None:
    """They move once, as in any step: by the moved images, in training mode."""
    split = digits(32)
    trained, expected = network(split), network(split)
    search = Perturbation("l_inf", eps=30, steps=5)
    trained.module.train()
    value = search.robust_loss(trained, split, generator_for(0, "step"))
    assert trained.module.training
    moved = search.away(
        expected, expected.encode(split.inputs), torch.as_tensor(split.targets), generator_for(0, "step")
    )
    expected.module.train()
    again = cross_entropy(expected.logits(moved), torch.as_tensor(split.targets))
    assert float(value.detach()) == float(again.detach())
    found, wanted = trained.state(), expected.state()
    averages = [name for name in found if "running" in name or "tracked" in name]
    assert len(averages) == 12 and all(torch.equal(found[name], wanted[name]) for name in averages)
    assert {int(found[name]) for name in averages if "tracked" in name} == {1}


def test_hardening_leaves_a_network_with_batch_norm_alone() -> None:
    split = digits(200)
    judged = network(split)
    before = judged.state()
    Perturbation("l_2", eps=300, steps=2).hardened(judged, split, generator_for(0, "starts"))
    assert not judged.module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in judged.state().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l_1"}, r"norm=l_1: must be l_inf or l_2"),
        ({"eps": 0}, r"eps=0: must be at least 1 grey level"),
        ({"eps": 8 / 255}, r"eps=0.03.*: must be at least 1 grey level"),  # of pixels in [0, 1]
        ({"steps": 0}, r"steps=0: must be an integer of at least 1"),
        ({"steps": 1.5}, r"steps=1.5"),
        ({"steps": True}, r"steps=True"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Perturbation(**{"norm": "l_2", "eps": 300, "steps": 10, **options})
