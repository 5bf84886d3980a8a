"""The leaderboard's rules on planted records whose answers are known."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import config

import benchmark
from benchmark.record import Record
from benchmark.results.leaderboard import Cell, cells
from benchmark.results.standings import standings
from benchmark.results.tables import board, markdown, row

Rates = Mapping[str, tuple[int, int]]  # victim -> (CA, ASR), in percent
WORKED: Rates = {"clean": (90, 0), "backdoored": (90, 100), "defended": (88, 20), "control": (89, 0)}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A real record, of which the tests change what they need."""
    record = benchmark.run(config("defense=fine_tuning", "recipe.epochs=1", store=tmp_path_factory.mktemp("store")))
    content: dict[str, Any] = json.loads(record.to_json())
    return content


def planted(
    template: dict[str, Any], rates: Rates, seed: int = 0, identity: Mapping[str, str] | None = None, **changes: Any
) -> Record:
    content = copy.deepcopy(template)
    for victim, (ca, asr) in rates.items():
        content["scores"][victim] = {"ca": share(ca), "asr": share(asr), "ra": share(0)}
    content["seed"], content["config"]["seed"] = seed, seed
    content["identity"] |= identity or {}
    content["rows"]["largest_class"] = 0.1
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = content
        for parent in parents:
            place = place[parent]
        place[name] = value
    return Record.model_validate_json(json.dumps(content))


def share(percent: int) -> dict[str, int]:
    return {"hits": percent, "n": 100}


def one(template: dict[str, Any], rates: Rates, seeds: int = 3, **changes: Any) -> Cell:
    (cell,) = cells([planted(template, rates, seed, **changes) for seed in range(seeds)])
    return cell


def test_removed_share_gain_and_costs(template: dict[str, Any]) -> None:
    """Gain 100 points; of them 20 - 0 are left: 80 % removed; the defense costs a clean model 1 point."""
    cell = one(template, WORKED)
    assert cell.gain == pytest.approx(1.0) and cell.removed == pytest.approx(0.8)
    assert cell.cost("sham", "control") == pytest.approx(0.01) and cell.cost("backdoored", "defended") == pytest.approx(
        0.02
    )
    assert cell.status == "ranked" and len(cell.records) == 3


def test_what_the_control_shows_too_is_not_the_attacks(template: dict[str, Any]) -> None:
    """ASR 30 after the defense, 10 of which a model without a backdoor shows as well; gain 80."""
    cell = one(
        template, {**WORKED, "clean": (90, 5), "backdoored": (90, 85), "defended": (90, 30), "control": (90, 10)}
    )
    assert cell.removed == pytest.approx(1 - 0.20 / 0.80)


@pytest.mark.parametrize(
    ("rates", "status"),
    [
        ({**WORKED, "backdoored": (90, 49)}, "attack failed"),
        ({**WORKED, "backdoored": (90, 50)}, "ranked"),
        ({**WORKED, "clean": (90, 60), "backdoored": (90, 100)}, "attack failed"),
        ({**WORKED, "defended": (49, 0)}, "collapsed"),  # 49 - 10 < (90 - 10) / 2
        ({**WORKED, "defended": (51, 0)}, "degraded"),
        ({**WORKED, "defended": (84, 0)}, "degraded"),
        ({**WORKED, "defended": (86, 0)}, "ranked"),
        ({**WORKED, "control": (84, 0)}, "degraded"),
    ],
)
def test_status(template: dict[str, Any], rates: Rates, status: str) -> None:
    assert one(template, rates).status == status


def test_the_gate_takes_the_mean_over_all_seeds(template: dict[str, Any]) -> None:
    """100, 100 and 0: the mean is 67, and no seed is dropped."""
    asrs = (100, 100, 0)
    records = [planted(template, {**WORKED, "backdoored": (90, asr)}, seed) for seed, asr in enumerate(asrs)]
    (cell,) = cells(records)
    assert (
        cell.gain == pytest.approx(2 / 3) and cell.status == "ranked" and cell.rates("backdoored", "asr") == [1, 1, 0]
    )


def test_fewer_than_three_seeds_are_preliminary(template: dict[str, Any]) -> None:
    assert one(template, WORKED, seeds=2).status == "preliminary"


def test_what_others_sent_is_ranked_once_it_came_out_again(template: dict[str, Any]) -> None:
    """One seed that nobody here has run keeps its cell from being ranked; what the defense costs is said first."""
    records = [planted(template, WORKED, seed) for seed in range(3)]
    marked = (("reported", "reported"), ("not reproduced", "reported"), ("reproduced", "ranked"))
    for mark, status in marked:
        (cell,) = cells(records, {records[1].key: mark})
        assert (cell.standing, cell.status) == (mark, status)
    assert not [row for row in standings(cells(records, {records[1].key: "reported"})) if row.rank]
    costly = [planted(template, {**WORKED, "defended": (80, 20)}, seed) for seed in range(3)]
    (cell,) = cells(costly, {costly[0].key: "reported"})
    assert cell.status == "degraded"


@pytest.mark.parametrize("value", [0, 0.0, 1, "x"])
def test_an_oracle_is_never_ranked(template: dict[str, Any], value: object) -> None:
    assert one(template, WORKED, config__defense__oracle_target=value).status == "oracle"
    assert one(template, WORKED, config__defense__oracle_target=None).status == "ranked"


def test_other_code_or_another_file_is_another_cell(template: dict[str, Any]) -> None:
    """The same options with other source code: never one cell, and never one name."""
    new = {"identity": {"defense": "f" * 64}}
    found = cells([planted(template, WORKED), planted(template, WORKED, seed=1), planted(template, WORKED, **new)])
    assert sorted(len(cell.records) for cell in found) == [1, 2]
    assert len({cell.label["defense"] for cell in found}) == 2


def test_another_environment_is_another_board(template: dict[str, Any]) -> None:
    gpu = {"identity": {"environment": "e" * 64}, "provenance__device": "a GPU"}
    found = cells(
        [planted(template, WORKED, seed) for seed in range(3)]
        + [planted(template, WORKED, seed, **gpu) for seed in range(3)]
    )
    assert len({cell.board for cell in found}) == 2 and {row.rank for row in standings(found)} == {1}
    assert sum("a GPU" in board(cell) for cell in found) == 1


def defense(name: str) -> dict[str, Any]:
    return {"config__defense": {"_target_": f"methods.{name}"}, "identity": {"defense": name.ljust(64, "0")}}


def attack(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    identity = {**given["identity"], "attack": name.ljust(64, "0")}
    return {**given, "config__attack": {"_target_": f"methods.{name}"}, "identity": identity}


def test_rank_is_by_the_mean_over_shared_attacks(template: dict[str, Any]) -> None:
    """First removes 80 and 40 %, Second 70 and 70 %; a third attack, which only First met, does not count."""
    left = {
        ("First", "one"): 20,
        ("First", "two"): 60,
        ("First", "three"): 0,
        ("Second", "one"): 30,
        ("Second", "two"): 30,
    }
    records = [
        planted(template, {**WORKED, "defended": (90, asr)}, seed, **attack(against, defense(name)))
        for (name, against), asr in left.items()
        for seed in range(3)
    ]
    ranks = {row.defense: row for row in standings(cells(records))}
    assert (ranks["Second"].rank, ranks["First"].rank) == (1, 2)
    assert ranks["First"].removed == pytest.approx(0.6) and ranks["Second"].removed == pytest.approx(0.7)
    assert ranks["First"].attacks == ranks["Second"].attacks == 2


def test_only_like_is_ranked_with_like(template: dict[str, Any]) -> None:
    other = {**defense("Blind"), "methods__defense": {"name": "Blind", "family": "repair", "needs": ["weights"]}}
    records = [planted(template, WORKED, seed, **given) for given in (defense("Seeing"), other) for seed in range(3)]
    assert [row.rank for row in standings(cells(records))] == [1, 1]


def test_boards_whose_names_begin_alike_keep_their_standings(template: dict[str, Any]) -> None:
    long = {
        "config__recipe__epochs": 12,
        "identity": {"recipe": "c" * 64, "defense": "d" * 64},
        "config__defense": {"_target_": "m.OnlyLong"},
    }
    found = cells(
        [planted(template, WORKED, seed) for seed in range(3)]
        + [planted(template, WORKED, seed, **long) for seed in range(3)]
    )
    parts = markdown(found, standings(found)).split("## ")[1:]
    assert len(parts) == 2
    assert [part.count("OnlyLong") for part in parts] in ([0, 2], [2, 0])


def test_the_row_shows_every_seed(template: dict[str, Any]) -> None:
    records = [planted(template, {**WORKED, "defended": (88, asr)}, seed) for seed, asr in enumerate((0, 30, 60))]
    (cell,) = cells(records)
    assert "0.0 / 100.0 / 30.0 (0.0 30.0 60.0)" in row(cell) and row(cell)[-2] == "3"


def test_a_real_record_makes_a_page(template: dict[str, Any], tmp_path: Path) -> None:
    (cell,) = cells([Record.model_validate_json(json.dumps(template))])
    assert "FineTuning" in markdown([cell], standings([cell])) and cell.status in ("preliminary", "attack failed")


def test_what_one_label_hides_still_makes_two_boards(template: dict[str, Any]) -> None:
    """Another protocol, say: versions of the environment that are called alike."""
    found = cells([planted(template, WORKED), planted(template, WORKED, identity={"environment": "f" * 64})])
    assert len({cell.board for cell in found}) == 2
