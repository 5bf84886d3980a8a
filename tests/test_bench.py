"""scripts/bench.py tells its figures; no figure is judged here, since a test's machine is nobody's benchmark."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from conftest import here, python

from benchmark.results.leaderboard import read

TINY = ("--rows", "16", "--batch", "8", "--shape", "3,16,16", "--rounds", "1", "--device", "cpu")
FIGURES = {
    "training": {"images_per_second", "images_per_cpu_second", "ratio", "data_share"},
    "plain": {"images_per_second", "images_per_cpu_second"},
    "scoring": {"images_per_second"},
    "neural_cleanse": {"grouped_seconds_per_step", "class_by_class_seconds_per_step", "ratio"},
    "first_step_seconds": {"import_torch", "beyond", "beyond_cpu"},
}


def test_the_last_line_is_json_with_every_figure() -> None:
    done = here("scripts/bench.py", *TINY, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"setting", "peak_memory", *FIGURES}
    assert found["setting"]["rows"] == 16
    assert {name: set(found[name]) for name in FIGURES} == FIGURES
    figures = [found["peak_memory"], *(figure for name in FIGURES for figure in found[name].values())]
    assert all(math.isfinite(figure) and figure > 0 for figure in figures)


# Runs the script, then says whether torch was needed.
WATCHED = """
import runpy, sys
sys.argv = ["scripts/bench.py", *sys.argv[1:]]
try:
    runpy.run_path("scripts/bench.py", run_name="__main__")
except SystemExit as left:
    print(left.code, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--help",), 0, "--architecture"),
        (("--shape", "3x32x32"), 2, "postern: --shape 3x32x32: must be channels"),
        (("--batch", "0"), 2, "--batch 0"),
        (("--colour",), 2, "unrecognized arguments: --colour"),
        (("--architecture", "resnet"), 2, "architecture=resnet: no such architecture, the nearest is"),
    ],
)
def test_help_and_mistakes_need_no_torch(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = python("-c", WATCHED, *arguments)
    assert done.stdout.splitlines()[-1] == f"{code} False", done.stderr
    assert words in done.stdout + done.stderr and done.stderr.count("\n") == (code == 2)


def test_the_pages_of_many_records_are_measured(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = python("scripts/bench_page.py", "--records", "14", "--boards", "2", "--keep", str(kept))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"records", "boards", "seconds", "cpu_seconds", "peak_memory"}
    assert found["records"] == 14 and all(math.isfinite(figure) and figure > 0 for figure in found.values())
    assert len({record.key for record in read(kept / "records.parquet")}) == 14
    assert len(list((kept / "site" / "boards").iterdir())) == 2
    again = here("scripts/bench_page.py", "--boards", "2", "--keep", str(kept))
    assert again.returncode == 2 and "is there already" in again.stderr
