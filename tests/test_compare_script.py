"""scripts/compare.py as a person types it, on planted records."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from conftest import here, python
from synthetic import synthetic, write

from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results.charts.differences import differences
from benchmark.results.charts.files import write as draw
from benchmark.results.comparison import compare
from benchmark.results.leaderboard import cells
from benchmark.results.marks import mark
from benchmark.results.names import named
from benchmark.results.outputs import PICTURES
from benchmark.results.yamls import constructors, section

ATTACKS = ("BadNets", "Blended", "Sig", "Ssba", "TaCT", "FTrojan")
HOSTILE = "<script>alert(1)</script>|&_%"


def records() -> list[Record]:
    """FinePruning removes 10 to 15 points more of six attacks, and was never run against a seventh."""
    found = []
    for at, attack in enumerate((*ATTACKS, "Narcissus")):
        for seed in range(3):
            for defense, removed in (("FineTuning", 0.4 + 0.01 * seed), ("FinePruning", 0.5 + 0.01 * (at + seed))):
                if (attack, defense) != ("Narcissus", "FinePruning"):
                    found.append(synthetic(attack, defense, seed, {"defended": {"asr": 1 - removed}}))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("records")
    write(iter(records()), place)
    return place


def test_a_verdict_a_table_what_is_missing_and_a_figure(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "compared.svg"
    done = python(
        "scripts/compare.py", "fine_tuning", "FinePruning", "--records", str(folder), "--figure", str(picture)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("FinePruning removes 12.5 points more of the attack than FineTuning [")
    assert "over 6 attacks x 3 seeds" in done.stdout and "Wilcoxon p = 0.031." in done.stdout
    command = done.stdout.splitlines()[-1].split()
    assert command[:2] == ["python", "scripts/run.py"] and command[-2:] == ["seed=0,1,2", "-m"]
    assert {"attack=narcissus", "defense=fine_pruning"} <= set(command)
    text = picture.read_text()
    assert text.startswith("<svg") and "aria-label=" in text and "FinePruning removes 12.5 points" in text


def test_scripts_find_the_marks_beside_the_records(tmp_path: Path) -> None:
    """As `scripts/admit.py` leaves them; leaderboard, comparison, table and chart know them alike."""
    made = records()
    write(iter(made), tmp_path / "records")
    mark(tmp_path / "records", {record.key: "reported" for record in made if record.seed == 0})
    place = f"--records={tmp_path / 'records'}"
    compared = here("scripts/compare.py", "fine_tuning", "FinePruning", place).stdout
    assert compared.startswith("FineTuning and FinePruning cannot be compared")
    assert "Left out of mean, interval and test: 6 of 6 (6 reported)." in compared
    assert "r: reported" in here("scripts/table.py", place).stdout
    drawn = here("scripts/figure.py", "heat_map", str(tmp_path / "x.svg"), place).stdout
    assert "no cell is ranked; not ranked: 13 reported" in drawn
    listed = json.loads(here("scripts/leaderboard.py", "--json", place).stdout)
    assert {cell["status"] for cell in listed} == {"reported"}


def test_a_form_is_all_that_is_printed(folder: Path) -> None:
    done = here(
        "scripts/compare.py", "fine_tuning", "fine_pruning", "--records", str(folder), "--csv", "--dataset", "digits"
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 7 and lines[0].startswith("board,attack,defense,reference,counts")


def test_every_name_that_is_offered_can_be_given() -> None:
    """A yaml's name, the whole label where one of several versions is meant, and that of a class without a yaml."""
    made = [of_yaml(yaml) for yaml in ("fine_pruning", "random_filter", "random_filter_small")]
    made += [synthetic("BadNets", "FineTuning", config__defense__epochs=epochs) for epochs in (5, 50)]
    found = cells([*made, synthetic("BadNets", "Mine")])
    with pytest.raises(BadInput) as error:
        named(found, "fine_tuning epochs=500")
    offered = shlex.split(str(error.value).partition("first: ")[2].replace(",", ""))
    assert offered[:2] == ["FineTuning epochs=50", "FineTuning epochs=5"]
    assert set(offered[2:]) == {"fine_pruning", "random_filter", "random_filter_small", "Mine"}
    assert {named(found, name) for name in offered} == {cell.label["defense"] for cell in found}


def of_yaml(yaml: str, **options: object) -> Record:
    """A record of a defense as its yaml has it, but for the options given."""
    target = constructors("defense")[yaml].rpartition(".")[2]
    return synthetic("BadNets", target, config__defense={**section("defense", yaml), **options})


def test_a_yaml_stands_for_its_own_options_alone() -> None:
    """Of yamls that share a class, and of a yaml whose options were changed: the other's records are not taken."""
    half, small = of_yaml("random_filter"), of_yaml("random_filter_small")
    labels = {name: named(cells([half, small]), name) for name in ("random_filter", "Random_Filter_Small")}
    assert labels == {"random_filter": "RandomFilter share=0.5", "Random_Filter_Small": "RandomFilter share=0.04"}
    for there, name in ((half, "random_filter_small"), (small, "random_filter"), (of_yaml("strip", fpr=0.2), "strip")):
        with pytest.raises(BadInput) as error:
            named(cells([there]), name)
        assert f"{name}: no record has the options of conf/defense/{name}.yaml; make some, such as " in str(error.value)
        making = str(error.value).partition("such as ")[2].partition(";")[0].split()
        assert making[:2] == ["python", "scripts/run.py"] and making[-2:] == ["seed=0,1,2", "-m"]
        assert f"defense={name}" in making and not [word for word in making if word.startswith("defense.")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("fine_tuning", "fine_prunning"),
            "fine_prunning: no record has this defense; give some of these, nearest first: FinePruning, FineTuning\n",
        ),
        (("fine_tuning", "fine_pruning", "--figure", "x.gif"), "x.gif: is no picture that can be drawn"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = here("scripts/compare.py", "--records", str(folder), *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and words in done.stderr


def test_the_figure_in_every_format_with_its_words(tmp_path: Path) -> None:
    """Several comparisons, several boards, one without an interval, and names that would be markup."""
    found = [*records(), synthetic("BadNets", "RandomPruning", 0)]
    found += [synthetic("BadNets", HOSTILE, s, {"defended": {"asr": 0.3}}) for s in range(3)]
    found += [
        synthetic(attack, name, s, {"defended": {"asr": 0.3}}, config__recipe__epochs=99)
        for attack in ATTACKS
        for name in ("FineTuning", "FinePruning")
        for s in range(3)
    ]
    made = compare(cells(found), ("FineTuning", "FinePruning", "RandomPruning", HOSTILE))
    chart = differences(made)
    assert "over 12 attacks on 2 boards x 3 seeds" in chart.words
    for suffix in PICTURES:
        draw(chart, tmp_path / f"figure{suffix}")
        assert (tmp_path / f"figure{suffix}").stat().st_size > 1000
    text = (tmp_path / "figure.svg").read_text()
    assert "<script" not in text and "epochs=99" in text


def test_nothing_to_draw_is_told() -> None:
    made = compare(cells([synthetic("BadNets", name, 0) for name in ("One", "Two")]), ("One", "Two"))
    with pytest.raises(BadInput, match="nothing to draw"):
        differences(made)
