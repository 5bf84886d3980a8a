"""Fine-tuning, Fine-Pruning and random pruning on a victim whose backdoor is one known channel."""

from __future__ import annotations

import pytest
import torch
from planted import RECIPE, PlantedVictim, lab
from torch import Tensor

from baselines.defenses.fine_pruning import FinePruning, RandomPruning
from baselines.defenses.fine_tuning import FineTuning
from benchmark.access import view
from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.scoring import same_class, score
from benchmark.seeds import generator_for
from benchmark.types import Defended, Split

CLASSES, TRIGGER = 3, 5
STILL = 1e-9  # a learning rate at which fine-tuning moves nothing: what is left is the pruning
USELESS = [3, 4, TRIGGER]  # channels that no clean prediction needs


def weights() -> Tensor:
    """Channels 0 to 2 speak for their classes, 3 and 4 for nothing, 5 for class 0 louder than any."""
    weight = torch.zeros(CLASSES, TRIGGER + 1)
    weight[:, :CLASSES] = 10 * torch.eye(CLASSES)
    weight[0, TRIGGER] = 100
    return weight


def rows(triggered: bool = False, count: int = 60) -> Split:
    """Class k lights channel k, the last one least; 3 and 4 glow a little; the trigger lights channel 5."""
    targets = torch.arange(count) % CLASSES
    images = torch.zeros(count, TRIGGER + 1, 1, 1, dtype=torch.uint8)
    images[torch.arange(count), targets, 0, 0] = (200 - 20 * targets).to(torch.uint8)
    images[:, 3], images[:, 4] = 20, 10
    if triggered:
        images[:, TRIGGER] = 255
    return Split(inputs=images, targets=targets, classes=CLASSES)


def repaired(defense: Defense, victim: PlantedVictim, clean: Split, seed: int = 0) -> tuple[Defended, PlantedVictim]:
    """What a defense leaves, and the victim that is rebuilt from that alone."""
    found = defense.apply(view(victim, defense.needs), clean, None, lab(victim, clean, seed))
    return found, defense.deploy(view(victim, defense.needs), None, found)


def accuracy(victim: PlantedVictim, split: Split) -> float:
    hits, n = score(victim, split, same_class)
    return hits / n


def test_the_planted_victim_is_accurate_and_backdoored() -> None:
    victim = PlantedVictim(weights())
    assert accuracy(victim, rows()) == 1
    assert (victim.predict(rows(triggered=True).inputs) == 0).all()


def test_fine_tuning_is_the_one_training_loop_on_all_clean_rows() -> None:
    victim, clean = PlantedVictim(weights()), rows()
    found, _ = repaired(FineTuning(3, 0.5, 8), victim, clean)
    recipe = RECIPE.replace(epochs=3, learning_rate=0.5, batch_size=8)
    expected = victim.copy().fit(clean, generator_for(0, "defense"), recipe=recipe).state()
    assert torch.equal(found.state["head.weight"], expected["head.weight"])
    assert not torch.equal(found.state["head.weight"], weights())


def test_fine_tuning_leaves_the_given_victim_and_rows_alone() -> None:
    victim, clean = PlantedVictim(weights()), rows()
    repaired(FineTuning(3, 0.5, 8), victim, clean)
    assert torch.equal(victim.state()["head.weight"], weights())
    assert torch.equal(clean.inputs, rows().inputs)


def test_pruning_removes_the_backdoor_and_stops_before_it_hurts() -> None:
    victim, clean = PlantedVictim(weights()), rows()
    found, defended = repaired(FinePruning(0.01, 1, STILL, 8), victim, clean)
    expected = torch.ones(TRIGGER + 1)
    expected[USELESS] = 0
    assert torch.equal(found.state["keep"], expected)
    assert accuracy(defended, clean) == 1
    assert accuracy(defended, rows(triggered=True)) == 1


def test_the_victim_returned_is_the_last_good_one() -> None:
    """The ladder tried a fourth channel and lost a class by it; nothing of that may remain."""
    found, defended = repaired(FinePruning(0.01, 1, STILL, 8), PlantedVictim(weights()), rows())
    assert found.evidence["validation_accuracy"].tolist() == pytest.approx([1, 1, 1, 1, 2 / 3])
    assert accuracy(defended, rows()) == 1


def test_channels_are_pruned_from_the_least_active_on() -> None:
    victim, clean = PlantedVictim(weights()), rows()
    order = FinePruning(0.01, 1, STILL, 8).ranking(victim, clean, lab(victim, clean))
    assert order.tolist() == [TRIGGER, 4, 3, 2, 1, 0]


def test_nothing_is_pruned_where_the_first_rung_costs_too_much() -> None:
    dark = rows()
    dark.inputs[dark.targets == 0] = 0  # class 0 is what remains when nothing is lit
    dark.inputs[:, 3:] = 255
    weight = torch.zeros(CLASSES, TRIGGER + 1)
    weight[1, 1], weight[2, 2] = 10, 10
    weight[0, 3:] = 1
    found, defended = repaired(FinePruning(0.5, 1, STILL, 8), PlantedVictim(weight), dark)
    assert found.state["keep"].tolist() == [1] * (TRIGGER + 1)
    assert accuracy(defended, dark) == 1


def test_a_pruned_channel_stays_pruned_while_fine_tuning() -> None:
    found, defended = repaired(FinePruning(0.01, 5, 0.5, 8), PlantedVictim(weights()), rows())
    assert found.state["keep"][USELESS].tolist() == [0, 0, 0]
    assert accuracy(defended, rows(triggered=True)) == 1


def test_a_step_covers_several_channels_and_never_all() -> None:
    masks = list(FinePruning(0.34, 1, STILL, 8)._ladder(torch.arange(6)))
    assert [int((mask == 0).sum()) for mask in masks] == [2, 4]


def test_random_pruning_differs_from_fine_pruning_in_the_ranking_alone() -> None:
    victim, clean = PlantedVictim(weights()), rows()
    pruning = RandomPruning(0.01, 1, STILL, 8)
    orders = {tuple(pruning.ranking(victim, clean, lab(victim, clean, seed)).tolist()) for seed in range(5)}
    assert len(orders) > 1
    assert all(sorted(order) == list(range(TRIGGER + 1)) for order in orders)
    found, defended = repaired(pruning, victim, clean)
    assert accuracy(defended, clean) == 1
    assert found.evidence["validation_accuracy"][0] == 1


@pytest.mark.parametrize("defense", [FineTuning(2, 0.1, 8), FinePruning(0.1, 2, 0.1, 8), RandomPruning(0.1, 2, 0.1, 8)])
def test_same_seed_same_state_and_deploy_needs_the_state_alone(defense: Defense) -> None:
    victim, clean, triggered = PlantedVictim(weights()), rows(), rows(triggered=True)
    one, defended = repaired(defense, victim, clean)
    two, _ = repaired(defense, victim, clean)
    assert all(torch.equal(one.state[name], two.state[name]) for name in one.state)
    other = defense.deploy(PlantedVictim(torch.zeros_like(weights())), None, Defended(state=one.state))
    assert torch.equal(other.predict(triggered.inputs), defended.predict(triggered.inputs))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"step": 0.0}, "step=0.0"),
        ({"step": 1.0}, "step=1.0"),
    ],
)
def test_bad_options_are_named(options: dict[str, float], named: str) -> None:
    good = {"step": 0.01, "epochs": 1, "learning_rate": 0.1, "batch_size": 8}
    with pytest.raises(BadInput, match=named):
        FinePruning(**{**good, **options})
