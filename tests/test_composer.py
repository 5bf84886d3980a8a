"""A grid's points are what Hydra composes, each choice of groups once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

from benchmark.config import CONF, checked
from hydra_plugins.postern.composer import Composer

Compose = Callable[[list[str]], DictConfig]


@pytest.fixture
def hydra() -> Iterator[Compose]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda overrides: compose("config", overrides, return_hydra_config=True)


def composer(hydra: Compose) -> Composer:
    return Composer(hydra, OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()))


def whole(config: DictConfig) -> dict[str, object]:
    return checked({str(name): value for name, value in config.items() if name != "hydra"})


def test_points_are_what_hydra_composes(hydra: Compose) -> None:
    points = [
        ["attack=blended", "attack.train_alpha=0.3", "defense=strip", "seed=3", "store=a"],
        ["attack=blended", "attack.train_alpha=0.4", "defense=strip", "seed=4", "store=a"],
        [
            "attack=blended",
            "defense=strip",
            "~attack.train_alpha",
            "+attack.train_alpha=0.5",
            "++recipe.more={a: [1, x]}",
            "store=a",
        ],
        ["dataset=cifar10", "recipe=fast", "recipe.epochs=7", "recipe.epochs=8", "store=a"],
        ["recipe.epochs=7", "dataset=cifar10", "recipe=fast", "store=b", "recipe.name=${store}/x"],
    ]
    composed: list[list[str]] = []

    def counted(overrides: list[str]) -> DictConfig:
        composed.append(overrides)
        return hydra(overrides)

    ours = composer(counted)
    assert [checked(ours(point)) for point in points] == [whole(hydra(point)) for point in points]
    assert len(composed) == 3


@pytest.mark.parametrize("override", ["attack.nothing=1", "+attack.rate=0.5", "~attack.nothing", "~attack.rate=77"])
def test_mistakes_are_told_as_hydra_tells_them(override: str, hydra: Compose) -> None:
    with pytest.raises(ConfigCompositionException) as theirs:
        hydra([override])
    with pytest.raises(ConfigCompositionException) as ours:
        composer(hydra)([override])
    assert str(ours.value) == str(theirs.value)
