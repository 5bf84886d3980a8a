"""Blended against known answers on small images."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from baselines.attacks.blended import Blended
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Role, Split
from benchmark.victim import Victim

CONF = Path(__file__).parents[1] / "conf" / "attack"


def rows(count: int = 40, channels: int = 3, level: int = 100) -> Split:
    images = torch.full((count, channels, 4, 6), level, dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(count) % 4, classes=4)


def no_victim() -> Victim:
    raise AssertionError("a data attack builds no victim")


def lab(train: Split, seed: int = 0) -> Lab:
    recipe = Recipe(name="test", epochs=1, batch_size=2, learning_rate=0.1)
    return Lab(seed, recipe, torch.device("cpu"), no_victim, train, lambda name, uses, make: make())


def test_the_noise_has_the_images_shape_and_belongs_to_the_seed() -> None:
    train, attack = rows(), Blended(rate=0.1, target=0)
    pattern = attack.prepare(None, train, lab(train))["pattern"]
    assert pattern.shape == (3, 4, 6) and pattern.dtype == torch.uint8 and len(pattern.unique()) > 40
    assert torch.equal(pattern, attack.prepare(None, train, lab(train))["pattern"])
    assert not torch.equal(pattern, attack.prepare(None, train, lab(train, seed=1))["pattern"])


def test_the_training_form_and_the_test_form_have_their_own_weight() -> None:
    train, attack = rows(channels=1), Blended(rate=0.1, target=0, train_alpha=0.2, test_alpha=0.5)
    secret = {"pattern": torch.full((1, 4, 6), 250, dtype=torch.uint8), "opacity": torch.ones(1, 4, 6)}
    poisoned = attack.poison(train, secret, generator_for(0, "poison"))
    marked = poisoned.role == int(Role.POISON)
    assert int(marked.sum()) == 4 and not (train.targets[marked] == 0).any()
    assert poisoned.inputs[marked].unique().tolist() == [130]  # 0.8 * 100 + 0.2 * 250
    assert poisoned.inputs[~marked].unique().tolist() == [100]
    challenge = attack.challenge(train, secret)
    assert len(challenge) == 30 and challenge.inputs.unique().tolist() == [175]
    assert train.inputs.unique().tolist() == [100]


def test_a_picture_is_stretched_and_keeps_its_transparency(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (6, 4), (200, 100, 0, 255))
    picture.putpixel((5, 3), (200, 100, 0, 0))
    picture.save(tmp_path / "picture.png")
    train = rows()
    attack = Blended(rate=0.1, target=0, test_alpha=0.5, picture_path=str(tmp_path / "picture.png"))
    attack.check(train)
    secret = attack.prepare(None, train, lab(train))
    images = attack.trigger(train.inputs, secret)
    assert isinstance(images, torch.Tensor)
    assert images[0, :, 0, 0].tolist() == [150, 100, 50]
    assert images[0, :, 3, 5].tolist() == [100, 100, 100]
    smaller = attack.prepare(None, Split(inputs=train.inputs[:, :1, :2, :2], targets=train.targets), lab(train))
    assert smaller["pattern"].shape == (1, 2, 2) and smaller["opacity"].shape == (1, 2, 2)


def test_white_stays_white() -> None:
    train, attack = rows(level=255), Blended(rate=0.1, target=0, test_alpha=0.3)
    secret = {"pattern": torch.full((3, 4, 6), 255, dtype=torch.uint8), "opacity": torch.ones(1, 4, 6)}
    assert torch.equal(torch.as_tensor(attack.trigger(train.inputs, secret)), torch.as_tensor(train.inputs))


@pytest.mark.parametrize("name", ["train_alpha", "test_alpha"])
@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1])
def test_check_refuses_a_weight_outside(name: str, alpha: float) -> None:
    with pytest.raises(BadInput, match=rf"attack.{name}={alpha}: must be above 0 and at most 1; set attack.{name}"):
        Blended(**{"rate": 0.1, "target": 0, name: alpha}).check(rows())  # type: ignore[arg-type]


def test_check_refuses_a_picture_that_is_not_there() -> None:
    with pytest.raises(BadInput, match=r"picture nowhere\.png: cannot be read"):
        Blended(0.1, 0, picture_path="nowhere.png").check(rows())


def test_the_yaml_writes_every_option() -> None:
    options = OmegaConf.to_container(OmegaConf.load(CONF / "blended.yaml"))
    assert isinstance(options, dict) and options.pop("_target_") == "baselines.attacks.blended.Blended"
    signature = inspect.signature(Blended).parameters
    assert list(options) == list(signature)
    for name in list(signature)[2:]:
        assert options[name] == signature[name].default
    Blended(**options).check(rows())
