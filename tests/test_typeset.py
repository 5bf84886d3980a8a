"""Tables of planted cells: exact LaTeX, Markdown and CSV; marks among rivals alone; hostile names stay words."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import here, python
from synthetic import synthetic, write

from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results.grids import grids
from benchmark.results.leaderboard import Cell, cells
from benchmark.results.merits import SCORES
from benchmark.results.selecting import chosen
from benchmark.results.tables import board
from benchmark.results.typeset import comma_separated, latex, markdown

FILTER = {"name": "Sieve", "family": "filter", "needs": ["train"]}
FIXED = {
    "config__attack__rate": 0.05,
    "methods__defense": {"name": "Any", "family": "repair", "needs": ["clean", "labels", "weights"]},
    "detection__rows": None,
    "detection__inputs": None,
}
HOSTILE = r"A_b & 5% $x$ #1 {y} ~ ^ \input{z} <b>|*[q](r)*|`"


def one(attack: str, defense: str, seed: int, rates: dict[str, dict[str, float]], **changes: Any) -> Record:
    return synthetic(attack, defense, seed, rates, **{**FIXED, **changes})


def three(attack: str, defense: str, asr: float, seeds: int = 3, ca: float = 0.94, **changes: Any) -> list[Record]:
    return [one(attack, defense, seed, {"defended": {"asr": asr, "ca": ca}}, **changes) for seed in range(seeds)]


def placeless(text: str, found: list[Cell]) -> str:
    """Without the board, which is that of the record behind all synthetic ones."""
    return text.replace(board(found[0]), "BOARD")


@pytest.fixture(scope="module")
def found() -> list[Cell]:
    """Three repairs on two attacks, one of them degraded and one not run on Beta; a filter, which has no rival."""
    records = three("Alpha", "First", 0.1) + three("Alpha", "Second", 0.2) + three("Alpha", "Third", 0.3)
    records += three("Beta", "First", 0.5) + three("Beta", "Second", 0.25, ca=0.5)
    return cells(records + three("Alpha", "Sieve", 0.4, methods__defense=FILTER))


LATEX = r"""% needs \usepackage{booktabs}
\begin{table}
\centering
\caption{Share of the attack removed, percent: BOARD. Mean over seeds 0, 1, 2; n = 1000 test rows and 1000 triggered rows a seed.}
\begin{tabular}{lrrrr}
\toprule
 & \multicolumn{1}{c}{filter} & \multicolumn{3}{c}{repair} \\
\cmidrule(lr){2-2} \cmidrule(lr){3-5}
attack & Sieve & First & Second & Third \\
\midrule
Alpha 5 \% & 60.0 & \textbf{90.0} & \underline{80.0} & 70.0 \\
Beta 5 \% &  & 50.0 & 75.0\textsuperscript{c} &  \\
\bottomrule
\end{tabular}
\par\smallskip
{\footnotesize Best in bold, second underlined. Compared are ranked cells of one family with one access; empty: not run. Not ranked: c: collapsed: half of the accuracy above chance is lost.\par}
\end{table}
"""


def test_latex(found: list[Cell]) -> None:
    """Third has no mark, First none on Beta, where its only rival is not ranked, and the filter has no rival."""
    assert placeless(latex(grids(found, ["removed"])), found) == LATEX


def test_markdown(found: list[Cell]) -> None:
    made = placeless(markdown(grids(found, ["asr"], rows="defense", columns="attack")), found)
    assert made == (
        "Attack success of the defended victim, percent: BOARD. "
        "Mean over seeds 0, 1, 2; n = 1000 test rows and 1000 triggered rows a seed.\n\n"
        "| defense | family | Alpha 5 % | Beta 5 % |\n"
        "| --- | --- | ---: | ---: |\n"
        "| Sieve | filter | 40.0 |  |\n"
        "| First | repair | **10.0** | 50.0 |\n"
        "| Second | repair | _20.0_ | 25.0<sup>c</sup> |\n"
        "| Third | repair | 30.0 |  |\n\n"
        "Best in bold, second in italics. Compared are ranked cells of one family with one access; empty: not run. "
        "Not ranked: c: collapsed: half of the accuracy above chance is lost.\n"
    )


def test_scores_as_columns(found: list[Cell]) -> None:
    lines = markdown(grids(found, ["removed", "ca"], columns="score")).splitlines()
    assert lines[2] == "| attack | defense | family | removed | ca |"
    assert lines[4] == "| Alpha 5 % | Sieve | filter | 60.0 | 94.0 |"
    assert lines[5] == "| Alpha 5 % | First | repair | **90.0** | **94.0** |"  # all three are equal in accuracy
    assert "removed: share of the attack removed, percent; ca: clean accuracy" in lines[-1]


def test_csv_has_a_row_a_cell_and_counts_of_every_seed() -> None:
    records = [one("Alpha", "First", seed, {"defended": {"asr": hits / 1000}}) for seed, hits in enumerate((7, 0, 33))]
    (row,) = csv.DictReader(io.StringIO(comma_separated(cells(records), ["removed", "asr", "auroc"])))
    assert (row["attack"], row["defense"], row["family"], row["status"]) == ("Alpha 5 %", "First", "repair", "ranked")
    assert (row["seeds"], row["defended_asr_hits"], row["defended_asr_n"]) == ("0 1 2", "7 0 33", "1000 1000 1000")
    assert float(row["asr"]) == pytest.approx(40 / 3000, abs=1e-15) and float(row["removed"]) == 1 - float(row["asr"])
    assert (row["auroc"], row["sham_ca_hits"], row["backdoored_asr_hits"]) == ("", "- - -", "1000 1000 1000")


# ---- who is compared with whom


def ranks(found: list[Cell], score: str) -> dict[tuple[str, str], int | None]:
    (grid,) = grids(found, [score])
    return {
        (names[0], column): entry.rank
        for names, entries in grid.rows
        for column, entry in zip(grid.columns, entries, strict=True)
        if entry.text
    }


def test_other_access_is_no_rival() -> None:
    blind = {"methods__defense": {"name": "Blind", "family": "repair", "needs": ["weights"]}}
    found = cells(three("A", "First", 0.1) + three("A", "Second", 0.2) + three("A", "Blind", 0.0, **blind))
    assert ranks(found, "removed") == {("A 5 %", "First"): 1, ("A 5 %", "Second"): 2, ("A 5 %", "Blind"): None}
    (grid,) = grids(found, ["removed"])
    assert grid.families == ("repair 1", "repair 1", "repair 2")
    assert grid.notes[-1] == "repair 1: clean + labels + weights; repair 2: weights."


def test_what_others_reported_is_shown_without_a_rank() -> None:
    """The reported one would be best: it is no rival, and says why."""
    records = three("A", "First", 0.1) + three("A", "Second", 0.2) + three("A", "Theirs", 0.0)
    found = cells(records, {records[-1].key: "reported"})
    assert ranks(found, "removed") == {("A 5 %", "First"): 1, ("A 5 %", "Second"): 2, ("A 5 %", "Theirs"): None}
    made = markdown(grids(found, ["removed"]))
    assert "| **90.0** | _80.0_ | 100.0<sup>r</sup> |" in made and "r: reported" in made
    statuses = {
        row["defense"]: row["status"] for row in csv.DictReader(io.StringIO(comma_separated(found, ["removed"])))
    }
    assert statuses == {"First": "ranked", "Second": "ranked", "Theirs": "reported"}


def test_equal_figures_share_a_rank() -> None:
    """90.01 and 89.99 are both printed as 90.0: both are best, and nobody is second."""
    found = cells(three("A", "First", 0.1001) + three("A", "Second", 0.0999) + three("A", "Third", 0.2))
    assert list(ranks(found, "removed").values()) == [1, 1, 3]


@pytest.mark.parametrize(
    ("score", "first"), [("asr", 1), ("removed", 1), ("seconds", 2), ("ca", 2), ("backdoored-asr", None)]
)
def test_the_better_way_is_the_scores_own(score: str, first: int | None) -> None:
    quick = {"costs__defended": {"seconds": 1.0, "cpu_seconds": 1.0, "peak_memory": 1}}
    slow = {"costs__defended": {"seconds": 9.0, "cpu_seconds": 9.0, "peak_memory": 1}}
    found = cells(three("A", "First", 0.1, ca=0.93, **slow) + three("A", "Second", 0.2, ca=0.94, **quick))
    assert ranks(found, score)["A 5 %", "First"] == first


def test_a_failed_attack_has_no_removed_share_but_its_success_is_shown() -> None:
    weak = {"backdoored": {"asr": 0.3}, "defended": {"asr": 0.1}}
    found = cells([one("Weak", "First", seed, weak) for seed in range(3)])
    removed, asr = (markdown(grids(found, [score])) for score in ("removed", "asr"))
    assert "| –<sup>f</sup> |" in removed and "| 10.0<sup>f</sup> |" in asr
    assert "f: the attack failed: a gain under 50 points" in removed


def test_fewer_seeds_are_told() -> None:
    found = cells(three("A", "First", 0.1) + three("A", "Second", 0.1, seeds=2))
    assert "Mean over seeds 0, 1, 2 (2 to 3 of them a cell); n = 1000" in grids(found, ["ca"])[0].caption


def test_one_table_a_board() -> None:
    found = cells(three("A", "First", 0.1) + three("A", "First", 0.1, config__recipe__epochs=99))
    made = latex(grids(found, ["removed", "asr"]))
    assert made.count(r"\begin{table}") == made.count(r"\end{table}") == 4
    assert len({line for line in made.splitlines() if r"\caption" in line}) == 4


# ---- names that others chose


def test_latex_is_balanced_and_escaped() -> None:
    found = cells(three(HOSTILE, "First", 0.1) + three("A", HOSTILE, 0.2))
    made = latex(grids(found, ["removed"])).partition("\n")[2]
    bare = re.sub(r"\\[&%$#_{}\\]", "", made)
    assert bare.count("{") == bare.count("}") and not set("%$#_~^<>|") & set(bare) and r"\input" not in made
    rows = [line for line in made.splitlines() if line.endswith(r" \\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}


def test_markdown_and_csv_hold_names_as_words() -> None:
    formula = three("=HYPERLINK(1)", "First", 0.1)
    found = cells(three(HOSTILE, "First", 0.1) + formula)
    made = markdown(grids(found, ["removed"]))
    assert "<b>" not in made and "[q](r)" not in made
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in made.splitlines() if line.startswith("|")} == {3}
    rows = list(csv.DictReader(io.StringIO(comma_separated(found, ["removed"]))))
    assert sorted(row["attack"][:11] for row in rows)[0] == "'=HYPERLINK" and len(rows) == 2


def test_a_minus_is_a_minus() -> None:
    found = cells([one("A", "Worse", s, {"backdoored": {"asr": 0.9}, "defended": {"asr": 1.0}}) for s in range(3)])
    assert r"& $-$11.1 \\" in latex(grids(found, ["removed"]))


# ---- slices


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 6),
        ({"attack": ["alpha"]}, 4),
        ({"attack": ["Beta 5 %"]}, 2),
        ({"attack": ["*a 5*"], "defense": ["FIRST", "se_cond"]}, 4),
        ({"family": ["filter"]}, 1),
        ({"access": ["train"], "dataset": ["digits"]}, 1),
    ],
)
def test_slices(found: list[Cell], wanted: dict[str, list[str]], count: int) -> None:
    assert len(chosen(found, wanted)) == count


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            {"attack": ["Alhpa"]},
            "--attack Alhpa: no record has it; give one of these, nearest first: Alpha, Beta",
        ),
        (
            {"attack": ["beta 50 %"]},
            "--attack beta 50 %: no record has it; give one of these, nearest first: 'Beta 5 %', 'Alpha 5 %'",
        ),
        (
            {"access": ["weights"]},
            "--access weights: no record has it; give one of these, nearest first: 'clean + labels + weights', train",
        ),
        ({"family": ["filter"], "attack": ["Beta"]}, "--family filter --attack Beta: no record is all of that"),
    ],
)
def test_a_slice_of_nothing_says_so(found: list[Cell], wanted: dict[str, list[str]], told: str) -> None:
    with pytest.raises(BadInput) as error:
        chosen(found, wanted)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"scores": ["asr", "acc"]}, "--score acc: no such score"),
        ({"scores": ["asr"], "rows": "attack", "columns": "attack"}, "--rows attack --columns attack"),
        ({"scores": ["asr"], "rows": "score"}, "--rows score"),
    ],
)
def test_a_table_that_cannot_be(found: list[Cell], arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        grids(found, **arguments)


def test_every_score_can_be_printed(found: list[Cell]) -> None:
    assert all(latex(grids(found, [name])) for name in SCORES) and comma_separated(found, list(SCORES))


def test_the_script_prints_a_slice(tmp_path: Path) -> None:
    write(iter(three("Alpha", "First", 0.1) + three("Beta", "First", 0.4)), tmp_path / "records")
    done = python("scripts/table.py", "--store", str(tmp_path), "--attack", "beta", "--score", "asr", "--latex")
    assert done.returncode == 0, done.stderr
    assert r"Beta 5 \% & 40.0 \\" in done.stdout and "Alpha" not in done.stdout


@pytest.mark.parametrize("options", [["--attack", "gamma"], ["--score", "x"], ["--records", "nowhere"]])
def test_the_script_names_a_mistake_in_one_line(options: list[str]) -> None:
    done = here("scripts/table.py", *options)
    assert done.returncode == 2 and done.stderr.startswith("postern: ") and done.stderr.count("\n") == 1
