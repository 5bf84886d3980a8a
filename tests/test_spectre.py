"""SPECTRE's scores by hand, its robust moments on planted rows, and digits where it wins and where it loses."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from conftest import tree
from filters import CLASSES, ROWS, TARGET, auroc, clean_rows, filtered, marks, on_digits, poisoned_rows

from baselines.defenses.spectre import Spectre, loudest, que_scores, robustly_whitened
from benchmark.errors import BadInput
from benchmark.seeds import generator_for


def test_scores_by_hand() -> None:
    """Second moment diag(2, 1/2): Q = diag(exp(4), exp(-2)), and tau = x' Q x / Tr(Q)."""
    rows = torch.tensor([[2.0, 0], [-2, 0], [0, 1], [0, -1]], dtype=torch.float64)
    trace = math.exp(4) + math.exp(-2)
    expected = [4 * math.exp(4) / trace] * 2 + [math.exp(-2) / trace] * 2
    assert que_scores(rows).tolist() == pytest.approx(expected)


def test_rows_that_vary_as_they_should_score_one_on_average() -> None:
    rows = torch.tensor([[2.0, 0], [-2, 0], [0, 2], [0, -2]], dtype=torch.float64) / math.sqrt(2)
    assert que_scores(rows).tolist() == pytest.approx([1, 1, 1, 1])


def test_a_minority_does_not_move_the_moments() -> None:
    """30 of 100 rows stand far off; whitened by plain moments the others would shrink to a third."""
    rows = torch.randn(100, 3, generator=generator_for(0, "rows"), dtype=torch.float64)
    rows[:30, 0] += 20
    whitened = robustly_whitened(rows, poisons=35, seed=0)
    assert 0.7 < whitened[30:].std(0).mean() < 1.5
    assert whitened[:30].norm(dim=1).min() > 10


def test_the_planted_class_is_accused_and_it_alone_loses_rows() -> None:
    train, poison = poisoned_rows(12)
    found = filtered(Spectre(0.05), train)
    suspicion, flagged = marks(found)
    assert int(found.evidence["mean_que"].argmax()) == TARGET
    assert flagged[poison].all() and auroc(suspicion, poison) == 1
    assert set(train.targets[flagged].tolist()) == {TARGET}


@pytest.mark.parametrize(("assumed", "removed"), [(0.02, round(1.5 * 0.02 * CLASSES * ROWS)), (0.5, ROWS // 2)])
def test_one_and_a_half_times_the_assumed_poisons_go_and_never_more_than_half(assumed: float, removed: int) -> None:
    train, _ = poisoned_rows(12)
    assert int(marks(filtered(Spectre(assumed), train))[1].sum()) == removed


def test_clean_rows_pay_as_well() -> None:
    """The method accuses a class whatever it sees."""
    assert int(marks(filtered(Spectre(0.05), clean_rows()))[1].sum()) == round(1.5 * 0.05 * CLASSES * ROWS)


def test_robust_whitening_shows_what_lies_along_the_class_s_own_spread() -> None:
    """Poisons on the class's longest axis stretch the plain covariance; the tightest subset does not hold them."""
    rows = torch.randn(100, 8, generator=generator_for(1, "rows"), dtype=torch.float64)
    rows[:, 0] *= 3
    rows[:20, 0] += 40
    poison = torch.arange(100) < 20
    assert auroc(loudest(rows, poisons=25, seed=0).scores, poison) == 1
    assert loudest(rows, poisons=25, seed=0).mean > 3 * loudest(rows, poisons=0, seed=0).mean


def test_the_assumed_rate_is_five_percent_by_default() -> None:
    assert tree("defense=spectre", store="unused")["defense"]["assumed_rate"] == 0.05  # type: ignore[index]


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5])
def test_bad_options_are_named(value: float) -> None:
    with pytest.raises(BadInput, match=f"assumed_rate={value}"):
        Spectre(value)


@pytest.mark.slow
def test_a_patch_at_five_percent_is_removed(store: Path) -> None:
    """Seed 0, 1,201 rows: AUROC 1.000, all 60 poisons among 87 flags, ASR 97.7 to 0 %; 57 flags on clean rows."""
    record, rows = on_digits(store, "attack=badnets", "defense=spectre")
    assert record.scores is not None and rows.recall is not None and rows.control_flags is not None
    assert (rows.separation.auroc or 0) > 0.95 and rows.recall.hits >= 55
    assert 0 < rows.control_flags.hits <= 90, "one class always pays"
    assert record.scores.backdoored.asr.rate > 0.9 and record.scores.defended.asr.rate < 0.1


@pytest.mark.slow
def test_a_patch_at_ten_percent_is_missed(store: Path) -> None:
    """Seed 0, 1,201 rows: poisons are 51 % of their class, another one is accused, 0 of 120 go, ASR stays high."""
    record, rows = on_digits(store, "attack=badnets", "attack.rate=0.1", "defense=spectre")
    assert record.scores is not None and rows.recall is not None
    assert rows.separation.auroc is not None and rows.separation.auroc < 0.85 and rows.recall.hits <= 12
    assert record.scores.defended.asr.rate > 0.9
