"""SCAn's index by hand, its untangling on planted rows, and digits where it wins and where it loses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from filters import ROWS, TARGET, auroc, clean_rows, filtered, marks, on_digits, poisoned_rows
from torch import Tensor

from baselines.defenses.scan import Scan, outlying, untangled, whitened
from benchmark.errors import BadInput
from benchmark.seeds import generator_for
from benchmark.types import Split


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_the_index_by_hand() -> None:
    """An even number of classes has its median in the middle: 2.5, and deviations of 1.5, 0.5, 0.5 and 11.5."""
    assert outlying(column(1, 2, 3, 4, 10).flatten())[-1] == pytest.approx(7 / 1.4826)
    assert outlying(column(1, 2, 3, 14).flatten())[-1] == pytest.approx(11.5 / 1.4826)
    assert outlying(column(2, 2, 2).flatten()).tolist() == [0, 0, 0]


def test_untangling_by_hand() -> None:
    """Rows at 0, 0, 0 and 8 about the trusted mean 0: squares 48 about one centre, none about two, over four rows."""
    found = untangled(column(0, 0, 0, 8), known=torch.zeros(1, dtype=torch.float64), seed=0)
    assert found.gain == pytest.approx(12)
    assert found.evidence.tolist() == pytest.approx([-64, -64, -64, 64])


def test_the_subgroup_farther_from_trusted_rows_is_mistrusted_whichever_is_larger() -> None:
    found = untangled(column(0, 0, 0, 8), known=torch.full((1,), 8, dtype=torch.float64), seed=0)
    assert found.evidence.tolist() == pytest.approx([64, 64, 64, -64])


def test_trusted_rows_have_unit_variance_within_their_classes() -> None:
    """Class means far apart and unequal variances; the shrinkage of 4,000 rows is slight."""
    generator = generator_for(0, "rows")
    targets = torch.arange(4000) % 4
    rows = torch.randn(4000, 3, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 2, 0.5])
    rows += 100 * targets[:, None]
    clean = Split(inputs=torch.zeros(4000, 1, 1, 1, dtype=torch.uint8), targets=targets, classes=4)
    inner, outer = whitened(rows, rows, clean)
    within = outer - torch.stack([outer[targets == label].mean(0) for label in range(4)])[targets]
    assert torch.equal(inner, outer)
    assert torch.allclose(within.T @ within / 3996, torch.eye(3, dtype=torch.float64), atol=0.1)


def test_the_class_of_two_subgroups_has_the_largest_index_and_loses_the_planted_one() -> None:
    train, poison = poisoned_rows(20)
    found = filtered(Scan(7.389), train)
    suspicion, flagged = marks(found)
    index = found.evidence["index"]
    assert int(index.argmax()) == TARGET and index[TARGET] > 7.389 > index[torch.arange(len(index)) != TARGET].max()
    assert torch.equal(flagged, poison) and auroc(suspicion, poison) == 1


def test_a_majority_of_poisons_is_still_told_from_trusted_rows() -> None:
    train, poison = poisoned_rows(40)
    suspicion, flagged = marks(filtered(Scan(7.389), train))
    assert auroc(suspicion, poison) == 1
    assert int(flagged.sum()) == ROWS // 2 and not flagged[~poison].any()


def test_clean_rows_are_left_alone() -> None:
    assert not marks(filtered(Scan(7.389), clean_rows()))[1].any()


@pytest.mark.parametrize("value", [0, -1])
def test_bad_options_are_named(value: float) -> None:
    with pytest.raises(BadInput, match=f"threshold={value}"):
        Scan(value)


@pytest.mark.slow
def test_a_patch_at_five_percent_is_removed(store: Path) -> None:
    """Seed 0, 1,201 rows: AUROC 1.000, 60 flags, all of them poisons, ASR 97.7 to 0 %, no flag on clean rows."""
    record, rows = on_digits(store, "attack=badnets", "defense=scan")
    assert record.scores is not None and rows.precision is not None and rows.control_flags is not None
    assert (rows.separation.auroc or 0) > 0.95 and rows.precision.hits >= 55
    assert rows.precision.n - rows.precision.hits <= 10 and rows.control_flags.hits <= 60
    assert record.scores.backdoored.asr.rate > 0.9 and record.scores.defended.asr.rate < 0.1


@pytest.mark.slow
def test_a_patch_that_poisons_every_class_is_ranked_and_not_flagged(store: Path) -> None:
    """All-to-all at 10 %, seed 0, 1,201 rows: AUROC 1.000, yet no class stands out, 0 of 120 go and ASR stays 95 %."""
    record, rows = on_digits(store, "attack=badnets_all_to_all", "attack.rate=0.1", "defense=scan")
    assert record.scores is not None and rows.recall is not None
    assert rows.recall.hits <= 12 and record.scores.defended.asr.rate > 0.8
