"""The leaderboard's rules on planted records whose answers are known."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from synthetic import synthetic, template

from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results.leaderboard import Cell, cells, leaderboard
from benchmark.results.marks import mark
from benchmark.results.standings import standings
from benchmark.results.tables import board, markdown, row
from scripts.pictures import board as pictured

Rates = Mapping[str, tuple[int, int]]  # victim -> (CA, ASR), in percent
WORKED: Rates = {"clean": (90, 0), "backdoored": (90, 100), "defended": (88, 20), "control": (89, 0)}


def planted(rates: Rates, seed: int = 0, **changes: Any) -> Record:
    shares = {victim: {"ca": ca / 100, "asr": asr / 100, "ra": 0.0} for victim, (ca, asr) in rates.items()}
    return synthetic(seed=seed, rates=shares, **changes)


def one(rates: Rates, seeds: int = 3, **changes: Any) -> Cell:
    (cell,) = cells([planted(rates, seed, **changes) for seed in range(seeds)])
    return cell


def test_removed_share_gain_and_costs() -> None:
    """Gain 100 points; of them 20 - 0 are left: 80 % removed; the defense costs a clean model 1 point."""
    cell = one(WORKED)
    assert cell.gain == pytest.approx(1.0) and cell.removed == pytest.approx(0.8)
    assert cell.cost("sham", "control") == pytest.approx(0.01) and cell.cost("backdoored", "defended") == pytest.approx(
        0.02
    )
    assert cell.status == "ranked" and len(cell.records) == 3


def test_what_the_control_shows_too_is_not_the_attacks() -> None:
    """ASR 30 after the defense, 10 of which a model without a backdoor shows as well; gain 80."""
    cell = one({**WORKED, "clean": (90, 5), "backdoored": (90, 85), "defended": (90, 30), "control": (90, 10)})
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
def test_status(rates: Rates, status: str) -> None:
    assert one(rates).status == status


def test_the_gate_takes_the_mean_over_all_seeds() -> None:
    """100, 100 and 0: the mean is 67, and no seed is dropped."""
    asrs = (100, 100, 0)
    records = [planted({**WORKED, "backdoored": (90, asr)}, seed) for seed, asr in enumerate(asrs)]
    (cell,) = cells(records)
    assert (
        cell.gain == pytest.approx(2 / 3) and cell.status == "ranked" and cell.rates("backdoored", "asr") == [1, 1, 0]
    )


def test_fewer_than_three_seeds_are_preliminary() -> None:
    assert one(WORKED, seeds=2).status == "preliminary"


def test_what_others_sent_is_ranked_once_it_came_out_again() -> None:
    """One seed that nobody here has run keeps its cell from being ranked; what the defense costs is said first."""
    records = [planted(WORKED, seed) for seed in range(3)]
    marked = (("reported", "reported"), ("not reproduced", "reported"), ("reproduced", "ranked"))
    for standing, status in marked:
        (cell,) = cells(records, {records[1].key: standing})
        assert (cell.standing, cell.status) == (standing, status)
    assert not [row for row in standings(cells(records, {records[1].key: "reported"})) if row.rank]
    costly = [planted({**WORKED, "defended": (80, 20)}, seed) for seed in range(3)]
    (cell,) = cells(costly, {costly[0].key: "reported"})
    assert cell.status == "degraded"


def test_the_picture_of_the_demo_keeps_the_marks(tmp_path: Path) -> None:
    """Its fine-tuning is ranked as it was made here, and would not be as a stranger's."""
    records = shutil.copytree(ROOT / "leaderboard" / "records", tmp_path / "records")
    before = pictured(records)
    (tuned, *_) = [cell for cell in leaderboard(records) if "FineTuning" in str(row(cell)) and cell.status == "ranked"]
    mark(records, {tuned.records[0].key: "reported"})
    assert b"reported" not in before and b"reported" in pictured(records)


@pytest.mark.parametrize("value", [0, 0.0, 1, "x"])
def test_an_oracle_is_never_ranked(value: object) -> None:
    assert one(WORKED, config__defense__oracle_target=value).status == "oracle"
    assert one(WORKED, config__defense__oracle_target=None).status == "ranked"


def test_other_code_or_another_file_is_another_cell() -> None:
    """The same options with other source code: never one cell, and never one name."""
    found = cells([planted(WORKED), planted(WORKED, seed=1), planted(WORKED, identity__defense="f" * 64)])
    assert sorted(len(cell.records) for cell in found) == [1, 2]
    assert len({cell.label["defense"] for cell in found}) == 2


def test_what_differs_from_the_yaml_is_told_though_nothing_else_has_that_name() -> None:
    """Of a recipe, an attack and an architecture; not of what only happens to be called like a yaml's class or name."""
    label = one(WORKED, seeds=1).label
    assert (label["recipe"], label["architecture"], label["attack"]) == ("digits", "SmallCNN", "BadNets 5 %")
    changes = {"config__recipe__epochs": 3, "config__architecture__network__width": 8, "config__attack__opacity": 0.5}
    label = one(WORKED, seeds=1, **changes).label
    told = ("digits epochs=3", "SmallCNN width=8", "BadNets 5 % opacity=0.5")
    assert (label["recipe"], label["architecture"], label["attack"]) == told
    outsiders = {"config__defense": {"_target_": "mine.FineTuning", "epochs": 99}}
    rows = {"config__dataset": {"_target_": "benchmark.data.parquet.Parquet", "name": "mine", "train_rows": 9}}
    label = one(WORKED, seeds=1, **outsiders, **rows).label
    assert (label["defense"], label["dataset"]) == ("FineTuning", "mine")


def test_another_environment_is_another_board() -> None:
    gpu = {"identity__environment": "e" * 64, "provenance__device": "a GPU"}
    found = cells([planted(WORKED, seed) for seed in range(3)] + [planted(WORKED, seed, **gpu) for seed in range(3)])
    assert len({cell.board for cell in found}) == 2 and {row.rank for row in standings(found)} == {1}
    assert sum("a GPU" in board(cell) for cell in found) == 1


def test_rank_is_by_the_mean_over_shared_attacks() -> None:
    """First removes 80 and 40 %, Second 70 and 70 %; a third attack, which only First met, does not count."""
    left = {
        ("First", "one"): 20,
        ("First", "two"): 60,
        ("First", "three"): 0,
        ("Second", "one"): 30,
        ("Second", "two"): 30,
    }
    records = [
        planted({**WORKED, "defended": (90, asr)}, seed, attack=against, defense=name)
        for (name, against), asr in left.items()
        for seed in range(3)
    ]
    ranks = {row.defense: row for row in standings(cells(records))}
    assert (ranks["Second"].rank, ranks["First"].rank) == (1, 2)
    assert ranks["First"].removed == pytest.approx(0.6) and ranks["Second"].removed == pytest.approx(0.7)
    assert ranks["First"].attacks == ranks["Second"].attacks == 2


def test_only_like_is_ranked_with_like() -> None:
    blind = {"methods__defense": {"name": "Blind", "family": "repair", "needs": ["weights"]}}
    records = [
        planted(WORKED, seed, defense=name, **given)
        for name, given in (("Seeing", {}), ("Blind", blind))
        for seed in range(3)
    ]
    assert [row.rank for row in standings(cells(records))] == [1, 1]


def test_boards_whose_names_begin_alike_keep_their_standings() -> None:
    found = cells(
        [planted(WORKED, seed) for seed in range(3)]
        + [planted(WORKED, seed, defense="OnlyLong", config__recipe__epochs=120) for seed in range(3)]
    )
    parts = markdown(found, standings(found)).split("## ")[1:]
    assert len(parts) == 2
    assert [part.count("OnlyLong") for part in parts] in ([0, 2], [2, 0])


def test_the_row_shows_every_seed() -> None:
    records = [planted({**WORKED, "defended": (88, asr)}, seed) for seed, asr in enumerate((0, 30, 60))]
    (cell,) = cells(records)
    assert "0.0 / 100.0 / 30.0 (0.0 30.0 60.0)" in row(cell) and row(cell)[-2] == "3"


def test_a_real_record_makes_a_page() -> None:
    (cell,) = cells([Record.model_validate_json(template())])
    assert "FinePruning" in markdown([cell], standings([cell])) and cell.status in ("preliminary", "attack failed")


def test_what_one_label_hides_still_makes_two_boards() -> None:
    """Another protocol, say: versions of the environment that are called alike."""
    found = cells([planted(WORKED), planted(WORKED, identity__environment="f" * 64)])
    assert len({cell.board for cell in found}) == 2


def test_versions_that_share_a_label_are_told_apart_by_enough_of_their_identity() -> None:
    records = [planted(WORKED, seed) for seed in range(3)]
    alike = [
        record.model_copy(update={"identity": record.identity | {"defense": start + record.identity["defense"][7:]}})
        for record, start in zip(records, ("abcde01", "abcde02", "fedcb01"), strict=True)
    ]
    names = [cell.label["defense"] for cell in cells(alike)]
    assert len(set(names)) == 3 and all("#" in name for name in names)


def test_a_record_without_a_part_of_its_identity_is_named() -> None:
    record = synthetic()
    identity = {part: digest for part, digest in record.identity.items() if part != "recipe"}
    with pytest.raises(BadInput, match=f"record {record.key}: its identity has no recipe"):
        cells([synthetic(seed=1), record.model_copy(update={"identity": identity})])
