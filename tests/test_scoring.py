"""Scores and detection against answers known beforehand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from conftest import CLASSES, COVER, POISON, Planted, backdoored, marked, shifted, signed, signed_rows
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.attacks.badnets import BadNets
from benchmark.detection import BINS, CURVE_POINTS, Found, _rows, separation
from benchmark.rejecting import RejectingVictim
from benchmark.scoring import ChallengeScore, Score, same_class, score, score_challenge
from benchmark.types import REJECT, Defended, Poisoned, Split

SECRET = {"patch": torch.full((1, 1, 1), 255, dtype=torch.uint8), "opacity": torch.ones(1, 1, 1)}


def attack(target: Any = 3, **options: Any) -> BadNets:
    return BadNets(rate=0.1, target=target, size=1, place="bottom_right", **options)


# ---- victims whose answers are known


def test_a_planted_victim_has_a_clean_accuracy_and_an_attack_success_of_exactly_one() -> None:
    rows, victim = signed_rows(), backdoored(target=3)
    assert score(victim, rows, same_class) == Score(100, 100)
    challenge = attack().challenge(rows, SECRET)
    assert score_challenge(victim, challenge, same_class) == ChallengeScore(asr=Score(90, 90), ra=Score(0, 90))


def test_a_victim_without_a_backdoor_has_an_attack_success_of_exactly_zero() -> None:
    challenge = attack().challenge(signed_rows(), SECRET)
    assert score_challenge(Planted(signed), challenge, same_class) == ChallengeScore(Score(0, 90), Score(90, 90))


def test_all_to_all_asks_every_row_for_the_next_class() -> None:
    rows = signed_rows()
    challenge = attack("all").challenge(rows, SECRET)
    assert score_challenge(shifted(), challenge, same_class) == ChallengeScore(Score(100, 100), Score(0, 100))
    assert score(shifted(), rows, same_class) == Score(100, 100)
    assert score_challenge(backdoored(3), challenge, same_class).asr == Score(10, 100), "class 2 alone goes to 3"


def test_a_source_specific_attack_counts_its_sources_and_probes_the_others() -> None:
    rows, chosen = signed_rows(), attack(sources=[1, 7])
    assert score_challenge(backdoored(3), chosen.challenge(rows, SECRET), same_class).asr == Score(20, 20)
    assert score(backdoored(3), chosen.probes(rows, SECRET)["non_source"], same_class) == Score(70, 70)


@pytest.mark.parametrize("refused", [0, 1, 25, 99, 100])
def test_exactly_the_share_that_is_rejected_is_lost(refused: int) -> None:
    """In clean accuracy and in attack success alike; a rejected row counts as no robust one either."""
    rows = signed_rows()
    number = torch.arange(100) * 2  # written into the second pixel: which row it is

    def suspect(images: Tensor) -> Tensor:
        return (images[:, 0, 0, 1].long() // 2 < refused).double()

    rows.inputs[:, 0, 0, 1] = number.to(torch.uint8)
    victim = RejectingVictim(backdoored(3), suspect, threshold=0.5)
    assert score(victim, rows, same_class) == Score(100 - refused, 100)
    challenge = attack().challenge(rows, SECRET)
    lost = int((challenge.inputs[:, 0, 0, 1].long() // 2 < refused).sum())
    assert score_challenge(victim, challenge, same_class) == ChallengeScore(Score(90 - lost, 90), Score(0, 90))
    outputs = victim.predict(rows.inputs)
    assert int((outputs == REJECT).sum()) == refused


def test_a_rejecting_victim_refuses_above_its_threshold_alone() -> None:
    victim = RejectingVictim(Planted(signed), lambda images: signed(images).double(), threshold=4.0)
    outputs = victim.predict(signed_rows(10).inputs)
    assert outputs.tolist() == [0, 1, 2, 3, 4, REJECT, REJECT, REJECT, REJECT, REJECT]


def test_reject_matches_no_label() -> None:
    assert not same_class(torch.full((CLASSES,), REJECT), torch.arange(CLASSES)).any()


def test_nothing_asked_is_counted_as_nothing() -> None:
    rows = signed_rows()
    nobody = rows.take(torch.zeros(100, dtype=torch.bool))
    silent = Planted(lambda images: pytest.fail("a victim was asked about no row"))
    assert score(silent, nobody, same_class) == Score(0, 0)
    empty = attack(target=3, sources=[3]).challenge(rows, SECRET)
    assert len(empty) == 0
    assert score_challenge(silent, empty, same_class) == ChallengeScore(Score(0, 0), Score(0, 0))


# ---- separation


def separated(suspicion: list[float], truth: list[int]) -> Any:
    return separation(torch.tensor(suspicion), torch.tensor(truth, dtype=torch.bool))


@pytest.mark.parametrize(
    ("suspicion", "truth", "auroc"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], 0.0),
        ([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1], 0.5),
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),  # 3 of 4 pairs in order
        ([1, 2, 2, 3], [0, 1, 0, 1], 0.875),  # 3 pairs in order and a tie of 4
        ([-5.0, 1e30, 0.0], [0, 1, 0], 1.0),
    ],
)
def test_auroc_is_the_share_of_pairs_in_order(suspicion: list[float], truth: list[int], auroc: float) -> None:
    found = separated(suspicion, truth)
    assert found.auroc == pytest.approx(auroc)
    assert (found.positives, found.negatives) == (sum(truth), len(truth) - sum(truth))


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30))
def test_auroc_equals_counting_pairs(rows: list[tuple[int, bool]]) -> None:
    found = separated([float(value) for value, _ in rows], [int(truth) for _, truth in rows])
    high = [value for value, truth in rows if truth]
    low = [value for value, truth in rows if not truth]
    if not high or not low:
        assert found.auroc is found.tpr_at_1 is found.tpr_at_5 is None
        return
    pairs = sum((one > other) + 0.5 * (one == other) for one in high for other in low)
    assert found.auroc == pytest.approx(pairs / len(high) / len(low))


def test_true_positive_rates_at_one_and_five_percent() -> None:
    """100 clean rows at 0 .. 99; poisons lie above all, above 99 %, above 96 % and below half of them."""
    suspicion = [*map(float, range(100)), 200.0, 98.5, 95.5, 40.5]
    found = separated(suspicion, [0] * 100 + [1] * 4)
    assert (found.tpr_at_1, found.tpr_at_5) == (0.5, 0.75)
    assert found.auroc == pytest.approx((100 + 99 + 96 + 41) / 400)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_suspicion_that_is_not_finite_separates_nothing(bad: float) -> None:
    found = separated([0.0, bad, 1.0], [0, 0, 1])
    assert found.auroc is found.tpr_at_1 is found.tpr_at_5 is None
    assert (found.positives, found.negatives) == (1, 2)


def test_curves_and_histograms_are_bounded_and_complete() -> None:
    found = Found({})
    suspicion, truth = torch.linspace(0, 1, 2000), torch.arange(2000) % 3 == 0
    found.separate("rows", suspicion, truth)
    curve, histogram = found.curves["rows"], found.histograms["rows"]
    assert len(curve) <= CURVE_POINTS and curve[0] == (0, 0) and curve[-1] == (1, 1)
    assert len(histogram["edges"]) == BINS + 1
    assert sum(histogram["positives"]) == int(truth.sum()) and sum(histogram["negatives"]) == int((~truth).sum())
    found.separate("nothing", suspicion, torch.zeros(2000, dtype=torch.bool))
    assert "nothing" not in found.curves and "nothing" not in found.histograms


# ---- training rows


def poisoned() -> Poisoned:
    """Rows 0 to 3 are poisons relabelled 3, rows 4 and 5 covers, the rest clean; of these row 13 is a true 3."""
    rows = signed_rows(20)
    role = torch.zeros(20)
    role[:4], role[4:6] = POISON, COVER
    split = marked(rows, role)
    split.targets[:4] = 3
    return split


def judged(suspicion: Tensor | None, flagged: Tensor | None) -> Any:
    control = Defended(flagged=torch.arange(20) < 5)
    return _rows(Found({}), Defended(suspicion=suspicion, flagged=flagged), control, poisoned())


def test_covers_count_as_neither() -> None:
    """A suspicion that is highest on covers, then poisons: covers would spoil it if they counted as clean."""
    suspicion = torch.zeros(20)
    suspicion[:4], suspicion[4:6] = 1, 2
    table = judged(suspicion, suspicion > 0)
    assert table["separation"]["auroc"] == 1.0
    assert (table["separation"]["positives"], table["separation"]["negatives"]) == (4, 14)
    assert table["recall"] == {"hits": 4, "n": 4} and table["false_flags"] == {"hits": 0, "n": 14}
    assert table["control_flags"] == {"hits": 5, "n": 20}


def test_precision_counts_poisons_among_flagged_rows_that_are_judged() -> None:
    flagged = torch.zeros(20, dtype=torch.bool)
    flagged[[0, 1, 4, 10]] = True  # two poisons, a cover, a clean row
    assert judged(torch.rand(20), flagged)["precision"] == {"hits": 2, "n": 3}


def test_within_the_target_class_only_its_rows_are_judged() -> None:
    suspicion = torch.arange(20).flip(0).float()
    within = judged(suspicion, None)["within_target"]
    assert (within["positives"], within["negatives"]) == (4, 1), "row 13 is the clean row of class 3"
    assert within["auroc"] == 1.0


def test_no_suspicion_no_table_and_no_flags_no_counts() -> None:
    assert judged(None, None) is None
    table = judged(torch.rand(20), None)
    assert table["precision"] is table["recall"] is table["false_flags"] is None


def test_a_split_refuses_columns_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="3 inputs against 2 rows"):
        Split(inputs=torch.zeros(3, 1, 2, 2), targets=torch.zeros(2))
