"""Activation Clustering on planted features, and on digits where it wins and where it loses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from filters import ROWS, TARGET, auroc, clean_rows, filtered, marks, on_digits, poisoned_rows

from baselines.defenses.activation_clustering import ActivationClustering, halves
from benchmark.errors import BadInput


def test_halves_by_hand() -> None:
    """Points 0, 0, 0 and 9: centres 0 and 9, nobody in between; three silhouettes of 1, and 0 for the lonely point."""
    found = halves(torch.tensor([[0.0, 0], [0, 0], [0, 0], [9, 0]], dtype=torch.float64), seed=0)
    assert found is not None
    assert found.smaller.tolist() == [False, False, False, True]
    assert found.margin.tolist() == pytest.approx([-1, -1, -1, 1])
    assert found.silhouette == pytest.approx(0.75)


def test_the_smaller_of_two_planted_clusters_is_flagged_and_nothing_else() -> None:
    train, poison = poisoned_rows(20)
    found = filtered(ActivationClustering(0.4, 0.35), train)
    suspicion, flagged = marks(found)
    assert torch.equal(flagged, poison) and auroc(suspicion, poison) == 1
    assert found.evidence["smaller_share"][TARGET] == pytest.approx(20 / ROWS)
    assert int(found.evidence["silhouette"].argmax()) == TARGET


def test_classes_of_one_group_lose_nothing() -> None:
    assert not marks(filtered(ActivationClustering(0.4, 0.35), clean_rows()))[1].any()


def test_without_a_demand_on_the_silhouette_every_class_pays() -> None:
    """The plain rule, flag each smaller cluster, takes a good part of clean rows."""
    flagged = marks(filtered(ActivationClustering(0.5, -1), clean_rows()))[1]
    assert flagged.float().mean() > 0.25


def test_where_poisons_are_the_majority_the_clean_rows_are_flagged() -> None:
    """A known limit of the method."""
    train, poison = poisoned_rows(40)
    suspicion, flagged = marks(filtered(ActivationClustering(0.4, 0.35), train))
    members = train.targets == TARGET
    assert torch.equal(flagged, members & ~poison) and auroc(suspicion[members], poison[members]) == 0


def test_a_cluster_that_is_too_large_is_spared() -> None:
    train, _ = poisoned_rows(20)
    assert not marks(filtered(ActivationClustering(0.3, 0.35), train))[1].any()


@pytest.mark.parametrize(
    ("share", "silhouette", "named"),
    [
        (0, 0.3, "largest_share=0:"),
        (0.6, 0.3, "largest_share=0.6:"),
        (0.4, 1.5, "least_silhouette=1.5:"),
        (0.4, -2, "least_silhouette=-2:"),
    ],
)
def test_bad_options_are_named(share: float, silhouette: float, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        ActivationClustering(share, silhouette)


@pytest.mark.slow
def test_a_patch_at_five_percent_is_removed(store: Path) -> None:
    """Seed 0, 1,201 rows: AUROC within the target class 1.000, 59 of 60 poisons among 59 flags, ASR 97.7 to 0.3 %."""
    record, rows = on_digits(store, "attack=badnets", "defense=activation_clustering")
    assert record.scores is not None and rows.precision is not None and rows.control_flags is not None
    assert (rows.within_target.auroc or 0) > 0.95 and rows.precision.hits >= 50
    assert rows.precision.n - rows.precision.hits <= 10 and rows.control_flags.hits <= 60
    assert record.scores.backdoored.asr.rate > 0.9 and record.scores.defended.asr.rate < 0.1


@pytest.mark.slow
def test_a_patch_at_ten_percent_is_missed(store: Path) -> None:
    """Seed 0, 1,201 rows: poisons are 51 % of their class, AUROC within it 0.000, 0 of 120 flagged, ASR stays 100 %."""
    record, rows = on_digits(store, "attack=badnets", "attack.rate=0.1", "defense=activation_clustering")
    assert record.scores is not None and rows.recall is not None
    assert rows.within_target.auroc is not None and rows.within_target.auroc < 0.5 and rows.recall.hits <= 12
    assert record.scores.defended.asr.rate > 0.9
