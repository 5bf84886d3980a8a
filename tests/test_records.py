"""The record's format: what docs/ says of it is current, committed records follow it, tampered ones are refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import ROOT, config, python

import benchmark
from benchmark import record as module
from benchmark.errors import BadInput
from benchmark.record import Part, Record, load
from benchmark.run import record_path

DOCS = ROOT / "docs"
COMMITTED = sorted((ROOT / "leaderboard" / "records").glob("**/*.json"))

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def made(warm_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record's file, in a store at `<cwd>/store`."""
    store = tmp_path_factory.mktemp("records") / "store"
    shutil.copytree(warm_store, store)
    chosen = config("architecture.network.width=8", "defense=strip", "defense.overlays=8", store=store)
    benchmark.run(chosen)
    return record_path(chosen)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((DOCS / "record.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_docs_are_current(tmp_path: Path) -> None:
    ended = python("scripts/records_doc.py", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    for name in ("records.md", "record.schema.json"):
        same = (tmp_path / name).read_text() == (DOCS / name).read_text()
        assert same, f"docs/{name} is not current: run python scripts/records_doc.py"


def test_every_field_is_described() -> None:
    parts = [part for part in vars(module).values() if isinstance(part, type) and issubclass(part, Part)]
    page = (DOCS / "records.md").read_text()
    for part in parts:
        assert all(field.description for field in part.model_fields.values()), part.__name__
        assert part is Part or f"\n## {part.__name__}\n" in page, part.__name__


def test_the_example_runs(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "records.md").read_text(), re.DOTALL)
    monkeypatch.chdir(made.parents[3])
    exec(compile(example, "docs/records.md", "exec"), {})
    scores = load(made).scores
    assert scores is not None
    assert capsys.readouterr().out == f"BadNets Strip {scores.defended.asr.rate}\n"


def test_a_record_follows_the_schema(made: Path, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(json.loads(made.read_text()))
    assert load(made).to_json() == made.read_bytes()
    assert load(made).key == made.stem


def test_committed_records_follow_the_schema(validator: jsonschema.Draft202012Validator) -> None:
    """In one test, since there are hundreds of them."""
    assert len(COMMITTED) > 300
    for path in COMMITTED:
        content = json.loads(path.read_text())
        assert next(validator.iter_errors(content), None) is None, path
        assert load(path).key == path.stem


def drop(*names: str) -> Change:
    """Leave out the field at the end of a path."""
    return lambda content: inner(content, names).pop(names[-1])


def put(value: object, *names: str) -> Change:
    """Give the field at the end of a path another value."""
    return lambda content: inner(content, names).update({names[-1]: value})


def inner(content: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    for name in names[:-1]:
        content = content[name]
    return content


TAMPERED = {
    "unknown schema": (put(2, "schema"), "schema 2 is unknown, this version reads 1"),
    "no schema": (drop("schema"), "schema None is unknown"),
    "missing field": (drop("seed"), "field seed: field required"),
    "missing inside": (drop("scores", "defended", "asr"), "field scores.defended.asr: field required"),
    "unknown field": (put(1, "mood"), "field mood: extra inputs are not permitted"),
    "unknown inside": (put(1, "rows", "mood"), "field rows.mood: extra inputs are not permitted"),
    "text for a number": (put("3", "seed"), "field seed: input should be a valid integer"),
    "negative count": (put(-1, "scores", "clean", "ca", "hits"), "field scores.clean.ca.hits: input should be greater"),
    "no share": (put({"rows": [[0.0, 1.5]]}, "evidence", "roc"), "field evidence.roc.rows.0.1: input should be less"),
    "bad key": (put("abc", "key"), "field key: string should match pattern"),
    "bad status": (put("done", "status"), "field status: input should be 'complete' or 'not applicable'"),
}


@pytest.mark.parametrize(("change", "reason"), TAMPERED.values(), ids=TAMPERED.keys())
def test_a_tampered_record_is_refused(
    made: Path, validator: jsonschema.Draft202012Validator, tmp_path: Path, change: Change, reason: str
) -> None:
    content = json.loads(made.read_text())
    change(content)
    assert not validator.is_valid(content)
    assert reason in refused(tmp_path, json.dumps(content))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused(made: Path, tmp_path: Path, number: str) -> None:
    content = json.loads(made.read_text())
    content["costs"]["clean"]["seconds"] = float(number)
    assert f"it holds {number}" in refused(tmp_path, json.dumps(content))
    with pytest.raises(ValueError, match="finite number"):
        Record.model_validate_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"record"', "\x00"])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    assert str(tmp_path) in refused(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no JSON of finite numbers"):
        load(tmp_path / "none.json")


def refused(folder: Path, text: str) -> str:
    """The one line that `load` refuses a file with."""
    path = folder / "record.json"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"record {path}: ") and "\n" not in message
    return message
