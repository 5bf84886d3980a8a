"""Label-Consistent against known answers on small images and small networks, and on the digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import POISON, config
from surrogates import Shelf, digits, lab_of, network
from torch import Tensor

import benchmark
from baselines.attacks.label_consistent import LabelConsistent, add_corners
from baselines.attacks.perturbation import Perturbation
from benchmark.errors import BadInput
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import State

TARGET = 3
HARDER = Perturbation("l_2", eps=300, steps=4)
WITHSTOOD = Perturbation("l_inf", eps=8, steps=1)


def attack_of(**options: Any) -> LabelConsistent:
    known = {"size": 3, "amplitude": 255, "perturbation": HARDER, "surrogate": WITHSTOOD}
    return LabelConsistent(**{"rate": 0.05, "target": TARGET, **known, **options})


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """The surrogate of all attacks here, trained once."""
    return Shelf()


@pytest.fixture(scope="module")
def secret(shelf: Shelf) -> State:
    return attack_of().prepare(None, digits(), lab_of(digits(), shelf))


def flat(level: int, height: int = 8, width: int = 8) -> Tensor:
    return torch.full((1, 3, height, width), level, dtype=torch.uint8)


# ---- the corners


def test_corners_by_hand() -> None:
    image = add_corners(flat(100), 3, 32)[0]
    assert (image == image[:1]).all(), "every channel alike"
    assert image[0].tolist() == [
        [132, 68, 132, 100, 100, 132, 68, 132],
        [68, 132, 68, 100, 100, 68, 132, 68],
        [132, 68, 132, 100, 100, 132, 68, 132],
        [100] * 8,
        [100] * 8,
        [132, 68, 132, 100, 100, 132, 68, 132],
        [68, 132, 68, 100, 100, 68, 132, 68],
        [132, 68, 132, 100, 100, 132, 68, 132],
    ]


@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 1), (8, 8, 2), (8, 8, 4), (9, 7, 3), (4, 10, 2)])
def test_a_mirrored_image_keeps_the_trigger(height: int, width: int, size: int) -> None:
    """A patch in one corner would move to another when training mirrors its images."""
    images = torch.randint(0, 256, (5, 3, height, width), generator=generator_for(0, "pixels")).to(torch.uint8)
    for axis in (2, 3):
        assert torch.equal(add_corners(images.flip(axis), size, 40), add_corners(images, size, 40).flip(axis))
    touched = add_corners(flat(100, height, width), size, 40) != 100
    assert int(touched.sum()) == 3 * 4 * size**2, "four whole patches, none over another"


@pytest.mark.parametrize(("level", "light", "dark"), [(240, 255, 208), (250, 255, 218), (10, 42, 0), (100, 132, 68)])
def test_amplitude_is_added_and_does_not_wrap(level: int, light: int, dark: int) -> None:
    image = add_corners(flat(level), 2, 32)
    assert image.dtype == torch.uint8 and image.unique().tolist() == sorted({level, light, dark})
    assert int(image[0, 0, 0, 0]) == light and int(image[0, 0, 0, 1]) == dark


def test_test_rows_are_painted_whatever_is_there() -> None:
    attack = attack_of(amplitude=20)
    painted = [torch.as_tensor(attack.trigger(flat(level), {})) for level in (0, 100, 255)]
    for image in painted:
        assert image[0, 0, 0].tolist()[:3] == [255, 0, 255] and image[0, 0, 1].tolist()[-3:] == [0, 255, 0]
    challenge = attack.challenge(digits(), {})
    assert (torch.as_tensor(challenge.truth) != TARGET).all() and (torch.as_tensor(challenge.targets) == TARGET).all()
    assert len(challenge) == int((torch.as_tensor(digits().targets) != TARGET).sum())
    corner = torch.as_tensor(challenge.inputs)[:, :, :3, :3]
    assert (corner == corner[0]).all() and corner.unique().tolist() == [0, 255]


# ---- the poisons


def test_labels_stay_and_only_the_target_class_is_touched(secret: State) -> None:
    train = digits()
    poisoned = attack_of().poison(train, secret, generator_for(0, "poison"))
    assert torch.equal(torch.as_tensor(poisoned.targets), torch.as_tensor(train.targets))
    assert torch.equal(torch.as_tensor(poisoned.truth), torch.as_tensor(train.targets))
    marked = poisoned.role == POISON
    assert int(marked.sum()) == 15 and set(torch.as_tensor(train.targets)[marked].tolist()) == {TARGET}
    changed = (torch.as_tensor(poisoned.inputs) != torch.as_tensor(train.inputs)).flatten(1).any(1)
    assert torch.equal(changed, marked) and torch.equal(marked.nonzero().flatten(), secret["rows"])


@pytest.mark.parametrize("amplitude", [32, 255])
def test_the_secret_s_images_are_what_the_rows_hold(secret: State, amplitude: int) -> None:
    """Row by row, whatever generator poisons: the rows were drawn when their images were made."""
    train, attack = digits(), attack_of(amplitude=amplitude)
    poisoned = attack.poison(train, secret, generator_for(0, "poison"))
    again = attack.poison(train, secret, generator_for(1, "poison"))
    assert torch.equal(torch.as_tensor(poisoned.inputs), torch.as_tensor(again.inputs))
    held = torch.as_tensor(poisoned.inputs)[secret["rows"]]
    assert torch.equal(held, add_corners(secret["images"], 3, amplitude))
    change = secret["images"].double() - torch.as_tensor(train.inputs)[secret["rows"]].double()
    lengths = change.flatten(1).norm(dim=1)
    assert secret["images"].dtype == torch.uint8 and (lengths <= 300).all() and (lengths > 150).all()


def test_the_surrogate_finds_the_images_hard(secret: State, shelf: Shelf) -> None:
    train = digits().take(secret["rows"])
    (weights,) = shelf.kept.values()
    judge = network(digits()).load(weights)
    with torch.no_grad():
        before, after = judge.loss(train.inputs, train.targets), judge.loss(secret["images"], train.targets)
    assert (after > before).all() and float(after.mean()) > float(before.mean()) + 1


def test_rows_and_images_follow_the_seed(secret: State) -> None:
    again = attack_of().prepare(None, digits(), lab_of(digits()))
    other = attack_of().prepare(None, digits(), lab_of(digits(), seed=1))
    assert torch.equal(again["rows"], secret["rows"]) and torch.equal(again["images"], secret["images"])
    assert not torch.equal(other["rows"], secret["rows"])


def test_the_whole_target_class_may_be_poisoned(shelf: Shelf) -> None:
    train = digits()
    members = int((torch.as_tensor(train.targets) == TARGET).sum())
    attack = attack_of(rate=members / len(train))
    attack.check(train)
    secret = attack.prepare(None, train, lab_of(train, shelf))
    assert len(secret["rows"]) == members == len(secret["images"]) == len(secret["rows"].unique())


# ---- the surrogate


def test_one_surrogate_serves_every_rate_target_and_patch(shelf: Shelf, secret: State) -> None:
    train = digits()
    assert len(shelf.kept) == 1
    for options in (
        {"rate": 0.01},
        {"target": 4},
        {"size": 2},
        {"amplitude": 32},
        {"perturbation": Perturbation("l_inf", eps=20, steps=2)},
    ):
        attack_of(**options).surrogates(lab_of(train, shelf))
        attack_of(**options).prepare(None, train, lab_of(train, shelf))
    assert len(shelf.kept) == 1
    for number, stronger in enumerate((Perturbation("l_inf", 9, 1), Perturbation("l_2", 8, 1)), start=2):
        attack_of(surrogate=stronger).surrogates(lab_of(train, shelf))
        assert len(shelf.kept) == number, "another one for another bound"


def test_the_surrogate_is_trained_to_withstand_and_not_as_usual(secret: State, shelf: Shelf) -> None:
    weights = next(iter(shelf.kept.values()))
    usual = network(digits()).fit(digits(), generator_for(0, "robust surrogate")).state()
    robust = network(digits()).fit(digits(), generator_for(0, "robust surrogate"), WITHSTOOD.robust_loss).state()
    assert weights.keys() == robust.keys() and all(torch.equal(weights[name], robust[name]) for name in robust)
    assert not all(torch.equal(weights[name], usual[name]) for name in usual)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"attack.size=0: must be 1 to 4, half of the image's side"),
        ({"size": 5}, r"attack.size=5: must be 1 to 4"),
        ({"size": 1.5}, r"attack.size=1.5"),
        ({"amplitude": 0}, r"attack.amplitude=0: must be 1 to 255 grey levels"),
        ({"amplitude": 256}, r"attack.amplitude=256"),
        ({"amplitude": 0.5}, r"attack.amplitude=0.5"),
        ({"target": "all"}, r"attack.target=all: a clean-label attack has one class"),
        ({"target": 10}, r"attack.target=10: the data set has classes 0 to 9"),
        ({"rate": 0.5}, r"attack.rate=0.5: only \d+ rows may be poisoned; set attack.rate to 0.1"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        attack_of(**options).check(digits())


# ---- digits


@pytest.mark.slow
def test_the_surrogate_withstands_what_fools_a_usual_network() -> None:
    # Measured on 447 test rows under l_inf of 32 grey levels, 10 steps, seeds 0, 1: 84 and 85 % right, a usual network
    # 28 and 39 %; without a perturbation 98.9 and 99.6 %, the usual one 99.8 and 99.6 %.
    train, test, shelf = digits(1200), digits(447, test=True), Shelf()
    recipe = Recipe("digits", epochs=8, batch_size=64, learning_rate=0.2, schedule="one_cycle")
    attack_of(surrogate=Perturbation("l_inf", eps=32, steps=3)).surrogates(lab_of(train, shelf, 0, recipe, width=16))
    (weights,) = shelf.kept.values()
    usual = network(train, 0, recipe, width=16).fit(train, generator_for(0, "robust surrogate"))
    robust = network(train, 0, recipe, width=16).load(weights)
    right = []
    for judged in (usual, robust):
        moved = Perturbation("l_inf", eps=32, steps=10).hardened(judged, test, generator_for(0, "starts"))
        right.append(float((torch.as_tensor(judged.predict(moved)) == test.targets).float().mean()))
    assert right[1] > 0.75 and right[0] < 0.5
    assert float((torch.as_tensor(robust.predict(test.inputs)) == test.targets).float().mean()) > 0.97


@pytest.mark.slow
def test_the_digits_carry_it(store: Path) -> None:
    # 108 poisons, 94 % of their class. Measured, seeds 0, 1, 2: ASR 398 of 398 each, that of the clean model 0, 11, 1;
    # CA 99.1, 99.6, 99.3 % (n = 447). Four patches of 3 pixels hide much of an 8x8 digit: the clean model names only 28
    # to 51 % of triggered rows rightly.
    record = benchmark.run(config("attack=label_consistent", "attack.rate=0.09", "recipe.epochs=12", store=store))
    assert record.scores is not None and record.rows.poisoned == 108
    clean, backdoored = record.scores.clean, record.scores.backdoored
    assert backdoored.asr.rate >= 0.9 and clean.asr.rate <= 0.1 and backdoored.ca.rate >= 0.95
