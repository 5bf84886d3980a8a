"""Confusion Training on a planted trigger, and on digits where it wins and where it loses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from filters import CLASSES, auroc, clean_rows, filtered, marks, on_digits, planted_victim, poisoned_rows
from planted import RECIPE, PlantedVictim
from torch import Tensor

from baselines.defenses.ct import Confusion, ConfusionTraining
from benchmark.errors import BadInput
from benchmark.seeds import generator_for
from benchmark.types import Inputs, Targets

QUICK = ConfusionTraining(120, 5, 5.0, 32)


class Listening(PlantedVictim):
    """Keeps what it is asked to learn."""

    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        self.inputs, self.targets = inputs, targets
        return torch.arange(len(inputs), dtype=torch.float32)


def test_a_batch_keeps_its_labels_and_trusted_rows_get_wrong_ones() -> None:
    clean, batch = clean_rows(20, seed=1), clean_rows().take(torch.arange(300))
    victim = Listening(torch.zeros(CLASSES, 8))
    loss = Confusion(clean, 3.0, CLASSES)(victim, batch, generator_for(0, "step"))
    assert torch.equal(victim.inputs[:300], batch.inputs) and torch.equal(victim.targets[:300], batch.targets)
    true = victim.inputs[300:, :CLASSES].flatten(1).float().argmax(1)  # class k lights channel k
    assert (victim.targets[300:] != true).all() and set(victim.targets[300:].tolist()) == set(range(CLASSES))
    assert float(loss) == pytest.approx((149.5 + 3 * 449.5) / 4)


def test_a_trigger_outlives_the_confusion_and_content_does_not() -> None:
    train, poison = poisoned_rows(12)
    suspicion, flagged = marks(filtered(QUICK, train))
    assert torch.equal(flagged, poison) and auroc(suspicion, poison) == 1


def test_clean_rows_are_all_unlearnt() -> None:
    suspicion, flagged = marks(filtered(QUICK, clean_rows()))
    assert not flagged.any() and suspicion.exp().mean() < 0.5
    own = planted_victim().scores(clean_rows().inputs).argmax(1) == clean_rows().targets
    assert own.all(), "before the confusion it knew them"


def test_flags_are_rows_likelier_right_than_not() -> None:
    suspicion, flagged = marks(filtered(QUICK, poisoned_rows(12)[0]))
    assert torch.equal(flagged, suspicion.exp() > 0.5) and (suspicion <= 0).all()


def test_steps_become_whole_passes_without_augmentation() -> None:
    usual = RECIPE.replace(crop=0.1, flip=True, rotation=5.0, cutout=0.2, small_epochs=1)
    chosen = ConfusionTraining(100, 5, 0.1, 64).recipe(usual, 640)
    assert (chosen.epochs, chosen.batch_size, chosen.learning_rate) == (10, 64, 0.1)
    assert (chosen.crop, chosen.flip, chosen.rotation, chosen.cutout, chosen.small_epochs) == (0, False, 0, 0, 0)
    assert ConfusionTraining(101, 5, 0.1, 64).recipe(usual, 640).epochs == 11


@pytest.mark.parametrize(
    ("options", "named"),
    [((0, 5, 0.1, 64), "steps=0"), ((9, 0, 0.1, 64), "weight=0"), ((9, 5, 0, 64), "learning_rate=0"), ((9, 5, 0.1, 1), "batch_size=1")],
)  # fmt: skip
def test_bad_options_are_named(options: tuple[int, float, float, int], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        ConfusionTraining(*options)


@pytest.mark.slow
def test_a_patch_at_five_percent_is_removed(store: Path) -> None:
    """Seed 0, 1,201 rows: AUROC 1.000, all 60 poisons among 63 flags, ASR 97.7 to 0 %, no flag on clean rows."""
    record, rows = on_digits(store, "attack=badnets", "defense=ct")
    assert record.scores is not None and rows.recall is not None and rows.control_flags is not None
    assert (rows.separation.auroc or 0) > 0.95 and rows.recall.hits >= 50 and rows.control_flags.hits <= 12
    assert record.scores.backdoored.asr.rate > 0.9 and record.scores.defended.asr.rate < 0.1


@pytest.mark.slow
def test_a_faint_pattern_over_the_whole_image_is_unlearnt_with_the_content(store: Path) -> None:
    """Blended at 5 %, seed 0, 1,201 rows: AUROC within the target class 0.031, none of 60 poisons flagged."""
    record, rows = on_digits(store, "attack=blended", "defense=ct")
    assert record.scores is not None and rows.recall is not None
    assert rows.within_target.auroc is not None and rows.within_target.auroc < 0.5 and rows.recall.hits <= 6
    assert record.scores.defended.asr.rate > 0.8
