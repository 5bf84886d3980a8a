"""What all filters of training rows keep: rows in their order, finite suspicion, limits, and training on what is kept."""

from __future__ import annotations

import pytest
import torch
from filters import CLASSES, ROWS, TARGET, clean_rows, filtered, marks, planted_victim, poisoned_rows
from torch import Tensor

from baselines.defenses.activation_clustering import ActivationClustering
from baselines.defenses.beatrix import Beatrix
from baselines.defenses.ct import ConfusionTraining
from baselines.defenses.row_filter import RowFilter, at_most_half, by_class
from baselines.defenses.scan import Scan
from baselines.defenses.spectre import Spectre
from benchmark.seeds import generator_for
from benchmark.types import Defended, Split

FILTERS = [
    ActivationClustering(0.4, 0.35),
    Spectre(0.05),
    Scan(7.389),
    Beatrix(0.05),
    ConfusionTraining(120, 5, 5.0, 32),
]
NAMES = [type(defense).__name__ for defense in FILTERS]
every_filter = pytest.mark.parametrize("defense", FILTERS, ids=NAMES)


@every_filter
def test_planted_poisons_are_flagged_wherever_their_rows_stand(defense: RowFilter) -> None:
    train, poison = poisoned_rows(12)
    order = torch.randperm(len(train), generator=generator_for(0, "order"))
    for rows in (torch.arange(len(train)), order):
        suspicion, flagged = marks(filtered(defense, train.take(rows)))
        assert flagged[poison[rows]].all()
        members = train.targets[rows] == TARGET
        assert suspicion[poison[rows]].min() > suspicion[members & ~poison[rows]].max()


@every_filter
def test_a_filter_repeats_itself_and_leaves_its_rows_alone(defense: RowFilter) -> None:
    train, _ = poisoned_rows(12)
    before = train.inputs.clone()
    one, two = filtered(defense, train), filtered(defense, train)
    assert all(torch.equal(a, b) for a, b in zip(marks(one), marks(two), strict=True))
    assert torch.equal(one.state["head.weight"], two.state["head.weight"])
    assert torch.equal(train.inputs, before)


@every_filter
def test_the_fresh_victim_is_trained_on_kept_rows_alone(defense: RowFilter) -> None:
    train, _ = poisoned_rows(12)
    found = filtered(defense, train)
    expected = planted_victim().fit(train.take(~marks(found)[1]), generator_for(0, "victim"))
    assert torch.equal(found.state["head.weight"], expected.state()["head.weight"])
    deployed = defense.deploy(planted_victim(), None, Defended(state=found.state))
    assert torch.equal(deployed.predict(train.inputs), expected.predict(train.inputs))


def alike(split: Split) -> Split:
    """Every class shows one picture again and again."""
    assert isinstance(split.inputs, Tensor)
    first = split.inputs[torch.arange(CLASSES) * (len(split) // CLASSES)]
    return Split(inputs=first[split.targets], targets=split.targets, classes=CLASSES)


@every_filter
@pytest.mark.parametrize(
    ("train", "clean"),
    [
        (clean_rows().take(torch.arange(5 * ROWS + 1)), clean_rows(20, seed=1)),  # the last class has one row
        (clean_rows().take(torch.arange(4 * ROWS + 3)), clean_rows(20, seed=1)),  # one class has none, one three
        (clean_rows(3), clean_rows(3, seed=1)),
        (clean_rows(1), clean_rows(1, seed=1)),
        (clean_rows(), clean_rows(20, seed=1).take(torch.arange(2 * 20))),  # trusted rows of two classes only
        (alike(clean_rows()), alike(clean_rows(20))),
    ],
    ids=["one row", "three rows", "few rows", "single rows", "few trusted", "alike"],
)
@pytest.mark.filterwarnings("ignore")  # scikit-learn says that such classes make no sense
def test_suspicion_is_finite_and_no_class_disappears(defense: RowFilter, train: Split, clean: Split) -> None:
    found = filtered(defense, train, clean)
    suspicion, flagged = marks(found)
    assert suspicion.shape == flagged.shape == (len(train),) and suspicion.isfinite().all()
    assert all(curve.isfinite().all() for curve in found.evidence.values())
    assert all(int(flagged[rows].sum()) <= len(rows) // 2 for _, rows in by_class(train))


def test_a_class_loses_at_most_its_most_suspicious_half() -> None:
    targets = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 1])
    split = Split(inputs=torch.zeros(9, 1, 1, 1, dtype=torch.uint8), targets=targets, classes=2)
    suspicion = torch.tensor([1.0, 5, 2, 4, 3, 3, 4, 2, 1])
    flagged = torch.tensor([1, 1, 1, 1, 1, 1, 1, 0, 0]).bool()
    expected = torch.tensor([0, 1, 0, 1, 1, 0, 1, 0, 0]).bool()  # 2 of 4, and 2 of 5
    assert torch.equal(at_most_half(flagged, suspicion, split), expected)
    assert torch.equal(at_most_half(expected, suspicion, split), expected)
    assert int(flagged.sum()) == 7, "the given flags stay"
