"""Low Frequency against known answers on a planted victim, and on the digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config
from planted import PlantedVictim, lab

import benchmark
from baselines.attacks.frequencies import cosines
from baselines.attacks.low_frequency import LowFrequency
from benchmark.errors import BadInput
from benchmark.types import Split


def rows(count: int = 40, level: int = 100) -> Split:
    images = torch.full((count, 2, 16, 12), level, dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(count) % 2, classes=2)


def victim() -> PlantedVictim:
    """Class 0 where the first channel is brighter than the second."""
    return PlantedVictim(torch.tensor([[4.0, -4.0], [-4.0, 4.0]]))


def sought(attack: LowFrequency, seed: int = 0) -> torch.Tensor:
    attack.check(rows())
    return attack.prepare(victim(), rows(), lab(victim(), rows(), seed))["perturbation"]


@pytest.mark.parametrize(("target", "sign"), [(0, 1), (1, -1)])
def test_the_search_finds_the_brightness_that_the_victim_goes_by(target: int, sign: int) -> None:
    """A constant change at the bound is the best answer for a victim that reads each channel's mean."""
    perturbation = sought(LowFrequency(rate=0.1, target=target, epsilon=20))
    assert float(perturbation[0].mean()) * sign > 15 and float(perturbation[1].mean()) * sign < -15
    assert float(perturbation.abs().max()) == pytest.approx(20)


@pytest.mark.parametrize(("cutoff", "kept"), [(0.25, (4, 3)), (0.5, (8, 6)), (0.01, (2, 2))])
def test_no_high_frequency_is_left(cutoff: float, kept: tuple[int, int]) -> None:
    perturbation = sought(LowFrequency(rate=0.1, target=0, cutoff=cutoff, steps=3))
    coefficients = cosines(16) @ perturbation @ cosines(12).T
    low = coefficients[:, : kept[0], : kept[1]].square().sum()
    assert float(low / coefficients.square().sum()) == pytest.approx(1, abs=1e-6)
    assert int((coefficients.abs() > 1e-3).sum()) == 2 * kept[0] * kept[1], "and every low one takes part"


def test_the_search_follows_the_seed_and_leaves_the_victim_alone() -> None:
    attack, judged = LowFrequency(rate=0.1, target=0, steps=3), victim()
    before = judged.state()
    attack.prepare(judged, rows(), lab(judged, rows()))
    assert all(torch.equal(before[name], tensor) for name, tensor in judged.state().items())
    assert torch.equal(sought(attack), sought(attack)) and not torch.equal(sought(attack), sought(attack, seed=1))


@pytest.mark.parametrize(("level", "change", "expected"), [(100, 20.4, 120), (250, 20, 255), (5, -20, 0)])
def test_pixels_are_rounded_and_do_not_wrap_around(level: int, change: float, expected: int) -> None:
    secret = {"perturbation": torch.full((2, 16, 12), change)}
    images = LowFrequency(rate=0.1, target=0).trigger(rows(level=level).inputs, secret)
    assert isinstance(images, torch.Tensor) and images.unique().tolist() == [expected] and images.dtype == torch.uint8


def test_the_backdoored_victim_starts_anew() -> None:
    """Were the clean victim trained on, the backdoored one would have seen twice as many epochs."""
    attack, known, fresh = LowFrequency(rate=0.1, target=0), victim(), PlantedVictim(torch.zeros(2, 2))
    secret = {"perturbation": torch.zeros(2, 16, 12)}
    poisoned = attack.poison(rows(), secret, torch.Generator().manual_seed(0))
    assert "victim" in attack.needs
    implanted = attack.implant(known, poisoned, secret, lab(fresh, rows()))
    again = PlantedVictim(torch.zeros(2, 2)).fit(poisoned, lab(fresh, rows()).generator("victim"))
    assert all(torch.equal(again.state()[name], tensor) for name, tensor in implanted.state().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0}, r"attack.epsilon=0: must be 1 to 255 grey levels"),
        ({"epsilon": 300}, r"attack.epsilon=300"),
        ({"cutoff": 0.0}, r"attack.cutoff=0.0: must be above 0"),
        ({"cutoff": 1.1}, r"attack.cutoff=1.1"),
        ({"steps": 0}, r"attack.steps=0: must be an integer of at least 1"),
        ({"steps": 1.5}, r"attack.steps=1.5"),
    ],
)
def test_check_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        LowFrequency(**{"rate": 0.1, "target": 0, **options}).check(rows())


@pytest.mark.slow
def test_the_digits_carry_it(store: Path) -> None:
    # 8 x 8 pixels leave 2 x 2 low frequencies, so the digits want a larger epsilon. Measured with
    # 48, seeds 0, 1, 2: ASR 398, 369, 372 of 398, that of the clean model 0; CA 99.6, 99.1, 98.9 % (n = 447).
    options = ("attack=low_frequency", "attack.rate=0.05", "attack.epsilon=48", "recipe.epochs=12")
    record = benchmark.run(config(*options, store=store))
    clean, backdoored = record.scores.clean, record.scores.backdoored
    assert record.rows.poisoned == 60
    assert backdoored.asr.hits >= 0.9 * backdoored.asr.n and clean.asr.hits <= 0.1 * clean.asr.n
    assert backdoored.ca.hits >= 0.95 * backdoored.ca.n
