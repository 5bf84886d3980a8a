"""SIG against known answers on flat images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import POISON, config
from torch import Tensor

import benchmark
from baselines.attacks.sig import SIG, add_wave, levels_of
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Split, State
from benchmark.victim import Victim


def rows(count: int = 40, level: int = 100, width: int = 8) -> Split:
    images = torch.full((count, 3, 4, width), level, dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(count) % 4, classes=4)


def no_victim() -> Victim:
    raise AssertionError("a data attack builds no victim")


def secret_of(attack: SIG, train: Split) -> State:
    recipe = Recipe(name="test", epochs=1, batch_size=2, learning_rate=0.1)
    lab = Lab(0, recipe, torch.device("cpu"), no_victim, train, lambda name, uses, make: make())
    return attack.prepare(None, train, lab)


def triggered(attack: SIG, train: Split) -> Tensor:
    return torch.as_tensor(attack.trigger(train.inputs, secret_of(attack, train)))


def test_one_period_over_eight_columns_is_this_wave() -> None:
    train, attack = rows(), SIG(rate=0.1, target=0, test_strength=40, frequency=1)
    images = triggered(attack, train)
    assert images[0, 0, 0].tolist() == [100, 128, 140, 128, 100, 72, 60, 72]  # 40 sin(45 degrees) is 28.3
    assert (images == images[0, 0, 0]).all(), "every row, channel and image alike: the wave is horizontal"


def test_pixels_are_clipped_and_never_wrap() -> None:
    wave = torch.tensor([1.0, -1.0, 0.0])
    images = torch.tensor([[[[200, 40, 7], [250, 3, 255]]]], dtype=torch.uint8)
    assert add_wave(images, wave, 60).tolist() == [[[[255, 0, 7], [255, 0, 255]]]]
    wrapped = images + levels_of(wave, 60).to(torch.uint8)  # what a sum of bytes would give
    assert wrapped[0, 0, 0].tolist() == [4, 236, 7]


def test_training_and_test_strength_are_apart() -> None:
    train, attack = rows(), SIG(rate=0.1, target=0, train_strength=20, test_strength=50, frequency=1)
    secret = secret_of(attack, train)
    poisoned = attack.poison(train, secret, generator_for(0, "poison"))
    assert int(torch.as_tensor(poisoned.inputs).max()) == 120
    assert int(torch.as_tensor(attack.challenge(train, secret).inputs).max()) == 150


def test_only_the_target_class_is_poisoned_and_no_label_changes() -> None:
    train, attack = rows(), SIG(rate=0.1, target=2)
    secret = secret_of(attack, train)
    poisoned, again, other = (attack.poison(train, secret, generator_for(seed, "poison")) for seed in (0, 0, 1))
    marked = poisoned.role == POISON
    assert int(marked.sum()) == 4 and set(torch.as_tensor(poisoned.truth)[marked].tolist()) == {2}
    assert torch.equal(torch.as_tensor(poisoned.targets), torch.as_tensor(train.targets))
    changed = (torch.as_tensor(poisoned.inputs) != torch.as_tensor(train.inputs)).flatten(1).any(1)
    assert torch.equal(changed, marked)
    assert torch.equal(poisoned.role, again.role) and not torch.equal(poisoned.role, other.role)
    challenge = attack.challenge(train, secret)
    assert len(challenge) == 30 and set(torch.as_tensor(challenge.truth).tolist()) == {0, 1, 3}
    assert set(torch.as_tensor(challenge.targets).tolist()) == {2}


def test_the_whole_target_class_is_the_most() -> None:
    SIG(rate=0.25, target=0).check(rows())
    with pytest.raises(BadInput, match=r"attack.rate=0.3: only 10 rows may be poisoned; set attack.rate to 0.25"):
        SIG(rate=0.3, target=0).check(rows())


def test_all_to_all_is_refused() -> None:
    with pytest.raises(BadInput, match=r"attack.target=all: a clean-label attack has one class"):
        SIG(rate=0.1, target="all")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["train_strength", "test_strength"])
@pytest.mark.parametrize("strength", [0, 0.4, -1, 256])
def test_check_refuses_a_strength_outside(name: str, strength: float) -> None:
    with pytest.raises(BadInput, match=rf"attack.{name}={strength}: must be 0.5 to 255"):
        SIG(**{"rate": 0.1, "target": 0, name: strength}).check(rows())  # type: ignore[arg-type]


@pytest.mark.parametrize("frequency", [0, -1, 4, 8])
def test_check_refuses_a_wave_that_no_column_shows(frequency: float) -> None:
    with pytest.raises(BadInput, match=rf"attack.frequency={frequency}: must be above 0, and no multiple of 4"):
        SIG(rate=0.1, target=0, frequency=frequency).check(rows())


@pytest.mark.slow
def test_the_digits_carry_it(store: Path) -> None:
    # 108 poisons, 94 % of their class. Measured, seeds 0, 1, 2: ASR 351, 348, 354 of 398, that of the clean model 2, 65, 7;
    # CA 99.8, 99.1, 99.6 % (n = 447). Eight columns show few waves: seed 1 with a frequency of 1, 216 and 10; of 2, 178
    # and 42. The wave hides much of a digit: the clean model names only 34 to 50 % of triggered rows rightly.
    options = ("rate=0.09", "frequency=3", "train_strength=120", "test_strength=180")
    overrides = (f"attack.{option}" for option in options)
    record = benchmark.run(config("attack=sig", "recipe.epochs=12", *overrides, store=store))
    assert record.scores is not None and record.rows.poisoned == 108
    clean, backdoored = record.scores.clean, record.scores.backdoored
    assert backdoored.asr.rate >= 0.8 and clean.asr.rate <= 0.1 and backdoored.ca.rate >= 0.95
