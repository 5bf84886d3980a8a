"""Named sweeps compose: every point of every grid, with nothing downloaded."""

from __future__ import annotations

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
        grids = [{**sweeper.params, **grid} for grid in sweeper.grids.values()] or [dict(sweeper.params)]
        assert grids != [{}], "an experiment names a sweep"
        for grid in grids:
            given = [f"{option}={values}" for option, values in grid.items()]
            choices = [
                [f"{override.key_or_group}={text}" for text in override.sweep_string_iterator()]
                if override.is_sweep_override()
                else [override.input_line]
                for override in OverridesParser.create().parse_overrides(given)
            ]
            first = [values[0] for values in choices]
            for at, values in enumerate(choices):
                for value in values:
                    try:
                        chosen = compose("config", [f"+experiment={name}", *first[:at], value, *first[at + 1 :]])
                    except HydraException as error:
                        pytest.fail(f"{name}: {value}: {error}")
                    checked({key: part for key, part in chosen.items() if key != "hydra"})
