"""What the wandb tracker writes, read back from an offline run's own files."""

from __future__ import annotations

import ast
import io
import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT, config, python, script
from offline_runs import offline
from PIL import Image

from benchmark import wandb_tracker
from benchmark.config import checked, construct
from benchmark.errors import BadInput
from benchmark.record import Record, load
from benchmark.run import record_path
from benchmark.wandb_tracker import PNG, WandbTracker, history, pictures, summary

RUN = ("tracker=wandb", "recipe.epochs=3", "defense=strip", "defense.overlays=8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home without a key or settings of wandb's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_PROJECT", "NETRC"):
            patch.delenv(name, raising=False)
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def logged(home: Path, warm_store: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One run of scripts/run.py, logged offline."""
    pytest.importorskip("wandb")
    store = tmp_path_factory.mktemp("logged") / "store"
    shutil.copytree(warm_store, store)
    ended = script(*RUN, "tracker.group=a table", f"store={store}")
    assert ended.returncode == 0, ended.stderr
    folder = next((store / "wandb").glob("offline-run-*"))
    path = Path(ended.stdout.splitlines()[-1])
    return SimpleNamespace(store=store, ended=ended, folder=folder, path=path, record=load(path), told=offline(folder))


def again(logged: SimpleNamespace, *overrides: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return script(*RUN, f"store={logged.store}", *overrides, **environment)


def test_the_last_line_on_stdout_is_the_records_path(logged: SimpleNamespace) -> None:
    assert logged.path.is_file() and logged.path.is_relative_to(logged.store)
    assert "wandb" not in logged.ended.stdout + logged.ended.stderr


def test_the_run_is_named_by_its_key(logged: SimpleNamespace) -> None:
    run, record = logged.told.run, logged.record
    assert run.run_id == record.key and logged.folder.name.endswith(record.key)
    assert (run.project, run.run_group, run.display_name) == ("postern", "a table", "BadNets Strip 0")
    assert run.host == record.provenance.machine and logged.told.exits == [0]


def test_the_config_is_the_records(logged: SimpleNamespace) -> None:
    found = {name: value for name, value in logged.told.config.items() if name != "_wandb"}
    assert found.pop("provenance") == logged.record.provenance.model_dump(mode="json")
    assert found == logged.record.config
    assert found["recipe"]["epochs"] == 3 and found["attack"]["rate"] == 0.05


def test_history_has_a_row_an_epoch(logged: SimpleNamespace) -> None:
    rows = [row for row in logged.told.history if "epoch" in row]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for stage, losses in logged.record.curves.items():
        assert [row[f"loss/{stage}"] for row in rows if f"loss/{stage}" in row] == losses
    assert len(logged.record.curves["clean"]) == 3
    assert logged.told.metrics["loss/*"] == "epoch"


def test_summary_has_every_score(logged: SimpleNamespace) -> None:
    scores, found = logged.record.scores, logged.told.summary
    for victim in ("clean", "backdoored", "defended", "control"):
        for score in ("ca", "asr", "ra"):
            assert found[f"{score}/{victim}"] == getattr(getattr(scores, victim), score).rate
    assert "ca/sham" not in found
    assert found["auroc/inputs"] == logged.record.detection.inputs.separation.auroc
    assert "auroc/rows" not in found and found["status"] == "complete"


def test_the_triggered_inputs_are_a_picture(logged: SimpleNamespace) -> None:
    place = next(row for row in logged.told.history if "inputs/triggered/path" in row)["inputs/triggered/path"]
    coded = logged.record.evidence.triggered_inputs.removeprefix(PNG)
    with Image.open(logged.folder / "files" / place) as file, Image.open(io.BytesIO(b64decode(coded))) as given:
        assert file.size == given.size == (32, 8)  # four digits side by side
        assert file.convert("RGB").tobytes() == given.convert("RGB").tobytes()


def test_the_artifact_holds_the_records_file(logged: SimpleNamespace) -> None:
    (artifact,) = logged.told.artifacts
    (entry,) = artifact.manifest.contents
    assert (artifact.type, artifact.name) == ("record", f"record-{logged.record.key}")
    assert entry.path == logged.path.name and Path(entry.local_path).read_bytes() == logged.path.read_bytes()


def test_a_replay_is_the_same_run(logged: SimpleNamespace) -> None:
    before = set((logged.store / "wandb").glob("offline-run-*"))
    ended = again(logged, "tracker.project=other")
    assert ended.stdout.splitlines()[-1] == str(logged.path), ended.stderr
    (folder,) = set((logged.store / "wandb").glob("offline-run-*")) - before
    run = offline(folder).run
    assert (run.run_id, run.project) == (logged.record.key, "other")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({}, "No API key"), ({"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}, "Timed out")],
)
def test_online_without_a_key_or_a_server_fails_in_a_line(
    logged: SimpleNamespace, environment: dict[str, str], reason: str
) -> None:
    ended = again(logged, "tracker.mode=online", "tracker.timeout=2", **environment)
    assert (ended.returncode, ended.stdout.strip()) == (2, "")
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("postern: tracker.mode=online: ") and reason in line
    assert str(logged.path) in line and line.endswith("or set tracker.mode=offline")


def test_disabled_writes_nothing(logged: SimpleNamespace, tmp_path: Path) -> None:
    WandbTracker("disabled", folder=str(tmp_path / "new")).log(logged.record, logged.path)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_named(logged: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"tracker.folder=.*file: cannot be made .*; set tracker.folder"):
        WandbTracker(folder=str(tmp_path / "file")).log(logged.record, logged.path)


@pytest.mark.parametrize(
    ("option", "value", "limit"),
    [
        ("mode", "sometimes", "must be one of offline, online, disabled"),
        ("project", "a/b", "must be a text without any of"),
        ("project", "", "must be a text"),
        ("project", None, "must be a text"),
        ("timeout", 0, "must be a number of seconds above 0"),
        ("timeout", "long", "must be a number of seconds above 0"),
        ("timeout", float("inf"), "must be a number of seconds above 0"),
    ],
)
def test_options_are_checked(option: str, value: Any, limit: str) -> None:
    with pytest.raises(BadInput, match=rf"^tracker.{option}={value}: {limit}.*; set tracker.{option}$"):
        WandbTracker(**{option: value})


@pytest.mark.parametrize("spec", [None, SimpleNamespace(origin=None)])
def test_without_wandb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, spec: object) -> None:
    monkeypatch.setattr(wandb_tracker, "find_spec", lambda name: spec)
    with pytest.raises(BadInput, match=r"wandb is not installed; install postern\[wandb\] or choose tracker=none"):
        WandbTracker()
    WandbTracker("disabled")


def changed(record: Record, **fields: object) -> Record:
    """A record with other fields, checked as one from a file."""
    return Record.model_validate_json(json.dumps({**json.loads(record.to_json()), **fields}))


def test_a_run_that_is_not_applicable_has_only_its_status(logged: SimpleNamespace) -> None:
    nothing = {"scores": None, "detection": None, "evidence": None, "curves": {}, "weights": {}, "costs": {}}
    record = changed(logged.record, status="not applicable", reason="they do not meet", **nothing)
    assert (history(record), pictures(record), summary(record)) == ([], {}, {"status": "not applicable"})


def test_what_was_not_measured_is_left_out(logged: SimpleNamespace) -> None:
    evidence = json.loads(logged.record.to_json())["evidence"]
    evidence.update(
        pictures={"trigger": evidence["clean_inputs"]}, clean_inputs="", triggered_inputs="data:text/plain,a"
    )
    verdict = {"score": None, "detected": True, "suspect": 3, "correct": None}
    model = {"backdoored": verdict, "control": {**verdict, "detected": False}}
    scores = json.loads(logged.record.to_json())["scores"]
    scores["clean"]["asr"] = {"hits": 0, "n": 0}
    record = changed(
        logged.record,
        scores=scores,
        evidence=evidence,
        detection={"rows": None, "inputs": None, "model": model},
        curves={"clean": [2.0, 1.0], "defended": [3.0], "control": []},
    )
    assert set(pictures(record)) == {"defense/trigger"}
    found = summary(record)
    assert "asr/clean" not in found and not any(name.startswith("auroc") for name in found)
    assert (found["detected/backdoored"], found["detected/control"]) == (True, False)
    rows = [{"epoch": 1, "loss/clean": 2.0, "loss/defended": 3.0}, {"epoch": 2, "loss/clean": 1.0}]
    assert history(record) == rows


def test_composing_imports_no_wandb(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    code = (
        "import sys; from benchmark.config import checked, compose, construct;"
        f"tracker = construct(checked(compose('tracker=wandb', 'store={tmp_path}')), 'tracker');"
        "print(tracker.folder, sorted({'wandb', 'torch', 'PIL'} & set(sys.modules)))"
    )
    ended = python("-c", code)
    assert ended.stdout == f"{tmp_path} []\n", ended.stderr


def test_the_yaml_is_offline_and_changes_no_key(store: Path) -> None:
    pytest.importorskip("wandb")
    told = config("tracker=wandb", store=store)
    tracker = construct(checked(told), "tracker")
    assert (tracker.mode, tracker.project, tracker.group, tracker.timeout) == ("offline", "postern", None, 60)
    assert record_path(told) == record_path(config(store=store))


def test_one_file_imports_wandb() -> None:
    folders = ("benchmark", "baselines", "scripts", "hydra_plugins", "tests")
    importers = [
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "wandb" in {name.partition(".")[0] for name in imports(ast.parse(path.read_text()))}
    ]
    assert importers == ["benchmark/wandb_tracker.py"]


def imports(tree: ast.Module) -> Iterator[str]:
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
