"""Adaptive-Patch against known answers on small images, and on the digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config

import benchmark
from baselines.attacks.adaptive_patch import AdaptivePatch
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Role, Split, State
from benchmark.victim import Victim

CORNERS = {"bottom_right": (3, 3), "top_left": (0, 0), "bottom_left": (3, 0), "top_right": (0, 3)}  # of 2 x 2 in 5 x 5


def rows(count: int = 200, level: int = 100) -> Split:
    images = torch.full((count, 3, 5, 5), level, dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(count) % 4, classes=4)


def secret_of(attack: AdaptivePatch, train: Split, seed: int = 0) -> State:
    def no_victim() -> Victim:
        raise AssertionError("a data attack builds no victim")

    attack.check(train)
    recipe = Recipe(name="test", epochs=1, batch_size=2, learning_rate=0.1)
    keeps_nothing = Lab(seed, recipe, torch.device("cpu"), no_victim, train, lambda name, uses, make: make())
    return attack.prepare(None, train, keeps_nothing)


def white(patches: int = 4) -> State:
    """Patches all white, as `prepare` would lay them in the corners."""
    secret = secret_of(AdaptivePatch(0.1, 0, size=2, opacities=[0.5] * patches, shown=1), rows())
    return {"patches": (secret["masks"] * 255).to(torch.uint8).expand(-1, 3, -1, -1), "masks": secret["masks"]}


def test_patches_lie_in_four_corners_and_belong_to_the_seed() -> None:
    attack, train = AdaptivePatch(rate=0.1, target=0, size=2), rows()
    secret = secret_of(attack, train)
    assert secret["patches"].shape == (4, 3, 5, 5) and secret["patches"].unique().tolist() == [0, 255]
    assert (secret["patches"] == secret["patches"][:, :1]).all(), "black and white"
    for mask, (top, left) in zip(secret["masks"], CORNERS.values(), strict=True):
        expected = torch.zeros(1, 5, 5)
        expected[:, top : top + 2, left : left + 2] = 1
        assert torch.equal(mask, expected)
    assert torch.equal(secret["patches"], secret_of(attack, train)["patches"])
    assert not torch.equal(secret["patches"], secret_of(attack, train, seed=1)["patches"])


def test_a_training_row_shows_one_patch_at_its_opacity() -> None:
    attack = AdaptivePatch(rate=0.4, target=0, cover_rate=0.2, size=2, opacities=[0.6, 0.2, 0.4, 0.8])
    train = rows()
    poisoned = attack.poison(train, white(), generator_for(0, "poison"))
    touched = torch.as_tensor(poisoned.inputs)[poisoned.role != int(Role.CLEAN)]
    assert ((touched != 100).flatten(1).sum(1) == 2 * 2 * 3).all(), "one patch of 2 x 2 in 3 channels"
    levels = (193, 131, 162, 224)  # 100 + opacity * 155
    shares = []
    for level, (top, left) in zip(levels, CORNERS.values(), strict=True):
        window = touched[:, :, top : top + 2, left : left + 2]
        assert set(window.unique().tolist()) == {100, level}
        shares.append(float((window == level).all(-1).all(-1).all(-1).float().mean()))
    assert sum(shares) == pytest.approx(1) and min(shares) > 0.15


@pytest.mark.parametrize("shown", [1, 2, 4])
def test_a_test_row_shows_the_first_patches_opaque(shown: int) -> None:
    attack, train = AdaptivePatch(rate=0.1, target=0, size=2, shown=shown), rows()
    challenge = attack.challenge(train, white())
    expected = torch.full((3, 5, 5), 100, dtype=torch.uint8)
    for top, left in list(CORNERS.values())[:shown]:
        expected[:, top : top + 2, left : left + 2] = 255
    assert len(challenge) == 150 and (torch.as_tensor(challenge.inputs) == expected).all()
    black: State = {"patches": torch.zeros(4, 3, 5, 5, dtype=torch.uint8), "masks": white()["masks"]}
    assert (torch.as_tensor(attack.trigger(train.inputs, black)) == 0).sum() == 200 * 3 * 4 * shown, (
        "black is opaque too"
    )


@pytest.mark.parametrize("seed", range(3))
def test_poisons_and_covers_are_exact_and_apart(seed: int) -> None:
    train, attack = rows(), AdaptivePatch(rate=0.4, target=1, cover_rate=0.3, size=2)
    attack.check(train)
    poisoned = attack.poison(train, white(), generator_for(seed, "poison"))
    poison, cover = poisoned.role == int(Role.POISON), poisoned.role == int(Role.COVER)
    assert int(poison.sum()) == 80 and int(cover.sum()) == 60
    assert isinstance(poisoned.targets, torch.Tensor) and isinstance(train.targets, torch.Tensor)
    assert (poisoned.targets[poison] == 1).all() and torch.equal(poisoned.targets[~poison], train.targets[~poison])
    assert not (train.targets[poison | cover] == 1).any()
    changed = (torch.as_tensor(poisoned.inputs) != torch.as_tensor(train.inputs)).flatten(1).any(1)
    assert torch.equal(changed, poison | cover)
    again = attack.poison(train, white(), generator_for(seed, "poison"))
    assert torch.equal(torch.as_tensor(again.inputs), torch.as_tensor(poisoned.inputs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 3}, r"attack.size=3: must be 1 to 2, half of the images"),
        ({"opacities": []}, r"attack.opacities=\[\]: must be 1 to 4 numbers"),
        ({"opacities": [0.5] * 5}, r"attack.opacities=.* must be 1 to 4 numbers"),
        ({"opacities": [0.5, 0.0], "shown": 1}, r"attack.opacities=\[0.5, 0.0\]: must be 1 to 4 numbers above 0"),
        ({"opacities": [0.5, 0.5], "shown": 3}, r"attack.shown=3: must be 1 to 2"),
        ({"shown": 0}, r"attack.shown=0"),
        ({"cover_rate": 1.5}, r"attack.cover_rate=1.5"),
    ],
)
def test_check_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        AdaptivePatch(**{"rate": 0.1, "target": 0, "size": 2, **options}).check(rows())


@pytest.mark.slow
def test_the_digits_carry_it(store: Path) -> None:
    # Measured, seeds 0, 1, 2: ASR 398 of 398 each, that of the clean model 0, 0, 1; CA 99.3, 99.3, 99.6 % (n = 447).
    # Patches of 3 pixels hide much of an 8x8 digit: the clean model names only 33 to 45 % of triggered rows rightly.
    record = benchmark.run(config("attack=adaptive_patch", "attack.rate=0.05", "recipe.epochs=12", store=store))
    clean, backdoored = record.scores.clean, record.scores.backdoored
    assert record.rows.poisoned == 60 and record.rows.covers == 24
    assert backdoored.asr.hits >= 0.9 * backdoored.asr.n and clean.asr.hits <= 0.1 * clean.asr.n
    assert backdoored.ca.hits >= 0.95 * backdoored.ca.n
