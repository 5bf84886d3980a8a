"""Neural Cleanse on victims whose backdoor, or lack of one, is planted by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from planted import RECIPE
from torch import Generator, Tensor, nn

from baselines.defenses.neural_cleanse import NeuralCleanse, anomaly
from baselines.defenses.trigger_inversion import Settings, invert, stamp
from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.seeds import generator_for
from benchmark.types import Inputs, Split
from benchmark.victim import Classifier

CPU = torch.device("cpu")
CLASSES, SIDE, TARGET = 6, 6, 2
SETTINGS = Settings(
    steps=150,
    batch_rows=16,
    group=3,
    learning_rate=0.3,
    weight=1e-3,
    threshold=0.99,
    patience=5,
    multiplier=2.0,
    stop_after=30,
)


class LinearVictim(Classifier):
    """Logits are linear in the pixels: class k looks at row k of the image, and the target also at a corner patch."""

    def __init__(self, backdoor: float) -> None:
        weight = torch.zeros(CLASSES, SIDE, SIDE)
        for label in range(CLASSES):
            weight[label, label] = 4.0
        weight[TARGET, -2:, -2:] += backdoor
        module = nn.Linear(SIDE * SIDE, CLASSES)
        module.weight = nn.Parameter(weight.flatten(1))
        module.bias = nn.Parameter(torch.zeros(CLASSES))
        super().__init__(module, RECIPE, CPU)
        self.classes = CLASSES

    def encode(self, inputs: Inputs) -> Tensor:
        assert isinstance(inputs, Tensor)
        return inputs.float() / 255

    def activations(self, x: Tensor, stage: int = -1) -> Tensor:
        return x.flatten(1)[:, :, None]

    def head_logits(self, activations: Tensor) -> Tensor:
        return self.module(activations.flatten(1))

    def channels(self, stage: int = -1) -> int:
        return SIDE * SIDE

    def mask(self, keep: Tensor, stage: int = -1) -> None:
        raise NotImplementedError

    def resize(self, classes: int, generator: Generator) -> None:
        raise NotImplementedError

    def batch_rows(self) -> int:
        return 256


def clean_rows(rows: int = 60) -> Split:
    """Row k of an image of class k is bright; the corner of the patch is dark unless it belongs to that row."""
    targets = torch.arange(rows) % CLASSES
    inputs = torch.randint(0, 40, (rows, 1, SIDE, SIDE), generator=generator_for(0, "planted"), dtype=torch.uint8)
    inputs[torch.arange(rows), 0, targets] = 200
    return Split(inputs=inputs, targets=targets, classes=CLASSES)


def defense(**changes: object) -> NeuralCleanse:
    options = {**vars(SETTINGS), "epochs": 1, "unlearning_rate": 0.01, **changes}
    return NeuralCleanse(**options)


def lab(victim: Classifier, clean: Split) -> Lab:
    return Lab(0, RECIPE, CPU, victim.copy, clean, lambda name, uses, make: make())


def test_a_planted_backdoor_gives_its_target_and_its_patch() -> None:
    victim, clean = LinearVictim(backdoor=60.0), clean_rows()
    found = defense().apply(victim.copy(), clean, None, lab(victim, clean))
    assert found.suspect == TARGET and found.detected and found.verdict > 2
    mask = found.evidence["mask"][0]
    assert mask[-2:, -2:].sum() / mask.sum() > 0.9
    assert found.evidence["pattern"].shape == (1, SIDE, SIDE) and found.evidence["norms"].argmin() == TARGET


def test_without_a_backdoor_there_is_no_verdict_and_no_change() -> None:
    victim, clean = LinearVictim(backdoor=0.0), clean_rows()
    found = defense().apply(victim.copy(), clean, None, lab(victim, clean))
    assert not found.detected and found.verdict < 2
    assert all(torch.equal(found.state[name], tensor) for name, tensor in victim.state().items())


def test_unlearning_changes_the_weights_and_weakens_the_patch() -> None:
    victim, clean = LinearVictim(backdoor=60.0), clean_rows()
    found = defense(epochs=20, unlearning_rate=0.5).apply(victim.copy(), clean, None, lab(victim, clean))
    corner = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    corner[-2:, -2:] = True
    before, after = victim.state()["weight"][TARGET], found.state["weight"][TARGET]
    assert after[corner.flatten()].mean() < before[corner.flatten()].mean()


def test_groups_change_nothing() -> None:
    victim, clean = LinearVictim(backdoor=60.0), clean_rows()
    alone, together = (
        invert(victim, clean.inputs, replace(SETTINGS, group=group), generator_for(0, "search"))
        for group in (1, CLASSES)
    )
    assert torch.allclose(alone.norms, together.norms, atol=1e-3)
    assert torch.allclose(alone.masks, together.masks, atol=1e-3)


def test_the_search_leaves_the_victim_as_it_was_and_repeats() -> None:
    victim, clean = LinearVictim(backdoor=60.0), clean_rows()
    victim.module.train()
    victim.module.bias.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in victim.state().items()}
    first, second = (invert(victim, clean.inputs, SETTINGS, generator_for(0, "search")) for _ in range(2))
    assert torch.equal(first.masks, second.masks) and torch.equal(first.patterns, second.patterns)
    assert victim.module.training and victim.module.weight.requires_grad and not victim.module.bias.requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in victim.state().items())


def test_every_mask_found_succeeds() -> None:
    victim, clean = LinearVictim(backdoor=60.0), clean_rows()
    found = invert(victim, clean.inputs, SETTINGS, generator_for(0, "search"))
    for label in range(CLASSES):
        stamped = stamp(victim.encode(clean.inputs), found.masks[label], found.patterns[label])
        # A mask is kept for its success on a batch of draws; over all rows it may be a little less, by machine.
        assert (victim.logits(stamped).argmax(1) == label).float().mean() > 0.8


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    """Median 10.5, deviations 8.5, 0.5, 0.5, 1.5: their median is 1."""
    verdict = anomaly(torch.tensor([2.0, 10.0, 11.0, 12.0]))
    assert verdict.suspect == 0
    assert verdict.score == pytest.approx(8.5 / 1.4826)


def test_only_small_masks_are_suspect() -> None:
    assert anomaly(torch.tensor([10.0, 10.0, 10.0, 50.0])) == (0.0, None)
    assert anomaly(torch.tensor([1.0, 10.0, 11.0, 12.0])).suspect == 0


def test_where_most_searches_fail_there_is_no_verdict() -> None:
    assert anomaly(torch.tensor([1.0, 36.0, 36.0, 36.0])) == (0.0, None)


@pytest.mark.parametrize(
    ("option", "value"), [("steps", 0), ("learning_rate", 0.0), ("threshold", 1.5), ("multiplier", 1.0), ("group", 0)]
)
def test_options_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(BadInput, match=rf"defense\.{option}={value}: .*; set"):
        defense(**{option: value})
