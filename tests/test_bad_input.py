"""What a user gets wrong: one line that names the value, the limit and the remedy, exit code 2, nothing written."""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, config, files, python, script
from PIL import Image

import benchmark
from benchmark import cli
from benchmark.errors import BadInput


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`guarded` tells Hydra to raise; that must not outlive a test, nor a developer's own setting matter."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(cli, "TRACEBACKS", False)


def complaint(capsys: pytest.CaptureFixture[str], *overrides: str, store: Path, **changes: Any) -> str:
    """The one line on stderr of a run that must end with exit code 2 and write nothing."""
    before = files(store)
    code = cli.guarded(lambda: _run({**config(*overrides, store=store), **changes}))
    told = capsys.readouterr()
    assert code == cli.BAD_INPUT == 2, told.err
    assert told.out == "" and told.err.count("\n") == 1 and told.err.startswith("postern: ")
    assert "Traceback" not in told.err
    assert files(store) == before
    return told.err


def _run(chosen: dict[str, Any]) -> None:
    benchmark.run(chosen)


# override -> what the line must name: the value, the limit, the remedy
PLAIN = {
    "seed=-1": ["seed=-1", "at least 0", "set seed"],
    "seed=one": ["seed=one", "integer"],
    "seed=1.5": ["seed=1.5", "integer"],
    "seed=true": ["seed=True", "integer"],
    "threads=0": ["threads=0", "at least 1", "set threads"],
    "device=gpu": ["device=gpu", "cpu, cuda", "set device"],
    "device=cuda:99": ["device=cuda:99", "no such device", "set device=cpu"],
    "device=null": ["device=None", "set device"],
    "store=''": ["store=", "set store"],
    "attack.rate=0": ["attack.rate=0", "above 0 and at most 1", "set attack.rate"],
    "attack.rate=1.5": ["attack.rate=1.5", "at most 1"],
    "attack.rate=0.95": ["attack.rate=0.95", "only", "rows may be poisoned", "or less"],
    "attack.rate=0.0001": ["attack.rate=0.0001", "none of 1201 rows", "or more"],
    "attack.target=10": ["attack.target=10", "classes 0 to 9", "set attack.target"],
    "attack.target=-1": ["attack.target=-1", "classes 0 to 9"],
    "attack.target=zero": ["attack.target=zero", "'all'", "set attack.target"],
    "attack.sources=[3,12]": ["attack.sources=12", "classes 0 to 9", "set attack.sources"],
    "attack.size=9": ["attack.size=9", "1 to 8", "set attack.size"],
    "attack.place=[7,7]": ["place=[7, 7]", "row 0 to 6", "set place"],
    "attack.picture_path=nowhere.png": ["nowhere.png", "cannot be read", "give"],
    "recipe.epochs=0": ["recipe.epochs=0", "at least 1", "set recipe.epochs"],
    "recipe.schedule=linear": ["recipe.schedule=linear", "constant, cosine, one_cycle", "set recipe.schedule"],
    "recipe.crop=0.7": ["recipe.crop=0.7", "0.5", "set recipe.crop"],
    "dataset.clean=0": ["dataset.clean=0", "set dataset.clean"],
    "dataset.clean=1350": ["dataset.clean=1350", "1350 training rows", "set dataset.clean"],
    "dataset.clean=2.5": ["dataset.clean=2.5", "set dataset.clean"],
    "attack.rate=much": ["attack.rate=much", "at most 1"],
    "recipe.epochs=many": ["recipe.epochs=many", "at least 1"],
    "attack.size=big": ["attack.size=big", "1 to 8"],
    "recipe.learning_rate=0": ["recipe.learning_rate=0", "above 0"],
    "+attack.speed=3": ["attack=baselines.attacks.badnets.BadNets", "speed", "correct the options of attack"],
    "attack._target_=baselines.attacks.nowhere.X": ["baselines.attacks.nowhere.X", "correct the yaml"],
    "attack._target_=baselines.attacks.badnets.Bad": ["baselines.attacks.badnets.Bad", "correct the yaml"],
    "defense._target_=baselines.defenses.strip.Strap": ["baselines.defenses.strip.Strap", "correct the options"],
    "defense._target_=nowhere.X": ["_target_=nowhere.X", "no such module", "correct the yaml"],
    "+speed=3": ["speed", "no such setting", "threads"],
}


@pytest.mark.parametrize("override", PLAIN)
def test_a_value_out_of_range(override: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint(capsys, override, store=store)
    for part in PLAIN[override]:
        assert part in line


@pytest.mark.parametrize("override", ["+architecture.depth=3", "architecture.network.width=0"])
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_an_option_of_an_architecture(override: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert override.split("=")[0].lstrip("+").split(".")[0] in complaint(capsys, override, store=store)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("attack.rat=0.1", ["attack.rat", "nearest is rate", "target"]),
        ("sed=1", ["sed", "nearest is seed"]),
        ("recipe.epoch=1", ["recipe.epoch", "nearest is epochs"]),
        ("attack=badnet", ["attack=badnet", "nearest is badnets", "blended"]),
        ("defense=finetuning", ["defense=finetuning", "nearest is fine_tuning"]),
        ("architecture=resnet", ["architecture=resnet", "nearest is", "small_cnn"]),
        ("dataset=cifar", ["dataset=cifar", "nearest is cifar10"]),
        ("atack=badnets", ["atack", "nearest is attack"]),
        ("+atack=badnets", ["atack"]),
        ("attack.rate=0.1=", ["attack.rate"]),
        ("seed=[", ["seed=[", "write name=value"]),
        ("attack=[badnets,blended]", ["attack"]),
        ("hydra/launcher=slum", ["hydra/launcher=slum", "local"]),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest_right_one(
    override: str, parts: list[str], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(capsys, override, store=store)
    for part in parts:
        assert part in line


def test_no_row_is_enough_for_a_class_without_rows(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint(capsys, "defense=strip", "defense.overlays=1000", store=store)
    assert "defense.overlays=1000" in line and "clean rows" in line


def test_a_missing_setting(store: Path) -> None:
    chosen = dict(config(store=store))
    del chosen["seed"]
    with pytest.raises(BadInput, match=r"seed: is missing; settings: .*threads"):
        benchmark.run(chosen)


# ---- methods and data that do not fit each other

TEXT = """
from benchmark import Attack


class Words(Attack):
    modality = "text"

    def __init__(self):
        super().__init__(rate=0.05, target=0)

    def trigger(self, inputs, secret):
        return [f"{text} cf" for text in inputs]
"""


def test_an_attack_of_another_modality(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words_attack.py").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    line = complaint(capsys, store=store, attack={"_target_": "words_attack.Words"})
    assert "words_attack.Words: is for text rows, the data set has image rows; choose another attack" in line


# ---- data


def table(folder: Path, name: str, rows: int = 40, side: int = 8, **columns: Any) -> None:
    """A Parquet file of grey pictures and labels 0 and 1."""
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(0)
    pictures = [_png(draw.integers(0, 255, (side, side), dtype=np.uint8)) for _ in range(rows)]
    content = {"image": pictures, "label": [row % 2 for row in range(rows)], **columns}
    pq.write_table(pa.table({key: value for key, value in content.items() if value is not None}), folder / name)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


NOISE = _png(np.random.default_rng(1).integers(0, 255, (8, 8), dtype=np.uint8))


def parquet(folder: Path, *overrides: str) -> tuple[str, ...]:
    return ("dataset=parquet", f"dataset.path={folder}", "dataset.channels=1", "dataset.clean=0.2", *overrides)


def test_good_parquet_data_are_accepted(tmp_path: Path) -> None:
    """The cases below each spoil this one."""
    table(tmp_path / "data", "train.parquet")
    table(tmp_path / "data", "test.parquet")
    options = parquet(tmp_path / "data", "defense=random_rejection", "attack.rate=0.1")
    assert benchmark.run(config(*options, store=tmp_path / "store")).rows.train == 32


@pytest.mark.parametrize("path", ["", "nowhere/at/all", "./nowhere"])
def test_a_data_folder_that_is_not_there(path: str, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint(capsys, "dataset=parquet", f"dataset.path='{path}'", store=store)
    assert "dataset.path" in line and path in line and "give" in line


def test_an_empty_data_folder(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    line = complaint(capsys, *parquet(tmp_path / "data"), store=store)
    assert str(tmp_path / "data") in line and "train" in line


@pytest.mark.parametrize(
    ("spoilt", "overrides", "parts"),
    [
        ({"image": None, "picture": [b"x"] * 40}, [], ["dataset.image=image", "no such column", "picture"]),
        ({}, ["dataset.label=lable"], ["dataset.label=lable", "no such column", "label"]),
        ({"image": [b"no picture"] * 40}, [], ["train.parquet", "row 0"]),
        ({"image": [NOISE[:90]] * 40}, [], ["train.parquet", "row 0"]),
        ({"label": [0] * 40}, [], ["at least 2"]),
        ({"label": [-1, 1] * 20}, [], ["label -1"]),
        ({"label": [0] * 39 + [1]}, ["dataset.clean=0.2"], ["class 1", "are needed"]),
        ({}, ["dataset.size=4"], ["4", "choose another architecture"]),
        ({}, ["dataset.channels=2"], ["dataset.channels=2", "1 (grey) or 3 (colour)"]),
    ],
)
def test_data_that_cannot_be_used(
    spoilt: dict[str, Any],
    overrides: list[str],
    parts: list[str],
    tmp_path: Path,
    store: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(tmp_path / "data", "train.parquet", **spoilt)
    table(tmp_path / "data", "test.parquet")
    line = complaint(capsys, *parquet(tmp_path / "data", *overrides), store=store)
    for part in parts:
        assert part in line


def test_a_truncated_data_file(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(tmp_path / "data", "test.parquet")
    whole = (tmp_path / "data" / "test.parquet").read_bytes()
    (tmp_path / "data" / "train.parquet").write_bytes(whole[: len(whole) // 2])
    line = complaint(capsys, *parquet(tmp_path / "data"), store=store)
    assert "train.parquet" in line and "write or download it again" in line


def test_no_network(store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.setenv("no_proxy", "")
    line = complaint(capsys, "dataset=cifar10", store=store)
    assert "cifar-10-binary.tar.gz" in line and "connect to the network" in line
    assert not [path for path in store.glob("downloads/**/*") if path.is_file()]


# ---- the script itself


def cleanly(done: Any) -> str:
    """The one line of a script that ended with exit code 2."""
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("postern: "), done.stderr
    return str(done.stderr)


def test_the_script_refuses_a_value(store: Path) -> None:
    line = cleanly(script("attack.rate=2", f"store={store}"))
    assert "attack.rate=2: must be above 0 and at most 1; set attack.rate" in line
    assert files(store) == set()


def test_the_script_refuses_a_name_and_a_key(tmp_path: Path) -> None:
    assert "the nearest is badnets" in cleanly(script("attack=badnet", f"store={tmp_path / 'store'}"))
    assert "the nearest is rate" in cleanly(script("attack.rat=0.1", f"store={tmp_path / 'store'}"))
    assert not (tmp_path / "store").exists()


def test_the_script_shows_a_traceback_to_who_asks(tmp_path: Path) -> None:
    done = script("seed=-1", f"store={tmp_path / 'store'}", HYDRA_FULL_ERROR="1")
    assert done.returncode != 0 and "Traceback" in done.stderr and "at least 0" in done.stderr


def test_a_sweep_with_bad_points_alone_is_bad_input(tmp_path: Path) -> None:
    done = script("attack=badnets,blnded", f"store={tmp_path / 'store'}", "-m")
    assert "the nearest is blended" in cleanly(done)
    assert files(tmp_path / "store") == set()


def test_a_sweep_keeps_its_good_points(store: Path) -> None:
    """A value that is out of range only for one point is told by name; the others have their records."""
    small = "architecture.network.width=8"
    benchmark.run(config("attack=none", "defense=none", small, store=store))  # the clean victim: a process less
    grid = ("attack.size=2,9", "defense=none", small, "hydra.launcher.n_jobs=1", "-m")
    done = script(f"store={store}", *grid)
    assert done.returncode == 2, done.stderr
    assert "1 of 2 runs have no record" in done.stderr and "attack.size=9" in done.stderr
    assert "must be 1 to 8" in done.stderr and "Traceback" not in done.stderr
    (record,) = done.stdout.splitlines()
    assert Path(record).is_file() and len(list(store.glob("records/*/*"))) == 2


def test_a_store_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").write_text("a file")
    code = cli.guarded(lambda: _run(dict(config(store=tmp_path / "store"))))
    told = capsys.readouterr().err
    assert code in (1, 2) and told.count("\n") == 1 and str(tmp_path / "store") in told


SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.py") if 'if __name__ == "__main__"' in path.read_text())
NEEDED = {"admit": ["x"], "compare": ["x", "y"], "figure": ["heat_map", "x.svg"], "store": ["size"]}


def ended(path: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of a script with these arguments, in this process: starting twenty takes a minute."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(path), run_name="__main__")
    return left.value.code


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_answers_an_unknown_option_in_one_line_and_has_help(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ended(path, *NEEDED.get(path.stem, []), "--colour", "red", monkeypatch=monkeypatch)
    told = capsys.readouterr()
    assert code == 2 and told.out == "" and told.err.count("\n") == 1, told.err
    assert told.err.startswith("postern: unrecognized arguments: --colour") and told.err.endswith(" --help\n")
    if path.stem != "run":  # Hydra's help, below
        assert not ended(path, "--help", monkeypatch=monkeypatch)
        told = capsys.readouterr()
        assert told.out.startswith(f"usage: {path.name}") and told.err == ""


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("figure", ["heatmap", "x.svg"], "argument KIND: invalid choice: 'heatmap' (choose from "),
        ("figure", ["heat_map"], "the following arguments are required: OUT; see figure.py --help"),
        ("figure", ["trade_off", "x.svg", "--price"], "argument --price: expected one argument"),
        ("figure", ["heat_map", "x.svg", "--log"], "--log: is of detection_curves alone; leave it out of heat_map"),
        ("figure", ["trade_off", "x.svg", "--price", "seconds"], "--price: is of cost_and_effect alone"),
        ("table", ["--csv", "--columns", "score"], "--columns: CSV has one row a cell; leave out --columns or --csv"),
        *(
            (
                name,
                [*NEEDED.get(name, []), "--store", "s", "--records", "r"],
                "--records: not allowed with argument --st",
            )
            for name in ("compare", "figure", "leaderboard", "page", "table")
        ),
        ("page", ["--site", "README.md"], "--site README.md: is a file; give a folder"),
        ("page", ["--site", "README.md/site"], "README.md/site: cannot be written there (File exists); give another"),
        ("compare", ["x", "y", "--figure", "README.md/x.svg"], "README.md/x.svg: cannot be written there"),
        ("store", [], "the following arguments are required: ACTION; see store.py --help"),
        ("store", ["export"], "the following arguments are required: file, keys; see store.py export --help"),
        ("store", ["shrink"], "invalid choice: 'shrink' (choose from "),
        ("simulate", ["--seeds", "many"], "argument --seeds: invalid int value: 'many'; see simulate.py --help"),
        ("table", ["--latex", "--csv"], "argument --csv: not allowed with argument --latex"),
        ("run", ["--cfg", "everything"], "invalid choice: 'everything' (choose from "),
        ("run", ["--config-dir"], "expected one argument; see scripts/run.py --help"),
    ],
)
def test_a_mistake_in_an_option_is_one_line(
    name: str,
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = ended(ROOT / "scripts" / f"{name}.py", *arguments, monkeypatch=monkeypatch)
    told = capsys.readouterr()
    assert code == 2 and told.out == "" and told.err.count("\n") == 1 and told.err.startswith("postern: "), told.err
    assert words in told.err


def test_records_win_over_the_environments_store(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTERN_STORE", "here")
    for name in ("leaderboard", "page", "table"):
        assert ended(ROOT / "scripts" / f"{name}.py", "--records", "nowhere", monkeypatch=monkeypatch) == 2
        assert "nowhere: is no folder of records" in capsys.readouterr().err


def test_help_names_the_groups() -> None:
    done = python("scripts/run.py", "--help")
    assert done.returncode == 0
    for group in ("dataset", "architecture", "recipe", "attack", "defense", "tracker"):
        assert group in done.stdout
