"""The command that makes a record again gives its configuration back."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from synthetic import synthetic

from benchmark import config
from benchmark.config import CONF, OUTSIDE, checked, compose
from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results import reproduce, yamls
from benchmark.results.leaderboard import read

COMMITTED = read(ROOT / "leaderboard" / "records")


def composed(command: str) -> dict[str, Any]:
    """The configuration that a printed command stands for, as a record keeps it."""
    python, script, *overrides = shlex.split(command)
    assert (python, script) == ("python", "scripts/run.py")
    return {name: value for name, value in checked(compose(*overrides)).items() if name not in OUTSIDE}


def test_every_committed_record_gets_its_configuration_back() -> None:
    """Composed where a part's overrides are met for the first time; elsewhere they stand for what they gave there."""
    given: dict[tuple[str, ...], Any] = {}
    for record in COMMITTED:
        command = reproduce.command(record)
        parts = {name: part for name, part in record.config.items() if name != "seed"}  # device and threads among them
        calls = {name: called(command, name) for name in parts}
        if not given.keys() >= set(calls.values()):
            whole = composed(command)
            assert whole == record.config, command
            given |= {call: whole[name] for name, call in calls.items()}
        assert {name: given[call] for name, call in calls.items()} == parts, command
        assert command.endswith(f" seed={record.seed}")


def called(command: str, part: str) -> tuple[str, ...]:
    """The overrides of one part; a recipe is also its data set's, where none is named."""
    words = [part, "dataset"] if part == "recipe" else [part]
    return (part, *(text for text in shlex.split(command) if text.split("=")[0].split(".")[0] in words))


def of(*overrides: str) -> Record:
    """A record of what these overrides compose."""
    record: Record = synthetic()
    tree = {name: value for name, value in checked(compose(*overrides)).items() if name not in OUTSIDE}
    return record.model_copy(update={"config": tree, "seed": tree["seed"]})


@pytest.mark.parametrize(
    "overrides",
    [
        ("dataset=digits", "architecture=small_cnn", "attack=badnets", "defense=strip", "seed=3"),
        (
            "dataset=gtsrb_slice", "dataset.path=/elsewhere/gtsrb pictures", "architecture=resnet8",
            "architecture.network.width=8", "attack=blended", "attack.rate=0.01", "defense=fine_pruning", "seed=0",
        ),
        (
            "dataset=cifar10", "architecture=preactresnet18", "recipe=fast", "recipe.epochs=3", "attack=badnets",
            "attack.opacity=1", "attack.sources=[1,7]", "defense=none", "device=cpu", "threads=2", "seed=1",
        ),
        ("dataset=digits", "architecture=small_cnn", "recipe.epochs=1", "attack=none", "defense=random_pruning", "seed=2"),
    ],
)  # fmt: skip
def test_only_what_differs_is_printed(overrides: tuple[str, ...]) -> None:
    """The same overrides come out that went in, whatever the defaults are."""
    record = of(*overrides)
    told = shlex.split(reproduce.command(record))[2:]
    assert sorted(text.replace('"', "") for text in told) == sorted(overrides)
    assert composed(reproduce.command(record)) == record.config


def test_changes_make_the_command_of_another_record() -> None:
    record, other = of("attack.rate=0.1", "seed=5"), of("defense=strip", "defense.fpr=0.1")
    told = reproduce.command(record, defense=other.config["defense"], seed=[3, 4])
    assert told == (
        "python scripts/run.py dataset=digits architecture=small_cnn attack=badnets attack.rate=0.1"
        " defense=strip defense.fpr=0.1 seed=3,4 -m"
    )


def test_a_method_from_outside_is_called_after_its_class_with_all_its_options() -> None:
    record = of()
    told = reproduce.overrides(record, defense={"_target_": "mine.curtain.BeigeCurtain", "fpr": 0.05, "name": "a b"})
    assert told[-4:-1] == ["defense=beige_curtain", "defense.fpr=0.05", 'defense.name="a b"']


def test_a_younger_option_keeps_its_default_and_an_older_one_is_added() -> None:
    record = of()
    attack = {name: value for name, value in record.config["attack"].items() if name != "opacity"}
    told = reproduce.overrides(record, attack={**attack, "bygone": 1})
    assert [text for text in told if text.lstrip("+").startswith("attack.")] == ["+attack.bygone=1"]


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -3, 1.0, 5e-05, 1e20, [], [1, [2, "x y"]], {"a": 1, "b": [None]},
        "", "plain", "null", "True", "nan", "1", "1e5", "a b", "it's", 'a "quote"', "a,b", "[x]", "{x}", "x=y", "$HOME",
        "back\\slash", "ends in \\", 'before a \\"quote', "${oc.env:HOME}", "\\${x}", "a:b", "~x", "ü", "#x", "(?P<n>\\d+)",
    ],
)  # fmt: skip
def test_values_survive_hydras_grammar(value: object) -> None:
    """What Hydra and OmegaConf make of the text is the value again, and nothing is interpolated."""
    text = reproduce._text(value)
    (override,) = OverridesParser.create().parse_overrides([f"x={text}"])
    found: Any = OmegaConf.to_container(OmegaConf.create({"x": override.value()}), resolve=True)
    assert found == {"x": value} and type(found["x"]) is type(value)


def test_a_hostile_name_stays_one_word_of_the_shell(tmp_path: Path) -> None:
    record = of()
    defense = {"_target_": "x.Y; touch gone", "path": f"$(touch {tmp_path}/gone); 'x"}
    assert len(shlex.split(reproduce.command(record, defense=defense))) == 8


def test_a_strangers_record_without_sections_still_has_a_line() -> None:
    record = of().model_copy(update={"config": {"attack": 3, "defense": None, "recipe": {"_target_": 5}}, "seed": 4})
    assert reproduce.overrides(record)[-2:] == ["defense=unknown", "seed=4"]


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, path.stem) for group in reproduce.NAMED for path in sorted((CONF / group).glob("*.yaml"))
     if "defaults:" in path.read_text()],
)  # fmt: skip
def test_a_file_that_builds_on_another_says_what_hydra_composes(group: str, name: str) -> None:
    whole = OmegaConf.to_container(compose(f"{group}={name}")[group], resolve=True)
    assert yamls.section(group, name) == whole


def test_a_yaml_that_refers_to_others_is_composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    paper = tmp_path / "conf" / "recipe" / "paper.yaml"
    paper.write_text(re.sub("(?m)^batch_size: .*$", "batch_size: ${threads}", paper.read_text()))
    for module in (config, yamls):
        monkeypatch.setattr(module, "CONF", tmp_path / "conf")
    forgotten = [
        yamls._alone,
        yamls._composed,
        yamls._yaml,
        yamls.constructors,
        reproduce._told,
        reproduce._customary_recipe,
    ]
    for cached in forgotten:
        cached.cache_clear()
    try:
        assert yamls.section("recipe", "paper")["batch_size"] == 1
        told = reproduce.overrides(of("dataset=mnist", "recipe.batch_size=128", "threads=1"))
        assert [text for text in told if text.startswith("recipe")] == ["recipe.batch_size=128"]
    finally:
        for cached in forgotten:
            cached.cache_clear()


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "dataset").glob("*.yaml")))
def test_what_a_data_set_brings_is_what_hydra_composes(name: str) -> None:
    """So its own recipe, device and threads are not named in a command, and those of others are."""
    record = of(f"dataset={name}", "device=auto", *(["dataset.path=there"] if name == "parquet" else []))
    parts = ("recipe", "device", "threads")
    assert not [text for text in reproduce.overrides(record) if text.startswith(parts)]
    other = of("dataset=digits" if name != "digits" else "dataset=mnist").config["recipe"]
    told = reproduce.overrides(record, recipe=other, device="cuda", threads=2)
    assert any(text.startswith("recipe") for text in told) and {"device=cuda", "threads=2"} <= {*told}


def test_a_data_set_from_outside_always_names_its_recipe() -> None:
    """Whatever its yaml calls for, which nobody here knows."""
    for recipe in ("digits", "paper"):
        told = reproduce.overrides(of(f"recipe={recipe}"), dataset={"_target_": "mine.Stamps"})
        assert told[0] == "dataset=stamps" and f"recipe={recipe}" in told


def test_a_configuration_can_be_composed_while_hydra_runs() -> None:
    """As at the end of scripts/run.py, which goes on with its own."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        assert compose("seed=7").seed == 7
        with pytest.raises(BadInput):
            compose("defense=none_such")
        assert GlobalHydra.instance().hydra is running is not None
