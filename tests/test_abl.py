"""Anti-Backdoor Learning: its losses by hand, planted rows that are learnt first, and the digits."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import config
from planted import RECIPE, PlantedVictim, lab
from torch import Tensor

import benchmark
from baselines.defenses.abl import (
    ABL,
    flooding,
    isolation_recipe,
    lga,
    lowest,
    marked,
    row_losses,
    trapped,
    unlearning,
)
from benchmark.access import BlackBox
from benchmark.detection import separation
from benchmark.errors import BadInput
from benchmark.record import Record, RowDetection
from benchmark.seeds import generator_for
from benchmark.types import Defended, Inputs, Split, Targets

CLASSES, TRIGGER, TARGET = 3, 3, 0
ROWS, POISONS = 120, 12
ANY = generator_for(0, "any")


class Told(PlantedVictim):
    """Its losses are the numbers it is told, whatever the rows."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__(torch.zeros(CLASSES, 1))
        self.losses = torch.tensor(losses, requires_grad=True)

    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        return self.losses


def told_rows(marks: list[int]) -> Split:
    count = len(marks)
    images, labels = torch.zeros(count, 1, 1, 1, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64)
    return Split(inputs=images, targets=labels, group=torch.tensor(marks), classes=CLASSES)


def rows() -> tuple[Split, Tensor]:
    """Class k lights channel k a little; every tenth row has the trigger's channel white and the target's label."""
    targets = torch.arange(ROWS) % CLASSES
    images = torch.zeros(ROWS, TRIGGER + 1, 1, 1, dtype=torch.uint8)
    images[torch.arange(ROWS), targets] = 90
    poison = torch.arange(ROWS) % 10 == 1
    images[poison, TRIGGER] = 255
    return Split(inputs=images, targets=torch.where(poison, TARGET, targets), classes=CLASSES), poison


def blank() -> PlantedVictim:
    return PlantedVictim(torch.zeros(CLASSES, TRIGGER + 1))


def applied(defense: ABL, train: Split, seed: int = 0) -> Defended:
    """The defense beside a victim that answers nothing: it does not look at it."""
    return defense.apply(BlackBox(blank(), set()), None, train, lab(blank(), train, seed))


# ---- losses by hand


def test_local_gradient_ascent_by_hand() -> None:
    losses = torch.tensor([0.2, 0.5, 2.0], requires_grad=True)
    values = lga(losses, 0.5)
    assert values.tolist() == pytest.approx([-0.2, 0, 2])
    values.sum().backward()
    assert losses.grad is not None and losses.grad.tolist() == [-1, 0, 1]


def test_flooding_by_hand_has_the_same_gradient() -> None:
    losses = torch.tensor([0.2, 0.5, 2.0], requires_grad=True)
    values = flooding(losses, 0.5)
    assert values.tolist() == pytest.approx([0.8, 0.5, 2])
    values.sum().backward()
    assert losses.grad is not None and losses.grad.tolist() == [-1, 0, 1]


@pytest.mark.parametrize(("trap", "value", "slopes"), [("lga", 1.4, [-0.5, 0.5]), ("flooding", 1.6, [0.5, 0.5])])
def test_ascent_is_of_rows_and_flooding_of_their_mean(trap: str, value: float, slopes: list[float]) -> None:
    """Losses 0.2 and 3.0, level 0.5: the first row is pushed back alone, or drawn down with the mean, 1.6."""
    victim = Told([0.2, 3.0])
    found = trapped(trap, 0.5)(victim, told_rows([0, 0]), ANY)
    found.backward()
    assert found.item() == pytest.approx(value)
    assert victim.losses.grad is not None and victim.losses.grad.tolist() == slopes


@pytest.mark.parametrize(
    ("marks", "value", "slopes"),
    [
        ([0, 0, 1, 1], 1.5 - 3.25, [0.5, 0.5, -0.5, 0]),  # the last is above the ceiling of 3.5
        ([0, 0, 0, 0], 2.5, [0.25, 0.25, 0.25, 0.25]),
        ([1, 1, 1, 1], -(1 + 2 + 3 + 3.5) / 4, [-0.25, -0.25, -0.25, 0]),
    ],
)
def test_unlearning_by_hand(marks: list[int], value: float, slopes: list[float]) -> None:
    victim = Told([1.0, 2.0, 3.0, 4.0])
    found = unlearning(3.5)(victim, told_rows(marks), ANY)
    found.backward()
    assert found.item() == pytest.approx(value)
    assert victim.losses.grad is not None and victim.losses.grad.tolist() == slopes


# ---- isolation


def test_the_rows_of_lowest_loss_are_isolated() -> None:
    losses = torch.tensor([3.0, 1e-9, 2.0, 1e-12, 1.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert lowest(losses, 0.2).nonzero().flatten().tolist() == [1, 3]
    assert lowest(losses, 0.01).nonzero().flatten().tolist() == [3], "at least one"


def test_well_fitted_rows_do_not_tie() -> None:
    """Logits 40 and 50 against 0: both losses are 0 in float32."""
    victim = PlantedVictim(torch.tensor([[50.0], [0.0]]))
    images = torch.tensor([204, 255], dtype=torch.uint8)[:, None, None, None]
    split = Split(inputs=images, targets=torch.zeros(2, dtype=torch.int64), classes=2)
    losses = row_losses(victim, split)
    assert losses.tolist() == pytest.approx([math.exp(-40), math.exp(-50)], rel=0.01)
    assert victim.loss(split.inputs, split.targets).tolist() == [0, 0]


@pytest.mark.parametrize(("epochs", "expected"), [(1, 1), (2, 1), (12, 3), (100, 25)])
def test_isolation_takes_its_share_of_the_epochs(epochs: int, expected: int) -> None:
    recipe = isolation_recipe(RECIPE.replace(epochs=epochs, small_epochs=1), 0.25)
    assert (recipe.epochs, recipe.small_epochs) == (expected, 0)


@pytest.mark.parametrize("trap", ["lga", "flooding"])
def test_planted_poisons_are_learnt_first(trap: str) -> None:
    train, poison = rows()
    found = applied(ABL(trap, 0.5, POISONS / ROWS, 0.5), train)
    assert found.suspicion is not None and found.flagged is not None
    assert separation(found.suspicion, poison).auroc == 1
    assert torch.equal(found.flagged, poison)


def test_suspicion_lies_beside_its_rows() -> None:
    """Suspicion is minus the loss after isolation, row by row, in the rows' own order."""
    train, _ = rows()
    shuffled = train.take(torch.randperm(ROWS, generator=generator_for(0, "order")))
    found = applied(ABL("lga", 0.5, 0.05, 0.5), shuffled)
    isolating = blank().fit(
        shuffled, generator_for(0, "isolation"), trapped("lga", 0.5), RECIPE.replace(epochs=1, small_epochs=0)
    )
    expected = -isolating.loss(shuffled.inputs, shuffled.targets)
    assert found.suspicion is not None and found.flagged is not None
    assert torch.allclose(found.suspicion, expected.detach(), atol=1e-6)
    assert found.suspicion[found.flagged].min() >= found.suspicion[~found.flagged].max()
    assert int(found.flagged.sum()) == 6


# ---- unlearning


def test_ascent_raises_the_loss_of_the_isolated_and_is_bounded() -> None:
    train, poison = rows()
    learnt = blank().fit(train, generator_for(0, "learn"), recipe=RECIPE.replace(epochs=20))
    before = row_losses(learnt, train)
    assert before[poison].max() < 0.3

    def unlearnt(ceiling: float) -> Tensor:
        objective, recipe = unlearning(ceiling), RECIPE.replace(epochs=30)
        return row_losses(
            learnt.copy().fit(marked(train, poison), generator_for(0, "unlearn"), objective, recipe), train
        )

    bounded, unbounded = unlearnt(math.log(CLASSES)), unlearnt(math.inf)
    assert bounded[poison].min() > math.log(CLASSES), "no better than a guess"
    assert bounded[~poison].mean() < before[~poison].mean(), "the other rows are learnt on"
    assert bounded[poison].mean() < unbounded[poison].mean() / 2, "without a ceiling ascent never ends"


def test_the_new_weights_are_the_two_parts_in_turn() -> None:
    train, _ = rows()
    before = train.inputs.clone() if isinstance(train.inputs, Tensor) else None
    found = applied(ABL("lga", 0.5, 0.1, 0.5), train)
    assert found.flagged is not None
    half = RECIPE.replace(epochs=1, small_epochs=0)
    expected = blank().fit(train, generator_for(0, "isolation"), trapped("lga", 0.5), half)
    expected.fit(
        replace(train, group=found.flagged.long()),
        generator_for(0, "unlearning"),
        unlearning(math.log(CLASSES)),
        half,
    )
    assert torch.equal(found.state["head.weight"], expected.state()["head.weight"])
    assert isinstance(train.inputs, Tensor) and before is not None and torch.equal(train.inputs, before)


def test_the_same_seed_gives_the_same_bits() -> None:
    train, _ = rows()
    one, two, other = (applied(ABL("lga", 0.5, 0.1, 0.5), train, seed) for seed in (0, 0, 1))
    assert torch.equal(one.state["head.weight"], two.state["head.weight"])
    assert not torch.equal(one.state["head.weight"], other.state["head.weight"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trap", "drown"), ("gamma", 0), ("gamma", -1), ("gamma", math.nan), ("isolation_share", 0),
        ("isolation_share", 1), ("isolation_epochs", 0), ("isolation_epochs", 1.5),
    ],
)  # fmt: skip
def test_bad_options_are_named(name: str, value: object) -> None:
    good = {"trap": "lga", "gamma": 0.5, "isolation_share": 0.01, "isolation_epochs": 0.25}
    with pytest.raises(BadInput, match=f"defense.{name}={value}: .*set defense.{name}"):
        ABL(**{**good, name: value})


# ---- digits


def on_digits(store: Path, *overrides: str) -> tuple[Record, RowDetection]:
    record = benchmark.run(config("recipe.epochs=12", "defense=abl", *overrides, store=store))
    assert record.scores is not None and record.detection is not None and record.detection.rows is not None
    return record, record.detection.rows


@pytest.mark.slow
def test_a_patch_that_is_learnt_first_is_unlearnt(store: Path) -> None:
    """BadNets 3x3 at 5 %, 5 % isolated, 1,201 rows, 447 test rows, n = 3.

    Seeds 0, 1, 2: AUROC 0.999, 0.973, 1.000; 56, 37, 58 poisons of 60 isolated; ASR 100 to 0, 1.0, 0 %; CA 98.9, 92.2,
    99.6 %, on the control 99.8, 99.6, 90.4 %. The default 2x2 patch is learnt later: AUROC 0.917, 0.812, 0.668, ASR 5.3,
    96.5, 98.2 %.
    """
    record, found = on_digits(store, "attack=badnets", "attack.size=3", "defense.isolation_share=0.05")
    assert record.scores is not None and found.precision is not None
    assert (found.separation.auroc or 0) > 0.95 and found.precision.hits >= 45
    assert record.scores.backdoored.asr.rate > 0.95 and record.scores.defended.asr.rate < 0.1
    assert record.scores.defended.ca.rate > 0.95


@pytest.mark.slow
def test_a_pattern_that_is_learnt_last_survives(store: Path) -> None:
    """Blended at 5 %, the paper's 1 % isolated, 1,201 rows, seed 0: AUROC 0.136, 0 poisons of 12, ASR 99.7 %."""
    record, found = on_digits(store, "attack=blended")
    assert record.scores is not None and found.precision is not None
    assert (found.separation.auroc or 1) < 0.5 and found.precision.hits == 0
    assert record.scores.defended.asr.rate > 0.8
