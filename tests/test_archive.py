"""A folder of records and the Parquet file made of it hold the same, each as strictly as one record alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, here
from synthetic import synthetic, template, write

from benchmark.errors import BadInput
from benchmark.record import Evidence, Record, load
from benchmark.results import columnar
from benchmark.results.archive import Archive, compact
from benchmark.results.columns import COLUMNS, MEMBERS
from benchmark.results.leaderboard import cells, read
from benchmark.results.marks import MARKS, mark, marks

COMMITTED = ROOT / "leaderboard" / "records"
PICTURES = json.loads(template())["evidence"]


def grid() -> list[Record]:
    """Two attacks x three defenses x two seeds; what they show tells them apart, and one shows nothing."""
    records = [
        synthetic(attack, defense, seed, evidence={**PICTURES, "clean_inputs": f"{attack} {defense} {seed}"})
        for attack in ("Blended", "BadNets")
        for defense in ("Strip", "Abl", "FineTuning")
        for seed in (1, 0)
    ]
    return [records[0].model_copy(update={"evidence": None}), *records[1:]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(iter(grid()), tmp_path / "records")
    return tmp_path / "records"


@pytest.fixture
def table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in a file of three row groups."""
    monkeypatch.setattr(columnar, "ROWS", 5)
    file = folder.parent / "records.parquet"
    assert compact(folder, file) == 12
    return file


def light(record: Record) -> Record:
    return record.model_copy(update={"evidence": None})


def test_both_sources_hold_what_the_files_say(folder: Path, table: Path) -> None:
    wanted = sorted(map(load, folder.rglob("*.json")), key=lambda record: record.key)
    for archive in (Archive(folder), Archive(table)):
        assert [record.to_json() for record in archive.records] == [light(record).to_json() for record in wanted]
        assert archive.records == list(map(light, wanted))
        shown = {record.key: record.evidence for record in wanted if record.evidence}
        assert archive.evidence(record.key for record in wanted) == shown and len(shown) == 11
        for key, evidence in shown.items():
            assert archive.evidence([key]) == {key: evidence}
    assert read(table) == read(folder)


def test_committed_records_come_back_byte_by_byte(packed: Archive) -> None:
    """In one test, since there are hundreds of them."""
    wanted = {path.stem: load(path) for path in COMMITTED.rglob("*.json")}
    assert [record.key for record in packed.records] == sorted(wanted)
    shown = packed.evidence(wanted)
    for record in packed.records:
        whole = wanted[record.key]
        assert record.to_json() == light(whole).to_json(), record.key
        assert record.model_fields_set == whole.model_fields_set, "what an older record lacks is not made up"
        assert shown.get(record.key) == whole.evidence, record.key


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    file = tmp_path_factory.mktemp("packed") / "committed.parquet"
    compact(COMMITTED, file)
    return Archive(file)


def test_equal_parts_are_kept_once(table: Path) -> None:
    first, second, *_ = Archive(table).records
    assert first.scores and second.scores
    assert first.scores.clean is second.scores.clean and first.provenance is second.provenance
    assert first.config["recipe"] is second.config["recipe"]


def test_the_runs_of_a_cell_lie_together(folder: Path, table: Path) -> None:
    """Attack by attack, defense by defense, seeds ascending: as the leaderboard asks for them."""
    keys = [record.key for cell in cells(read(folder)) for record in cell.records]
    assert list(map(json.loads, pq.read_table(table)["key"].to_pylist())) == keys


def test_the_same_records_give_the_same_bytes(folder: Path, table: Path) -> None:
    compact(folder, other := folder.parent / "other.parquet")
    assert other.read_bytes() == table.read_bytes()
    assert not list(folder.parent.glob("*.tmp"))


def test_nothing_is_written_over(folder: Path, table: Path) -> None:
    before = table.read_bytes()
    for name in ("records.parquet", "records.json", "none/records.parquet"):
        with pytest.raises(BadInput, match=r"must be a new \.parquet file in a folder that exists"):
            compact(folder, folder.parent / name)
    with pytest.raises(BadInput, match="exists; give the name of a new file"):
        columnar.write(iter(()), table)
    assert table.read_bytes() == before and not list(folder.parent.glob("*.tmp"))


# ---- what is refused

Change = Callable[[dict[str, Any]], object]
BAD: Mapping[str, tuple[Change, str, str]] = {  # what a folder says of it, and what a table
    "schema": (lambda c: c.update(schema=2), "schema 2 is unknown", "field schema: input should be 1"),
    "unknown field": (lambda c: c["rows"].update(mood=1), "field rows.mood: extra inputs", "field rows: extra inputs"),
    "missing field": (lambda c: c.pop("seed"), "field seed: field required", "a record has no field seed"),
    "missing members": (lambda c: c.pop("costs"), "field costs: field required", "a record has no field costs"),
    "missing victim": (lambda c: c["scores"].pop("control"), "scores.control: field", "field scores: field required"),
    "too many hits": (lambda c: c["scores"]["clean"]["ca"].update(hits=1001), *(2 * ("1001 hits of 1000 rows",))),
    "a text for a number": (lambda c: c.update(seed="1"), *(2 * ("field seed: input should be a valid integer",))),
    "a list for a curve": (lambda c: c["curves"].update(clean=["1"]), "field curves.clean.0: input", "field curves: "),
    "no number": (lambda c: c["costs"]["clean"].update(seconds=float("nan")), "holds NaN", "field costs: "),
    "no number where anything goes": (lambda c: c["config"]["recipe"].update(crop=float("inf")), "Inf", "config: "),
    "no key": (lambda c: c.update(key="0"), "field key: string should match", "field key: string should match"),
}


@pytest.mark.parametrize(("change", "folder", "table"), BAD.values(), ids=BAD.keys())
def test_both_sources_refuse_the_same(tmp_path: Path, change: Change, folder: str, table: str) -> None:
    content = json.loads(synthetic().to_json())
    file = tmp_path / f"{content['key']}.json"
    change(content)
    file.write_text(json.dumps(content))
    assert folder in refused(tmp_path)
    assert table in refused(planted(tmp_path, content))


def test_another_key_than_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{'0' * 64}.json").write_bytes(synthetic().to_json())
    assert "which is not its name" in refused(tmp_path)


def test_a_number_too_large_to_be_one_is_refused(tmp_path: Path) -> None:
    text = synthetic().to_json().decode()
    assert '"crop": 0.0' in text
    (tmp_path / f"{synthetic().key}.json").write_text(text.replace('"crop": 0.0', '"crop": 1e999'))
    assert "field config.recipe: value error, out of range float" in refused(tmp_path)


def test_a_table_is_no_back_door(tmp_path: Path) -> None:
    record = synthetic()
    content = json.loads(record.to_json())
    assert "twice" in refused(planted(tmp_path, content, content))
    for text, reason in (
        ("[1", "invalid json"),
        ("1,2", "tuple should have at most 1 item"),
        ("1e999", "out of range float"),
    ):
        columns = pq.read_table(planted(tmp_path, content)).to_pylist()[0]
        columns["config"] = [("recipe", text)]
        pq.write_table(pa.Table.from_pylist([columns], COLUMNS), tmp_path / "planted.parquet")
        assert f"field config: {'value error, ' * (text == '1e999')}{reason}" in refused(tmp_path / "planted.parquet")
    archive = Archive(planted(tmp_path, {**content, "evidence": {"roc": float("nan")}}))
    assert archive.records == [light(record)]
    with pytest.raises(BadInput, match=r"evidence of .*: field required|evidence of .*: input should"):
        archive.evidence([record.key])
    pq.write_table(pa.table({"key": ["a"], "record": [1], "evidence": ["b"]}), tmp_path / "wrong.parquet")
    assert "its columns are not schema, key, status," in refused(tmp_path / "wrong.parquet")


def test_a_damaged_table_is_one_line(table: Path) -> None:
    data = table.read_bytes()
    for damaged in (b"", data[:100], data[:-9], data[:9] + bytes(200) + data[209:], b"PAR1" + bytes(999) + b"PAR1"):
        table.write_bytes(damaged)
        assert f"{table}: " in refused(table)


def test_a_file_in_two_folders_is_refused(folder: Path) -> None:
    path = next(folder.rglob("*.json"))
    (folder / "again").mkdir()
    (folder / "again" / path.name).write_bytes(path.read_bytes())
    assert "too; remove one" in refused(folder)


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_an_unknown_key_is_refused(request: pytest.FixtureRequest, kind: str) -> None:
    with pytest.raises(BadInput, match=r"holds no record 0+; give the key of one"):
        Archive(request.getfixturevalue(kind)).evidence(["0" * 64])


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    for path in (tmp_path / "none", tmp_path / "none.parquet", tmp_path / "a.json"):
        assert "give one that exists" in refused(path)


def planted(folder: Path, *contents: Mapping[str, Any]) -> Path:
    """A well-formed Parquet file of what may be no records."""

    def column(name: str, value: Any) -> Any:
        members = name in MEMBERS
        return [(member, json.dumps(held)) for member, held in value.items()] if members else json.dumps(value)

    rows = [{name: column(name, value) for name, value in content.items()} for content in contents]
    pq.write_table(pa.Table.from_pylist(rows, COLUMNS), folder / "planted.parquet")
    return folder / "planted.parquet"


def refused(source: Path) -> str:
    """The one line that a source is refused with."""
    with pytest.raises(BadInput) as error:
        _ = Archive(source).records
    assert "\n" not in str(error.value)
    return str(error.value)


def test_evidence_is_whole(folder: Path) -> None:
    (evidence,) = Archive(folder).evidence([grid()[3].key]).values()
    assert isinstance(evidence, Evidence) and evidence == grid()[3].evidence


def test_the_leaderboard_reads_a_table(table: Path, folder: Path) -> None:
    told = [here("scripts/leaderboard.py", "--records", str(source), "--json") for source in (table, folder)]
    assert told[0].returncode == 0, told[0].stderr
    assert told[0].stdout == told[1].stdout and len(json.loads(told[0].stdout)) == 6


def test_the_script_writes_a_table(folder: Path) -> None:
    file = folder.parent / "made.parquet"
    ended = here("scripts/store.py", "compact", str(file), "--records", str(folder))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"12 records, {file.stat().st_size:,} bytes: {file}\n"
    assert read(file) == read(folder)
    again = here("scripts/store.py", "compact", str(file), "--records", str(folder))
    assert again.returncode == 2 and "must be a new .parquet file" in again.stderr


def test_a_copy_of_a_folder_has_its_marks_and_a_sibling_has_none(folder: Path, tmp_path: Path) -> None:
    keys = [record.key for record in read(folder)]
    one, two = tmp_path / "one", tmp_path / "two"
    shutil.copytree(folder, one), shutil.copytree(folder, two)
    mark(one, {keys[0]: "reported"})
    shutil.copytree(one, tmp_path / "copy")
    assert marks(tmp_path / "copy") == {keys[0]: "reported"} and marks(two) == {}
    assert read(one) == read(folder), "they are no record"
    compact(one, tmp_path / "one.parquet")
    compact(two, tmp_path / "two.parquet")
    assert marks(tmp_path / "one.parquet") == {keys[0]: "reported"} and marks(tmp_path / "two.parquet") == {}


def test_marks_go_with_the_records(folder: Path, tmp_path: Path) -> None:
    """Without its mark a reported record would count as made here."""
    keys = [record.key for record in read(folder)]
    elsewhere, link, file = tmp_path / "board" / "records", tmp_path / "link", tmp_path / "new" / "records.parquet"
    shutil.copytree(folder, elsewhere)
    mark(elsewhere, {keys[0]: "reported"})
    link.symlink_to(elsewhere)
    file.parent.mkdir()
    compact(link, file)
    assert marks(link) == marks(file) == {keys[0]: "reported"}


def test_a_table_has_no_marks_of_an_earlier_one_and_bad_ones_leave_none(folder: Path, tmp_path: Path) -> None:
    first, second, *_ = [record.key for record in read(folder)]
    file = tmp_path / "again.parquet"
    mark(folder, {first: "reported"})
    compact(folder, file)
    file.unlink()
    mark(folder, {first: "reproduced", second: "reported"})
    compact(folder, file)
    assert marks(file) == {first: "reproduced", second: "reported"}
    (folder / MARKS).write_text("{")
    with pytest.raises(BadInput, match="restore it"):
        compact(folder, tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()
