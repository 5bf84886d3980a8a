"""SSBA and its codec: bits come back, every image has a residual of its own, within the bound; and on the digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import POISON, config
from surrogates import CPU, Shelf, digits, lab_of
from torch import Tensor

import benchmark
from baselines.attacks.codec import Codec, trained
from baselines.attacks.ssba import SSBA
from benchmark.errors import BadInput
from benchmark.images import to_uint8
from benchmark.seeds import generator_for
from benchmark.types import Split, State

BITS, STRENGTH, STEPS = 4, 40, 150
TARGET = 3


def attack_of(**options: Any) -> SSBA:
    known = {"strength": STRENGTH, "bits": BITS, "steps": STEPS}
    return SSBA(**{"rate": 0.1, "target": TARGET, **known, **options})


def soft(test: bool = False) -> Split:
    """Digits with grey levels of 64 to 191: no change within the bound is clipped."""
    split = digits(300, test)
    images = (64 + torch.as_tensor(split.inputs) // 2).to(torch.uint8)
    return Split(inputs=images, targets=split.targets, classes=10)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """The codec of all attacks here, trained once."""
    return Shelf()


@pytest.fixture(scope="module")
def secret(shelf: Shelf) -> State:
    return attack_of().prepare(None, soft(), lab_of(soft(), shelf))


def codec_of(secret: State, bits: int = BITS, strength: float = STRENGTH) -> Codec:
    codec = Codec(1, bits, strength)
    codec.load_state_dict({name: tensor for name, tensor in secret.items() if name != "code"})
    return codec.eval()


def agreement(codec: Codec, images: Tensor, codes: Tensor) -> float:
    """Share of bits that the decoder reads as they were, from uint8 pixels."""
    with torch.no_grad():
        return float(((codec.read(images / 255) > 0) == (codes > 0.5)).float().mean())


def residuals(attack: SSBA, images: Tensor, secret: State) -> Tensor:
    return torch.as_tensor(attack.trigger(images, secret)).long() - images.long()


# ---- the codec


def test_bits_come_back_after_rounding(secret: State) -> None:
    """Random codes in images that the codec has not seen, as 256 grey levels."""
    codec, images = codec_of(secret), torch.as_tensor(soft(test=True).inputs)
    codes = torch.randint(0, 2, (len(images), BITS), generator=generator_for(0, "codes")).float()
    with torch.no_grad():
        hidden = to_uint8(255 * codec.hide(images / 255, codes))
    assert agreement(codec, hidden, codes) >= 0.9
    assert 0.3 < agreement(codec, images, codes) < 0.7, "images without a code tell nothing of it"


def test_the_attack_hides_the_code_of_the_secret(secret: State) -> None:
    codec, code = codec_of(secret), secret["code"]
    assert code.shape == (BITS,) and set(code.tolist()) <= {0.0, 1.0}
    for rows in (soft(), soft(test=True)):
        hidden = torch.as_tensor(attack_of().trigger(rows.inputs, secret))
        assert agreement(codec, hidden, code.expand(len(rows), -1)) >= 0.9
    other = {**secret, "code": 1 - code}
    hidden = torch.as_tensor(attack_of().trigger(soft().inputs, other))
    assert agreement(codec, hidden, code.expand(len(soft()), -1)) <= 0.1, "another code is another trigger"


def test_a_codec_follows_its_generator_and_leaves_the_global_one_alone() -> None:
    images, before = torch.as_tensor(soft().inputs)[:64], torch.random.get_rng_state()
    kept = images.clone()
    one, same, other = (trained(images, 2, 32, 2, generator_for(seed, "codec"), CPU).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.0.weight"], other["encoder.0.weight"])
    assert torch.equal(torch.random.get_rng_state(), before) and torch.equal(images, kept)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_hidden_pixels_stay_pixels(level: int, secret: State) -> None:
    codec, pixels = codec_of(secret), torch.full((2, 1, 8, 8), level / 255)
    with torch.no_grad():
        hidden = codec.hide(pixels, torch.tensor([[0.0] * BITS, [1.0] * BITS]))
    assert torch.equal(hidden, hidden.clamp(0, 1))
    assert float((hidden - pixels).abs().max()) <= STRENGTH / 255


# ---- the trigger


def test_every_image_has_a_residual_of_its_own(secret: State) -> None:
    """Beyond rounding, and not because pixels were clipped: none of these is."""
    found = residuals(attack_of(), torch.as_tensor(soft().inputs), secret).flatten(1)
    distinct = torch.as_tensor(soft().inputs).flatten(1).unique(dim=0)
    assert len(found.unique(dim=0)) == len(distinct), "one code, as many triggers as images"
    own = (found - found.float().mean(0)).square().mean() / found.float().square().mean()
    assert float(own) > 0.05, "measured: 0.11, 0.17, 0.13 of the residuals' energy, seeds 0, 1, 2"


@pytest.mark.parametrize("strength", [STRENGTH, 10.5])
def test_no_pixel_changes_by_more_than_the_strength(secret: State, strength: float) -> None:
    """The bound is the encoder's own, whatever its weights: here they were made for another."""
    for images in (torch.as_tensor(soft().inputs), torch.as_tensor(digits().inputs)):
        assert 0 < int(residuals(attack_of(strength=strength), images, secret).abs().max()) <= strength


@pytest.mark.parametrize("level", [0, 2, 253, 255])
def test_pixels_are_clipped_and_do_not_wrap(level: int, secret: State) -> None:
    images = torch.full((1, 1, 8, 8), level, dtype=torch.uint8)
    hidden = torch.as_tensor(attack_of().trigger(images, secret))
    assert hidden.dtype == torch.uint8 and int((hidden.long() - level).abs().max()) <= STRENGTH


def test_a_row_is_encoded_as_it_would_be_alone(secret: State) -> None:
    """In any batch and any order, beyond the 128 rows that are encoded at a time."""
    attack, images = attack_of(), torch.as_tensor(soft().inputs)
    together = torch.as_tensor(attack.trigger(images, secret))
    order = torch.randperm(len(images), generator=generator_for(0, "order"))
    assert torch.equal(torch.as_tensor(attack.trigger(images[order], secret)), together[order])
    for at in (0, 127, 128, 299):
        assert torch.equal(torch.as_tensor(attack.trigger(images[at : at + 1], secret)), together[at : at + 1])
    assert len(attack.trigger(images[:0], secret)) == 0


def test_training_and_test_rows_meet_the_same_encoder(secret: State) -> None:
    """The same image is encoded into the same pixels, whether it is poisoned or asked."""
    train, attack = soft(), attack_of()
    poisoned = attack.poison(train, secret, generator_for(0, "poison"))
    marked = poisoned.role == POISON
    assert int(marked.sum()) == 30 and not (torch.as_tensor(train.targets)[marked] == TARGET).any()
    challenge = attack.challenge(train, secret)  # the training rows, asked as if they were test rows
    encoded = torch.as_tensor(train.inputs).clone()
    encoded[torch.as_tensor(train.targets) != TARGET] = torch.as_tensor(challenge.inputs)
    assert torch.equal(torch.as_tensor(poisoned.inputs)[marked], encoded[marked])
    assert torch.equal(torch.as_tensor(poisoned.inputs)[~marked], torch.as_tensor(train.inputs)[~marked])
    assert (torch.as_tensor(poisoned.targets)[marked] == TARGET).all()


# ---- the surrogate


def test_one_codec_serves_every_rate_target_and_source(secret: State, shelf: Shelf) -> None:
    assert len(shelf.kept) == 1
    for options in ({"rate": 0.02}, {"target": 4}, {"target": "all"}, {"sources": [1, 7]}):
        attack_of(**options).surrogates(lab_of(soft(), shelf))
        again = attack_of(**options).prepare(None, soft(), lab_of(soft(), shelf))
        assert torch.equal(again["code"], secret["code"])
    assert len(shelf.kept) == 1
    quick = Shelf()
    for options in ({}, {"strength": 41}, {"bits": 5}, {"steps": 2}):
        attack_of(**{"steps": 1, **options}).surrogates(lab_of(soft(), quick))
    assert len(quick.kept) == 4, "another one for another strength, length or training"


def test_code_and_codec_follow_the_seed(shelf: Shelf) -> None:
    attack = attack_of(steps=1, bits=16)
    one, same, other = (attack.prepare(None, soft(), lab_of(soft(), seed=seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["code"], other["code"])
    assert not torch.equal(one["encoder.0.weight"], other["encoder.0.weight"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 0}, r"attack.strength=0: must be above 0 and at most 255"),
        ({"strength": 256}, r"attack.strength=256"),
        ({"bits": 0}, r"attack.bits=0: must be an integer of at least 1"),
        ({"bits": 1.5}, r"attack.bits=1.5"),
        ({"steps": 0}, r"attack.steps=0: must be an integer of at least 1"),
        ({"steps": True}, r"attack.steps=True"),
        ({"target": 10}, r"attack.target=10: the data set has classes 0 to 9"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        attack_of(**options).check(soft())


# ---- digits


@pytest.mark.slow
def test_the_digits_carry_it(store: Path) -> None:
    # 32 grey levels give ASR 94.7, 83.9, 88.7 % (seeds 0, 1, 2), a longer training of the codec fainter residuals: seed 1
    # with 1,000 steps 26.1 %. Measured with 48, seeds 0, 1, 2: ASR 394, 396, 388 of 398, that of the clean model 0, 1, 0;
    # CA 98.9, 99.3, 99.8 % (n = 447).
    options = ("attack=ssba", "attack.rate=0.05", "attack.strength=48", "recipe.epochs=12")
    record = benchmark.run(config(*options, store=store))
    assert record.scores is not None and record.rows.poisoned == 60
    clean, backdoored = record.scores.clean, record.scores.backdoored
    assert backdoored.asr.rate >= 0.9 and clean.asr.rate <= 0.05 and backdoored.ca.rate >= 0.95


@pytest.mark.slow
def test_the_default_codec_reads_its_code_on_digits() -> None:
    # Measured on 447 test rows after rounding, seeds 0, 1, 2: the decoder reads 99.6, 94.7, 94.8 % of the bits of its
    # code, 99.0, 93.7, 98.9 % of random ones; training takes 8.5, 6.4, 5.9 CPU-seconds (one thread of a busy machine, 1,200
    # rows). 0.19, 0.46, 0.19 of the residuals' energy is peculiar to the image, the rest is a pattern that all share. With
    # a strength of 48: 98.7, 99.0, 99.6 % and 0.30, 0.32, 0.24.
    attack, rows = attack_of(strength=32, bits=8, steps=400), digits(1200)
    secret = attack.prepare(None, rows, lab_of(rows))
    test = torch.as_tensor(digits(447, test=True).inputs)
    hidden = torch.as_tensor(attack.trigger(test, secret))
    assert agreement(codec_of(secret, 8, 32), hidden, secret["code"].expand(len(test), -1)) >= 0.95
