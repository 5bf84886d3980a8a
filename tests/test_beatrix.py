"""Beatrix's Gram entries and deviations by hand, planted rows, and digits where it wins and where it loses."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from filters import CLASSES, auroc, clean_rows, filtered, marks, on_digits, poisoned_rows
from torch import Tensor

from baselines.defenses.beatrix import CHANNELS, ORDERS, Beatrix, deviations, gram_entries
from benchmark.errors import BadInput
from benchmark.types import Split


def test_gram_entries_by_hand() -> None:
    """Two channels at two positions: F = (1 2; 0 3), F squared element by element = (1 4; 0 9)."""
    entries = gram_entries(torch.tensor([[[1.0, 2], [0, 3]]]))
    assert entries.shape == (1, len(ORDERS), 3)
    assert entries[0, 0].tolist() == pytest.approx([5, 6, 9])
    assert entries[0, 1].tolist() == pytest.approx([math.sqrt(17), 6, 9])
    eighth = [(1 + 2.0**16) ** (1 / 8), 6, 9]
    assert entries[0, 7].tolist() == pytest.approx(eighth)


def test_roots_keep_the_sign_and_large_activations_stay_finite() -> None:
    entries = gram_entries(torch.tensor([[[1.0], [-2.0]], [[1e4], [1e4]]]))
    assert entries[0, 0].tolist() == [1, -2, 4]
    assert entries[1].isfinite().all() and entries[1, 7, 0] == pytest.approx(1e8)


def test_many_channels_are_averaged_in_groups() -> None:
    entries = gram_entries(torch.ones(2, 4 * CHANNELS, 3))
    assert entries.shape == (2, len(ORDERS), CHANNELS * (CHANNELS + 1) // 2)
    assert torch.allclose(entries[:, 0], torch.tensor(3.0))


def entries(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None]


def test_deviations_by_hand() -> None:
    """Trusted 1, 2, 3: median 2, median absolute deviation 1, bounds -8 and 12."""
    found = deviations(entries(5, 15, -10, -8, 12), entries(1, 2, 3))
    assert found.tolist() == pytest.approx([0, 3 / 12, 2 / 8, 0, 0])


def test_an_even_number_of_trusted_rows_has_its_median_in_the_middle() -> None:
    """Trusted 1 and 3: median 2, deviation 1. The lower of the two would give bounds of -9 or nought."""
    assert deviations(entries(12, 13), entries(1, 3)).tolist() == pytest.approx([0, 1 / 12])


def test_an_entry_that_is_nought_on_trusted_rows_does_not_outweigh_all() -> None:
    trusted = torch.tensor([[[0.0, 10.0]]] * 3)
    assert deviations(torch.tensor([[[1.0, 10.0]]]), trusted).tolist() == pytest.approx([1 / 5 / 2])


def test_planted_poisons_leave_the_bounds() -> None:
    train, poison = poisoned_rows(12)
    suspicion, flagged = marks(filtered(Beatrix(0.05), train))
    assert auroc(suspicion, poison) == 1 and flagged[poison].all()
    assert flagged[~poison].float().mean() < 0.1


def test_the_threshold_is_passed_by_the_asked_share_of_trusted_rows() -> None:
    """120 trusted rows, each held against bounds that rows of other folds set."""
    found = filtered(Beatrix(0.1), clean_rows())
    trusted = found.evidence["trusted_deviation"]
    assert len(trusted) == 20 * CLASSES
    flagged = marks(found)[1]
    assert torch.equal(flagged, marks(found)[0] > trusted[-(12 + 1)])
    assert flagged.float().mean() < 0.2


def test_rows_of_one_group_never_set_the_bounds_of_each_other() -> None:
    """Two tracks of copies: held against its own track a row deviates by nought, against the other one it does not."""
    rows = clean_rows(10, seed=1)
    assert isinstance(rows.inputs, Tensor)
    track = torch.arange(len(rows)) % 2
    copies = rows.inputs[(rows.targets * 10 + track)]
    grouped = Split(inputs=copies, targets=rows.targets, group=rows.targets * 2 + track, classes=CLASSES)
    alone = Split(inputs=copies, targets=rows.targets, classes=CLASSES)
    assert (filtered(Beatrix(0.1), clean_rows(), grouped).evidence["trusted_deviation"] > 0).all()
    assert (filtered(Beatrix(0.1), clean_rows(), alone).evidence["trusted_deviation"] == 0).all()


@pytest.mark.parametrize("value", [1, -0.1, 1.5])
def test_bad_options_are_named(value: float) -> None:
    with pytest.raises(BadInput, match=f"fpr={value}"):
        Beatrix(value)


@pytest.mark.slow
def test_a_patch_at_five_percent_is_removed(store: Path) -> None:
    """Seed 0, 1,201 rows: AUROC 0.999, all 60 poisons among 90 flags, ASR 97.7 to 0 %; 50 flags on clean rows."""
    record, rows = on_digits(store, "attack=badnets", "defense=beatrix")
    assert record.scores is not None and rows.recall is not None and rows.control_flags is not None
    assert (rows.separation.auroc or 0) > 0.95 and rows.recall.hits >= 55 and rows.control_flags.rate < 0.1
    assert record.scores.backdoored.asr.rate > 0.9 and record.scores.defended.asr.rate < 0.1


@pytest.mark.slow
def test_a_faint_pattern_over_the_whole_image_stays_within_the_bounds(store: Path) -> None:
    """Blended at 5 %, seed 0, 1,201 rows: AUROC 0.825, 2 of 60 poisons among 53 flags."""
    record, rows = on_digits(store, "attack=blended", "defense=beatrix")
    assert record.scores is not None and rows.recall is not None
    assert rows.separation.auroc is not None and rows.separation.auroc < 0.92 and rows.recall.hits <= 15
    assert record.scores.defended.asr.rate > 0.8
