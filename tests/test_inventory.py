"""What a store holds and needs is told by known stores: sizes, needs, what is unused, what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, config, here
from safetensors.numpy import save

import benchmark
from benchmark import keys
from benchmark.inventory import Holdings, members, planned, problems, sizes
from benchmark.record import Record, load
from benchmark.seal import sealed, verified
from benchmark.store import Store, publish

COMMITTED = sorted((ROOT / "leaderboard" / "records").glob("*/*.json"))
STRANGER = "5" * 64  # a key that no configuration has


@cache  # the metadata of two files that safetensors writes are in any order
def artefact(fill: float, seconds: float = 0.5) -> bytes:
    cost = {"seconds": seconds, "cpu_seconds": 0.5, "peak_memory": 1}
    return sealed(lambda metadata: save({"w": np.full(5, fill, np.float32)}, metadata), {"costs": cost, "ca": [9, 10]})


def template() -> Record:
    """A committed record of what this clone still has, whatever its key was."""
    found = map(load, COMMITTED)
    return next(record for record in found if record.config["attack"]["_target_"].endswith("BadNets") and record.scores)


def stock(folder: Path, seed: int = 0, key: str | None = None) -> Record:
    """Publish a record and its four artefacts, as a run would; with a key of its own, as other code would."""
    shelf, base = Store(folder), template()
    chosen = {**base.config, "seed": seed, "device": "cpu", "threads": 1}
    plan = keys.plan(chosen, base.provenance.dataset)
    names = {"clean": plan.clean, "backdoored": plan.backdoored, "defended": key or plan.run, "control": plan.control}
    for at, name in enumerate(names.values()):
        publish(shelf.artefact(name), artefact(10 * seed + at, seconds=seed + at / 8))
    found = {stage: verified(shelf.artefact(name)) for stage, name in names.items()}
    changes = {
        "key": key or plan.run,
        "config": chosen,
        "seed": seed,
        "weights": {stage: made.digest for stage, made in found.items()},
        "costs": {stage: made.facts["costs"] for stage, made in found.items()},
        "provenance": {**base.provenance.model_dump(), "device": "cpu"},
    }
    record = changed(base, changes)
    publish(shelf.record(record.key), record.to_json())
    return record


def changed(record: Record, fields: Mapping[str, Any]) -> Record:
    return Record.model_validate({**record.model_dump(by_alias=True), **fields}, strict=False)


def place(folder: Path, record: Record, stage: str) -> Path:
    """Where an artefact lies, by its tensors alone."""
    paths = members(Store(folder), "artefacts")
    return next(path for path in paths if verified(path).digest == record.weights[stage])


def states(folder: Path, record: Record) -> dict[str, str]:
    return {need.stage: need.state for need in Holdings(Store(folder)).needs(record)}


# ---- sizes


def test_every_file_is_counted_once(tmp_path: Path) -> None:
    record = stock(tmp_path)
    put: dict[str, int] = {
        "data/rows.safetensors": 7,
        "downloads/cifar10/part.tmp": 11,
        "sweeps/one/chains/0000.yaml": 13,
        "failures/ab/x.json": 17,
        f"artefacts/ab/{'a' * 64}.1.checkpoint.tmp": 19,
        f"records/ab/{'a' * 64}.json.12345678.damaged": 23,
        f"data/{'a' * 64}.lease": 29,
        "imports/tmpx.tmp/records/ab/half.json": 31,
        "verifications/7/records/ab/x.json": 37,
        "verifications/7/artefacts/ab/x.tmp": 41,
    }
    for name, count in put.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * count)
    found = sizes(Store(tmp_path))
    assert {part: (len(each), sum(each)) for part, each in found.items()} == {
        "artefacts": (4, sum(len(artefact(at, at / 8)) for at in range(4))),
        "records": (1, len(record.to_json())),
        "failures": (1, 17),
        "data": (1, 7),
        "downloads": (1, 11),
        "sweeps": (1, 13),
        "verifications": (1, 37),
        "leftovers": (5, 19 + 23 + 29 + 31 + 41),
    }


# ---- what a record needs


def test_with_the_same_code_every_place_is_known_even_of_what_is_missing(tmp_path: Path) -> None:
    record = stock(tmp_path)
    stock(tmp_path, seed=1)
    lost = place(tmp_path, record, "control")
    lost.unlink()
    found = Holdings(Store(tmp_path)).needs(record)
    assert [(need.stage, need.state) for need in found] == [
        ("clean", "present"), ("backdoored", "present"), ("defended", "present"), ("control", "missing"),
    ]  # fmt: skip
    assert [need.path for need in found[:3]] == [place(tmp_path, record, need.stage) for need in found[:3]]
    assert (found[3].path, found[3].bytes, found[0].bytes) == (lost, 0, len(artefact(0.0, 0.0)))


def test_with_other_code_artefacts_are_found_by_their_tensors(tmp_path: Path) -> None:
    record = stock(tmp_path, key=STRANGER)
    assert planned(record) is None and set(states(tmp_path, record).values()) == {"present"}
    place(tmp_path, record, "clean").unlink()
    found = {need.stage: need for need in Holdings(Store(tmp_path)).needs(record)}
    assert (found["clean"].path, found["clean"].state) == (None, "missing")
    assert found["defended"].path == Store(tmp_path).artefact(STRANGER)
    assert found["control"].path == place(tmp_path, record, "control")


def test_of_twins_the_one_with_the_right_costs_is_taken_else_the_first(tmp_path: Path) -> None:
    record, shelf = stock(tmp_path, key=STRANGER), Store(tmp_path)
    own = place(tmp_path, record, "backdoored")
    for name in ("0" * 64, "f" * 64):
        publish(shelf.artefact(name), artefact(1.0, seconds=77.0))
    assert Holdings(shelf).needs(record)[1].path == own
    own.unlink()
    assert Holdings(shelf).needs(record)[1].path == shelf.artefact("0" * 64)


def test_a_place_that_holds_something_else_is_told(tmp_path: Path) -> None:
    record = stock(tmp_path)
    clean, control = place(tmp_path, record, "clean"), place(tmp_path, record, "control")
    clean.write_bytes(artefact(99.0))
    control.write_bytes(artefact(3.0)[:-1])
    assert states(tmp_path, record) == {
        "clean": "other tensors", "backdoored": "present", "defended": "present", "control": "damaged",
    }  # fmt: skip


def test_a_run_that_was_not_applicable_needs_nothing(tmp_path: Path) -> None:
    record = changed(stock(tmp_path), {"weights": {}})
    assert Holdings(Store(tmp_path)).needs(record) == []


def test_a_store_from_a_graphics_card_is_understood_without_one(tmp_path: Path) -> None:
    record = stock(tmp_path)
    chosen = {**record.config, "device": "auto"}
    key = keys.plan({**chosen, "device": "cuda"}, record.provenance.dataset).run
    origin = {**record.provenance.model_dump(), "device": "A card 3000"}
    plan = planned(changed(record, {"config": chosen, "key": key, "provenance": origin}))
    assert plan is not None and plan.run == key != record.key


@pytest.mark.parametrize(
    "section",
    [
        {"attack": {"_target_": "baselines.attacks.badnets.BadNets", "picture_path": "/dev/zero"}},
        {"defense": {"_target_": "baselines.defenses.strip.Strip", "deep": [{"path": "/dev/zero"}]}},
        {"attack": {"_target_": "no.such.Thing"}},
        {"attack": {"_target_": 7}},
        {"attack": {}},
        {"attack": None},
        {"recipe": []},
        {"recipe": {"precision": {}}},
        {"dataset": "digits"},
    ],
)
def test_a_configuration_from_anywhere_does_no_harm(section: dict[str, Any], tmp_path: Path) -> None:
    record = stock(tmp_path)
    assert planned(changed(record, {"config": {**record.config, **section}})) is None


def test_a_configuration_that_lacks_everything_does_no_harm(tmp_path: Path) -> None:
    assert planned(changed(stock(tmp_path), {"config": {}})) is None


# ---- what is unused


def test_what_no_record_needs_is_unused(tmp_path: Path) -> None:
    shelf, records = Store(tmp_path), [stock(tmp_path), stock(tmp_path, seed=1, key=STRANGER)]
    idle = [shelf.artefact("0" * 64), shelf.artefact("f" * 64)]
    for path in idle:
        publish(path, artefact(99.0))
    assert Holdings(shelf).unused(records) == idle
    assert Holdings(shelf).unused(records[:1]) == sorted(
        [*idle, *(place(tmp_path, records[1], stage) for stage in records[1].weights)]
    )
    assert Holdings(shelf).unused([]) == Holdings(shelf).paths


def test_what_lies_in_a_records_place_is_kept_whatever_it_holds(tmp_path: Path) -> None:
    record = stock(tmp_path)
    place(tmp_path, record, "clean").write_bytes(artefact(99.0))
    assert Holdings(Store(tmp_path)).unused([record]) == []


# ---- what is damaged


def test_a_sound_store_has_no_problems_nor_has_one_that_lost_victims(tmp_path: Path) -> None:
    record = stock(tmp_path)
    assert list(problems(Store(tmp_path))) == []
    place(tmp_path, record, "clean").unlink()
    (tmp_path / "records" / "notes.txt").write_text("mine")
    assert list(problems(Store(tmp_path))) == []


def cut(folder: Path, record: Record) -> str:
    path = place(folder, record, "clean")
    path.write_bytes(path.read_bytes()[:-1])
    return f"{path}: is damaged"


def exchanged(folder: Path, record: Record) -> str:
    path = place(folder, record, "clean")
    path.write_bytes(artefact(99.0))
    return f"clean: {path} holds other tensors"


def defended_exchanged(folder: Path, record: Record) -> str:
    path = place(folder, record, "defended")
    path.write_bytes(artefact(99.0))
    return f"defended: {path} holds other tensors"


def emptied(folder: Path, record: Record) -> str:
    Store(folder).record(record.key).write_bytes(b"")
    return "is no JSON"


def renamed(folder: Path, record: Record) -> str:
    path = Store(folder).record(record.key)
    path.with_name(f"{record.key[:2]}{'0' * 62}.json").write_bytes(path.read_bytes())
    return f"its key is {record.key}"


@pytest.mark.parametrize("wound", [cut, exchanged, defended_exchanged, emptied, renamed])
def test_every_wound_is_one_problem(wound: Callable[[Path, Record], str], tmp_path: Path) -> None:
    record = stock(tmp_path, seed=1)
    stock(tmp_path, seed=2)
    told = wound(tmp_path, record)
    (found,) = problems(Store(tmp_path))
    assert told in found


def test_a_record_of_other_code_is_held_to_the_defended_artefact(tmp_path: Path) -> None:
    record = stock(tmp_path, key=STRANGER)
    defended_exchanged(tmp_path, record)
    assert len(list(problems(Store(tmp_path)))) == 1


# ---- a real run, and the script


def test_a_runs_own_store(store: Path) -> None:
    chosen = config("architecture.network.width=8", store=store)
    record = benchmark.run(chosen)
    assert states(store, record) == dict.fromkeys(("clean", "backdoored", "defended", "control"), "present")
    assert planned(record) is not None and list(problems(Store(store))) == []
    assert Holdings(Store(store)).unused([record]) == []


def test_the_script_shows_sizes_and_needs_and_verifies(tmp_path: Path) -> None:
    record = stock(tmp_path)
    done = here("scripts/store.py", "size", "--store", str(tmp_path))
    assert done.returncode == 0 and done.stdout.splitlines()[-1].split()[:2] == ["total", "5"]
    for name in (record.key, str(Store(tmp_path).record(record.key))):
        done = here("scripts/store.py", "needs", name, POSTERN_STORE=str(tmp_path))
        assert [line.split()[:2] for line in done.stdout.splitlines()] == [
            [stage, "present"] for stage in ("clean", "backdoored", "defended", "control")
        ]
    done = here("scripts/store.py", "verify", "--store", str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "4 artefacts and 1 records are sound\n")
    told = cut(tmp_path, record)
    done = here("scripts/store.py", "verify", "--store", str(tmp_path))
    assert done.returncode == 1 and told in done.stdout
    assert done.stderr == "postern: problems found: 1, in 4 artefacts and 1 records\n"


@pytest.mark.parametrize("arguments", [("needs", "0" * 64), ("needs", "nothing.json"), ("size", "--store", "docs")])
def test_what_is_not_there_is_bad_input(arguments: tuple[str, ...], tmp_path: Path) -> None:
    stock(tmp_path)
    done = here("scripts/store.py", *arguments, POSTERN_STORE=str(tmp_path))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
