"""STRIP and random rejection, seen through the access that they declare."""

from __future__ import annotations

import math

import pytest
import torch
from planted import PlantedVictim, lab
from torch import Tensor

from baselines.defenses import strip
from baselines.defenses.random_rejection import RandomRejection
from baselines.defenses.strip import Strip, Weights, mean_entropy
from benchmark.access import view
from benchmark.defense import Defense
from benchmark.errors import BadInput
from benchmark.seeds import generator_for
from benchmark.types import REJECT, Defended, Split
from benchmark.victim import Victim

CLASSES, TRIGGER = 4, 4
DOMINATES = 1000.0


def victim(clear: float = 6.0) -> PlantedVictim:
    """Channel k speaks for class k; the trigger's channel for class 0, whatever else is lit."""
    weight = torch.zeros(CLASSES, TRIGGER + 1)
    weight[:, :CLASSES] = clear * torch.eye(CLASSES)
    weight[0, TRIGGER] = DOMINATES
    return PlantedVictim(weight)


def rows(count: int, seed: int, triggered: bool = False) -> Split:
    """Class k lights channel k by a random amount."""
    targets = torch.arange(count) % CLASSES
    images = torch.randint(0, 60, (count, TRIGGER + 1, 1, 1), generator=generator_for(seed, "glow"))
    light = torch.randint(60, 180, (count,), generator=generator_for(seed, "light"))
    images[torch.arange(count), targets, 0, 0] += light
    images[:, TRIGGER] = 255 * triggered
    return Split(inputs=images.to(torch.uint8), targets=targets, classes=CLASSES)


def guarded(defense: Defense, clean: Split, seed: int = 0) -> tuple[Defended, Victim]:
    """What a defense leaves when it sees only what it declared, and the victim deployed from that alone."""
    given = clean if "clean" in defense.needs else None
    found = defense.apply(view(victim(), defense.needs), given, None, lab(victim(), clean, seed))
    return found, defense.deploy(view(victim(), defense.needs), given, Defended(state=found.state))


@pytest.fixture
def clean() -> Split:
    return rows(400, seed=1)


def test_entropy_by_hand() -> None:
    """A victim that knows nothing is uniform over four classes: 2 bits. One that is sure: 0."""
    inputs, overlays = rows(5, 2).inputs, rows(3, 3).inputs
    assert isinstance(inputs, Tensor) and isinstance(overlays, Tensor)
    blank = PlantedVictim(torch.zeros(CLASSES, TRIGGER + 1))
    assert mean_entropy(blank, inputs, overlays, Weights(1, 1)).tolist() == pytest.approx([math.log2(CLASSES)] * 5)
    sure = rows(5, 2, triggered=True).inputs
    assert mean_entropy(victim(), sure, overlays, Weights(1, 1)).tolist() == [0] * 5


@pytest.mark.parametrize(("weights", "expected"), [(Weights(1, 1), [255, 30]), (Weights(0.5, 0.5), [150, 15])])
def test_blends_are_whole_grey_levels_cut_off_at_white(weights: Weights, expected: list[int]) -> None:
    class Listens:
        device = torch.device("cpu")

        def scores(self, inputs: Tensor) -> Tensor:
            self.heard = inputs
            return torch.full((len(inputs), CLASSES), 1 / CLASSES)

    ears = Listens()
    inputs = torch.tensor([200, 10], dtype=torch.uint8).view(1, 2, 1, 1)
    overlays = torch.tensor([100, 20], dtype=torch.uint8).view(1, 2, 1, 1)
    mean_entropy(ears, inputs, overlays, weights)  # type: ignore[arg-type]
    assert ears.heard.dtype == torch.uint8
    assert ears.heard.flatten().tolist() == expected


def test_entropy_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, overlays = rows(50, 2).inputs, rows(7, 3).inputs
    assert isinstance(overlays, Tensor)
    whole = mean_entropy(victim(), inputs, overlays, Weights(1, 1))
    monkeypatch.setattr(strip, "BLENDED_BYTES", 3 * overlays.numel())
    assert torch.allclose(mean_entropy(victim(), inputs, overlays, Weights(1, 1)), whole, atol=1e-6)


def test_a_dominating_trigger_is_refused(clean: Split) -> None:
    _, deployed = guarded(Strip(32, 1.0, 1.0, 0.05), clean)
    triggered = rows(200, seed=9, triggered=True).inputs
    assert (victim().predict(triggered) == 0).all()
    assert (deployed.predict(triggered) == REJECT).all()
    assert deployed.suspicion(triggered).tolist() == [0] * 200


def test_about_the_asked_share_of_unseen_clean_inputs_is_refused(clean: Split) -> None:
    _, deployed = guarded(Strip(32, 1.0, 1.0, 0.1), clean)
    unseen = rows(1000, seed=9)
    outputs = deployed.predict(unseen.inputs)
    assert 0.03 < (outputs == REJECT).float().mean() < 0.2
    answered = outputs != REJECT
    assert torch.equal(outputs[answered], victim().predict(unseen.inputs)[answered])


def test_the_threshold_keeps_the_false_alarms_of_validation_rows(clean: Split) -> None:
    found, _ = guarded(Strip(32, 1.0, 1.0, 0.1), clean)
    entropy = found.evidence["clean_entropy"]
    assert len(entropy) == 80
    assert int((-entropy > float(found.state["threshold"])).sum()) == 8


def test_overlays_are_fit_rows_and_never_validate(clean: Split) -> None:
    """Every row is its own: an overlay that validated would be found among the validation rows."""
    found, _ = guarded(Strip(320, 1.0, 1.0, 0.1), clean)
    overlays = {tuple(row) for row in found.state["overlays"].flatten(1).tolist()}
    assert overlays < {tuple(row) for row in clean.inputs.flatten(1).tolist()}
    assert len(found.evidence["clean_entropy"]) + 320 == len(clean)


@pytest.mark.parametrize("defense", [Strip(16, 1.0, 1.0, 0.1), RandomRejection(0.3)])
def test_deploy_from_the_stored_state_gives_the_same_outputs(defense: Defense, clean: Split) -> None:
    one, deployed = guarded(defense, clean)
    two, again = guarded(defense, clean)
    unseen = rows(200, seed=9).inputs
    assert all(torch.equal(one.state[name], two.state[name]) for name in one.state)
    assert torch.equal(deployed.predict(unseen), again.predict(unseen))
    assert torch.equal(unseen, rows(200, seed=9).inputs)


def test_more_overlays_than_clean_rows_are_refused_before_training(clean: Split) -> None:
    Strip(320, 1.0, 1.0, 0.05).check(clean)
    with pytest.raises(BadInput, match=r"overlays=321.*320"):
        Strip(321, 1.0, 1.0, 0.05).check(clean)


def test_random_rejection_depends_on_the_input_alone(clean: Split) -> None:
    _, deployed = guarded(RandomRejection(0.3), clean)
    unseen = rows(500, seed=9).inputs
    refused = deployed.predict(unseen) == REJECT
    order = torch.randperm(500, generator=generator_for(0, "order"))
    assert torch.equal(deployed.predict(unseen[order]) == REJECT, refused[order])
    assert 0.2 < refused.float().mean() < 0.4
    assert not torch.equal(guarded(RandomRejection(0.3), clean, seed=1)[1].predict(unseen) == REJECT, refused)


def test_random_rejection_of_nothing_refuses_nothing(clean: Split) -> None:
    assert (guarded(RandomRejection(0.0), clean)[1].predict(clean.inputs) != REJECT).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"overlays": 0}, "overlays=0"),
        ({"input_weight": 0.0}, "input_weight=0.0"),
        ({"overlay_weight": -1.0}, "overlay_weight=-1.0"),
        ({"fpr": 1.0}, "fpr=1.0"),
        ({"fpr": -0.1}, "fpr=-0.1"),
    ],
)
def test_bad_options_are_named(options: dict[str, float], named: str) -> None:
    good = {"overlays": 8, "input_weight": 1.0, "overlay_weight": 1.0, "fpr": 0.05}
    with pytest.raises(BadInput, match=named):
        Strip(**{**good, **options})
