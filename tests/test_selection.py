"""Shared choices of rows, settings and thresholds."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from benchmark.errors import BadInput
from benchmark.seeds import generator_for
from benchmark.selection import (
    allowed_drop,
    draw_stratified,
    fit_validation,
    sample_rows,
    strongest,
    threshold_at_fpr,
)
from benchmark.types import Split


def split(targets: list[int], group: list[int] | None = None) -> Split:
    tracks = None if group is None else torch.tensor(group)
    count = len(targets)
    return Split(inputs=torch.arange(count)[:, None], targets=torch.tensor(targets), group=tracks, classes=10)


def tracks(sizes: list[list[int]]) -> Split:
    """Rows of each class in tracks of these sizes, shuffled."""
    targets, group, number = [], [], 0
    for label, lengths in enumerate(sizes):
        for length in lengths:
            targets += [label] * length
            group += [number] * length
            number += 1
    order = torch.randperm(len(targets), generator=generator_for(0, "order"))
    return Split(
        inputs=torch.arange(len(targets))[:, None],
        targets=torch.tensor(targets)[order],
        group=torch.tensor(group)[order],
        classes=len(sizes),
    )


def draw(rows: Split, share: float, at_least: int = 1, seed: int = 0) -> Tensor:
    return draw_stratified(rows, share, at_least, generator_for(seed, "draw"))


# ---- rows


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 40), st.integers(0, 9))
def test_sampled_rows_are_distinct_allowed_and_as_many_as_asked(allowed: list[bool], count: int, seed: int) -> None:
    mask = torch.tensor(allowed, dtype=torch.bool)
    assume(count <= int(mask.sum()))
    rows = sample_rows(mask, count, generator_for(seed, "x"))
    assert len(rows) == count == len(set(rows.tolist())) and mask[rows].all()
    assert rows.tolist() == sorted(rows.tolist()) and rows.dtype == torch.int64
    assert torch.equal(rows, sample_rows(mask, count, generator_for(seed, "x")))


def test_every_allowed_row_can_be_sampled() -> None:
    allowed = torch.tensor([True, False, True, True])
    seen = {int(sample_rows(allowed, 1, generator_for(seed, "x"))) for seed in range(40)}
    assert seen == {0, 2, 3}


# ---- stratified draws


@pytest.mark.parametrize(("share", "per_class"), [(0.1, 10), (0.25, 25), (0.001, 1), (0.999, 99)])
def test_every_class_gives_its_share_and_keeps_a_row(share: float, per_class: int) -> None:
    rows = split([row % 5 for row in range(500)])
    assert rows.take(draw(rows, share)).targets.bincount().tolist() == [per_class] * 5


def test_unequal_classes_give_in_proportion() -> None:
    rows = split([0] * 200 + [1] * 40 + [2] * 3)
    assert rows.take(draw(rows, 0.1)).targets.bincount().tolist() == [20, 4, 1]


def test_draws_are_ascending_and_of_their_generator_alone() -> None:
    rows = split([row % 5 for row in range(500)])
    first = draw(rows, 0.1)
    assert first.tolist() == sorted(set(first.tolist()))
    assert torch.equal(first, draw(rows, 0.1)) and not torch.equal(first, draw(rows, 0.1, seed=1))


@given(
    st.lists(st.lists(st.integers(1, 6), min_size=3, max_size=8), min_size=1, max_size=4),
    st.floats(0.01, 0.99),
    st.integers(1, 2),
)
def test_groups_stay_whole(sizes: list[list[int]], share: float, at_least: int) -> None:
    rows = tracks(sizes)
    drawn = draw(rows, share, at_least)
    taken, left = rows.take(drawn), rows.without(drawn)
    assert not set(taken.group.tolist()) & set(left.group.tolist())
    for label, lengths in enumerate(sizes):
        given_up = taken.group[taken.targets == label].unique()
        assert len(given_up) >= at_least, "a class gives at least so many groups"
        assert (left.targets == label).any(), "and keeps one"
        assert len(given_up) == min(len(lengths) - 1, max(at_least, round(share * len(lengths))))


def test_at_least_two_tracks_a_class_even_of_a_small_share() -> None:
    rows = tracks([[30] * 7, [30] * 40])
    taken = rows.take(draw(rows, 0.05, at_least=2))
    assert [len(taken.group[taken.targets == label].unique()) for label in (0, 1)] == [2, 2]


@pytest.mark.parametrize(("groups", "at_least"), [(1, 1), (2, 2), (1, 2)])
def test_too_few_tracks_are_the_users_to_mend(groups: int, at_least: int) -> None:
    rows = tracks([[5] * groups, [5] * 9])
    with pytest.raises(
        BadInput, match=f"class 0 has {groups} rows or tracks to choose from, {at_least + 1} are needed"
    ):
        draw(rows, 0.5, at_least)


# ---- fit and validation


def test_trusted_rows_are_cut_eighty_to_twenty() -> None:
    rows = split([row % 5 for row in range(100)])
    fit, validation = fit_validation(rows, generator_for(0, "split"))
    assert (len(fit), len(validation)) == (80, 20)
    assert fit.targets.bincount().tolist() == [16] * 5 and validation.targets.bincount().tolist() == [4] * 5
    together = torch.cat([fit.inputs, validation.inputs]).flatten().sort().values
    assert torch.equal(together, torch.arange(100)), "every row once"


def test_a_cut_leaves_tracks_whole_and_every_class_on_both_sides() -> None:
    fit, validation = fit_validation(tracks([[3, 5], [2, 2, 2, 9]]), generator_for(0, "split"))
    assert not set(fit.group.tolist()) & set(validation.group.tolist())
    assert set(fit.targets.tolist()) == set(validation.targets.tolist()) == {0, 1}


def test_a_class_of_one_trusted_row_cannot_be_cut() -> None:
    with pytest.raises(BadInput, match="class 1 has 1 rows"):
        fit_validation(split([0] * 9 + [1]), generator_for(0, "split"))


# ---- the shared rule


@pytest.mark.parametrize(
    ("accuracy", "rows", "drop"), [(1.0, 30, 0.02), (0.5, 25, 0.1), (0.9, 100, 0.03), (0.9, 10_000, 0.02)]
)
def test_allowed_drop_is_two_points_or_one_standard_error(accuracy: float, rows: int, drop: float) -> None:
    assert allowed_drop(accuracy, rows) == pytest.approx(drop)


@pytest.mark.parametrize(
    ("accuracies", "chosen"),
    [
        ([0.99, 0.985, 0.981, 0.5, 0.99], 2),  # the climb stops at the first that costs too much
        ([0.99, 0.99], 1),
        ([0.5, 0.99], None),
        ([], None),
        ([0.981], 0),
        ([0.979], None),
    ],
)
def test_the_strongest_setting_within_the_allowed_drop(accuracies: list[float], chosen: int | None) -> None:
    tried = []

    def accuracy(setting: int) -> float:
        tried.append(setting)
        return accuracies[setting]

    assert strongest(range(len(accuracies)), accuracy, start=1.0, rows=100) == chosen
    assert tried == list(range(len(accuracies)))[: len(tried)], "each once, in order, none after the fall"
    assert len(tried) == len(accuracies) or accuracies[len(tried) - 1] < 0.98


# ---- thresholds


@pytest.mark.parametrize(
    ("fpr", "threshold"), [(0.0, 100.0), (0.009, 100.0), (0.01, 99.0), (0.05, 95.0), (0.5, 50.0), (0.999, 1.0)]
)
def test_a_threshold_among_a_hundred_rows(fpr: float, threshold: float) -> None:
    assert threshold_at_fpr(torch.arange(1, 101).float(), fpr) == threshold


@given(
    st.lists(st.one_of(st.integers(-3, 3), st.floats(-10, 10, width=32)), min_size=1, max_size=30),
    st.floats(0, 0.999),
)
def test_at_most_the_asked_share_of_clean_rows_exceeds_the_threshold(values: list[float], fpr: float) -> None:
    """And no lower threshold would do: this is what makes it exact."""
    suspicion = torch.tensor(values, dtype=torch.float64)
    threshold = threshold_at_fpr(suspicion, fpr)
    allowed = math.floor(fpr * len(values))
    assert int((suspicion > threshold).sum()) <= allowed
    assert threshold in suspicion
    lower = suspicion[suspicion < threshold]
    if len(lower):
        assert int((suspicion > lower.max()).sum()) > allowed


def test_a_threshold_does_not_depend_on_the_order_of_rows() -> None:
    suspicion = torch.tensor([0.3, 0.9, 0.1, 0.9])
    assert threshold_at_fpr(suspicion, 0.25) == threshold_at_fpr(suspicion.flip(0), 0.25) == pytest.approx(0.9)
