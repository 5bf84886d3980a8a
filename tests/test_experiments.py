"""Named sweeps compose: every point of every grid, with nothing downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from benchmark.config import CONF, checked

EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_choice_of_an_experiment_exists(name: str, tmp_path: Path) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        base = compose("config", [f"+experiment={name}"], return_hydra_config=True)
        sweeper = base.hydra.sweeper
        grids = [dict(grid) for grid in sweeper.grids.values()] or [{}]
        assert sweeper.params or grids != [{}], "an experiment names a sweep"
        for overrides in points(sweeper.params, grids):
            composes(name, overrides)


def points(shared: Mapping[str, str], grids: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, ...]]:
    """Points of the grids that have every value of every option, beside the first values of the others.

    Values that grids share are tried in one of them; the first of each stands in every grid.
    """
    tried: set[str] = set()
    for grid in grids:
        choices = parsed({**shared, **grid})
        first = [values[0] for values in choices.values()]
        for at, (option, values) in enumerate(choices.items()):
            for value in values:
                if option in grid or value == values[0] or value not in tried:
                    yield (*first[:at], value, *first[at + 1 :])
            tried.update(values)


def test_a_grid_of_its_own_values_takes_none_from_the_others() -> None:
    """The first grid replaces a shared option, so that its values are tried in the second, and not again in the third."""
    grids = [{"defense": "d"}, {"attack": "x,y"}, {"attack": "z"}]
    assert list(points({"defense": "a,b,c"}, grids)) == [
        ("defense=d",),
        ("defense=a", "attack=x"),
        ("defense=b", "attack=x"),
        ("defense=c", "attack=x"),
        ("defense=a", "attack=x"),
        ("defense=a", "attack=y"),
        ("defense=a", "attack=z"),
        ("defense=a", "attack=z"),
    ]


def parsed(grid: Mapping[str, str]) -> dict[str, list[str]]:
    """Option -> an override for each of its values."""
    overrides = OverridesParser.create().parse_overrides([f"{option}={values}" for option, values in grid.items()])
    return {
        option: [f"{override.key_or_group}={text}" for text in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [override.input_line or ""]
        for option, override in zip(grid, overrides, strict=True)
    }


@cache
def composes(name: str, overrides: tuple[str, ...]) -> None:
    try:
        chosen = compose("config", [f"+experiment={name}", *overrides])
    except HydraException as error:
        pytest.fail(f"{name}: {overrides}: {error}")
    checked({key: part for key, part in chosen.items() if key != "hydra"})
