"""BadNets against known answers on small grey images."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from baselines.attacks.badnets import BadNets
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Poisoned, Role, Split, State
from benchmark.victim import Victim

CONF = Path(__file__).parents[1] / "conf" / "attack"
CLASSES = 4


def rows(count: int = 80, channels: int = 1, level: int = 100) -> Split:
    images = torch.full((count, channels, 6, 5), level, dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(count) % CLASSES, classes=CLASSES)


def no_victim() -> Victim:
    raise AssertionError("a data attack builds no victim")


def lab(train: Split) -> Lab:
    recipe = Recipe(name="test", epochs=1, batch_size=2, learning_rate=0.1)
    return Lab(0, recipe, torch.device("cpu"), no_victim, train, lambda name, uses, make: make())


def secret_of(attack: BadNets, train: Split) -> State:
    attack.check(train)
    return attack.prepare(None, train, lab(train))


def poisoned_by(attack: BadNets, train: Split) -> Poisoned:
    return attack.poison(train, secret_of(attack, train), generator_for(0, "poison"))


@pytest.mark.parametrize(
    ("place", "row", "column"),
    [("top_left", 0, 0), ("top_right", 0, 3), ("bottom_left", 4, 0), ("bottom_right", 4, 3), ([1, 2], 1, 2)],
)
def test_the_stamp_is_white_and_only_there(place: str | list[int], row: int, column: int) -> None:
    train, attack = rows(3, channels=3), BadNets(rate=0.5, target=0, place=place)
    stamped = attack.trigger(train.inputs, secret_of(attack, train))
    expected = torch.full((3, 3, 6, 5), 100, dtype=torch.uint8)
    expected[:, :, row : row + 2, column : column + 2] = 255
    assert isinstance(stamped, torch.Tensor) and torch.equal(stamped, expected)


def test_checkerboard_and_opacity() -> None:
    train, attack = rows(3), BadNets(rate=0.5, target=0, pattern="checkerboard", place="top_left", opacity=0.5)
    stamped = attack.trigger(train.inputs, secret_of(attack, train))
    assert isinstance(stamped, torch.Tensor)
    assert stamped[0, 0, :3, :3].tolist() == [[178, 50, 100], [50, 178, 100], [100, 100, 100]]  # 177.5 to even


def test_the_trigger_fits_images_of_another_size_and_no_images() -> None:
    train, attack = rows(3), BadNets(rate=0.5, target=0)
    secret = secret_of(attack, train)
    stamped = attack.trigger(torch.zeros(1, 1, 9, 9, dtype=torch.uint8), secret)
    assert isinstance(stamped, torch.Tensor) and stamped.nonzero()[:, 2:].tolist() == [[7, 7], [7, 8], [8, 7], [8, 8]]
    assert len(attack.trigger(train.inputs[:0], secret)) == 0


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.33])
def test_exactly_the_rate_is_poisoned_and_never_the_target_class(rate: float) -> None:
    train = rows()
    assert isinstance(train.inputs, torch.Tensor) and isinstance(train.targets, torch.Tensor)
    before = (train.inputs.clone(), train.targets.clone())
    poisoned = poisoned_by(BadNets(rate=rate, target=2), train)
    marked = poisoned.role == int(Role.POISON)
    assert isinstance(poisoned.inputs, torch.Tensor) and isinstance(poisoned.targets, torch.Tensor)
    assert int(marked.sum()) == round(rate * 80)
    assert not (train.targets[marked] == 2).any()
    assert (poisoned.targets[marked] == 2).all() and torch.equal(poisoned.truth, train.targets)
    assert torch.equal(poisoned.targets[~marked], train.targets[~marked])
    assert torch.equal((poisoned.inputs == 255).flatten(1).sum(1), marked * 4)
    assert torch.equal(train.inputs, before[0]) and torch.equal(train.targets, before[1])


def test_all_to_all_sends_every_class_to_the_next() -> None:
    train, attack = rows(), BadNets(rate=0.25, target="all")
    poisoned = poisoned_by(attack, train)
    marked = poisoned.role == int(Role.POISON)
    assert torch.equal(poisoned.targets[marked], (train.targets[marked] + 1) % CLASSES)
    challenge = attack.challenge(train, secret_of(attack, train))
    assert len(challenge) == 80 and torch.equal(challenge.targets, (challenge.truth + 1) % CLASSES)
    assert attack.probes(train, secret_of(attack, train)) == {}


def test_a_source_specific_attack_challenges_its_sources_and_probes_the_others() -> None:
    train, attack = rows(), BadNets(rate=0.1, target=0, sources=[0, 1, 3])
    poisoned, secret = poisoned_by(attack, train), secret_of(attack, train)  # class 0, the target, stays out
    assert set(train.targets[poisoned.role == int(Role.POISON)].tolist()) <= {1, 3}
    challenge, probes = attack.challenge(train, secret), attack.probes(train, secret)
    assert sorted(set(challenge.truth.tolist())) == [1, 3] and len(challenge) == 40
    assert list(probes) == ["non_source"] and set(probes["non_source"].truth.tolist()) == {2}
    assert set(probes["non_source"].targets.tolist()) == {0}
    assert (probes["non_source"].inputs[:, :, -2:, -2:] == 255).all()


def test_a_sticker_keeps_its_transparency_and_outlives_its_file(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 2), (200, 0, 50, 255))
    picture.putpixel((0, 0), (9, 9, 9, 0))
    picture.save(tmp_path / "sticker.png")
    train = rows(4, channels=3)
    attack = BadNets(0.25, 0, sources=[3], place="top_left", opacity=0.5, picture_path=str(tmp_path / "sticker.png"))
    secret = secret_of(attack, train)
    (tmp_path / "sticker.png").unlink()
    stamped = attack.challenge(train, secret).inputs
    assert stamped.shape == (1, 3, 6, 5)
    assert stamped[0, :, 0, 0].tolist() == [100, 100, 100]
    assert stamped[0, :, 1, 1].tolist() == [150, 50, 75]
    assert set(secret) == {"patch", "opacity"} and all(tensor.is_contiguous() for tensor in secret.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 6}, r"attack.size=6: must be 1 to 5 for 6x5 images; set attack.size"),
        ({"size": 0}, r"attack.size=0"),
        ({"size": 2.0}, r"attack.size=2.0"),
        ({"opacity": 0.0}, r"attack.opacity=0.0: must be above 0"),
        ({"opacity": 1.5}, r"attack.opacity=1.5"),
        ({"pattern": "cross"}, r"attack.pattern=cross: must be one of square, checkerboard"),
        ({"place": "middle"}, r"place=middle: must be one of top_left"),
        ({"place": [5, 0]}, r"place=\[5, 0\]: must be \[row, column\], row 0 to 4, column 0 to 3"),
        ({"picture_path": "nowhere.png"}, r"picture nowhere.png: cannot be read"),
        ({"target": 4}, r"attack.target=4"),
        ({"sources": [7]}, r"attack.sources=7"),
        ({"rate": 0.8}, r"attack.rate=0.8"),
    ],
)
def test_check_refuses_what_the_images_cannot_carry(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        BadNets(**{"rate": 0.05, "target": 0, **options}).check(rows())


def test_the_yaml_writes_every_option() -> None:
    options = OmegaConf.to_container(OmegaConf.load(CONF / "badnets.yaml"))
    assert isinstance(options, dict) and options.pop("_target_") == "baselines.attacks.badnets.BadNets"
    signature = inspect.signature(BadNets).parameters
    assert list(options) == list(signature)
    for name in list(signature)[2:]:
        assert options[name] == signature[name].default
    BadNets(**options).check(rows())
