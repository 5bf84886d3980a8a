"""What is run again, what cannot be, and how near a run in another environment must come."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import tree
from PIL import Image
from synthetic import synthetic

from benchmark.admitting import rerun
from benchmark.admitting.comparing import Difference, apart, unequal
from benchmark.data import cache
from benchmark.record import Record
from benchmark.results.leaderboard import cells
from benchmark.store import Store

# ---- in another environment

COUNT = {"hits": 500, "n": 1000}
SEPARATION = {"auroc": 0.9, "tpr_at_1": 0.5, "tpr_at_5": 0.6, "positives": 100, "negatives": 1000}
ROWS: Mapping[str, Any] = {
    "separation": SEPARATION,
    "within_target": SEPARATION,
    **dict.fromkeys(("precision", "recall", "false_flags", "control_flags"), COUNT),
}
INPUTS: Mapping[str, Any] = {"separation": SEPARATION, "successful": SEPARATION}
VERDICT = {"score": 3.0, "detected": True, "suspect": 0, "correct": True}
MODEL: Mapping[str, Any] = {"backdoored": VERDICT, "control": {**VERDICT, "correct": None}}
PROBES = {"near": {"clean": COUNT, "defended": COUNT}}
SHAM = dict.fromkeys(("ca", "asr", "ra"), COUNT)


def run(rows: object = ROWS, inputs: object = INPUTS, model: object = MODEL, **changes: Any) -> Record:
    """A record with all that can be measured."""
    detection = {"rows": rows, "inputs": inputs, "model": model}
    return synthetic(**{"detection": detection, "probes": PROBES, "rows__challenge": 400, **changes})


NEAR: Mapping[str, Record] = {
    "itself": run(),
    "counts": run({**ROWS, "recall": {"hits": 540, "n": 1000}}),
    "flags of other rows": run({**ROWS, "precision": {"hits": 40, "n": 90}}),
    "flags of no row": run({**ROWS, "precision": {"hits": 0, "n": 0}}),
    "an area": run({**ROWS, "within_target": {**SEPARATION, "auroc": 0.86}}),
    "successes": run(inputs={**INPUTS, "successful": {**SEPARATION, "positives": 110}}),
    "a verdict": run(model={**MODEL, "backdoored": {**VERDICT, "detected": False, "suspect": 3, "score": None}}),
    "a score": run(scores__clean__ca={"hits": 960, "n": 1000}),
    "a probe": run(probes={"near": {**PROBES["near"], "clean": {"hits": 530, "n": 1000}}}),
    "costs": run(costs__clean__seconds=1e6),
}  # fmt: skip
FAR: Mapping[str, tuple[Record, str]] = {
    "score": (run(scores__clean__ca={"hits": 900, "n": 1000}), "scores.clean.ca is {}: their intervals do not meet"),
    "n of a score": (run(scores__clean__ca={"hits": 9, "n": 10}), "scores.clean.ca is asked of "),
    "n of a probe": (run(probes={"near": {**PROBES["near"], "clean": {"hits": 5, "n": 10}}}), "probes.'near'.clean is asked of "),
    "probe": (run(probes={"near": {**PROBES["near"], "clean": {"hits": 9, "n": 1000}}}), "probes.'near'.clean is "),
    "sham": (run(scores__sham=SHAM), "scores.sham.ca is "),
    "no probe": (run(probes={}), "probes.'near'.clean is "),
    "another probe": (run(probes={**PROBES, "far": PROBES["near"]}), "probes.'far'.clean is "),
    "a probe's victim": (run(probes={"near": {"clean": COUNT}}), "probes.'near'.defended is "),
    "no table of rows": (run(rows=None), "detection.rows is "),
    "no table of inputs": (run(inputs=None), "detection.inputs is "),
    "no verdicts": (run(model=None), "detection.model is "),
    "no detection": (run(detection=None), "detection.rows is "),
    "no flags": (run({**ROWS, "control_flags": None}), "detection.rows.control_flags is "),
    "flags": (run({**ROWS, "false_flags": {"hits": 600, "n": 1000}}), "detection.rows.false_flags is "),
    "no area": (run({**ROWS, "separation": {**SEPARATION, "auroc": None}}), "detection.rows.separation.auroc is "),
    "area": (run({**ROWS, "within_target": {**SEPARATION, "auroc": 0.8}}), "detection.rows.within_target.auroc is "),
    "area of inputs": (run(inputs={**INPUTS, "separation": {**SEPARATION, "auroc": 0.99}}), "detection.inputs.separation.auroc is "),
    "successes": (run(inputs={**INPUTS, "successful": {**SEPARATION, "positives": 2}}), "detection.inputs.successful.positives is "),
    "rows": (run(rows__poisoned=61), "rows.poisoned is "),
    "access": (run(methods__defense__needs=["labels"]), "methods.defense.needs is "),
}  # fmt: skip


@pytest.mark.parametrize("other", NEAR.values(), ids=NEAR.keys())
def test_what_another_processor_may_change(other: Record) -> None:
    assert apart(run(), other) is None and apart(other, run()) is None


@pytest.mark.parametrize(("other", "reason"), FAR.values(), ids=FAR.keys())
def test_what_it_may_not(other: Record, reason: str) -> None:
    """Whichever of the two is the stranger's."""
    first, second = apart(other, run()), apart(run(), other)
    assert first is not None and second is not None and first != second, "both numbers are told, theirs first"
    begins = reason.partition("{}")[0]
    for found in (first, second):
        assert found.reason.startswith(begins)
        by_chance = found.reason.endswith("their intervals do not meet")
        assert found.cause == ("chance" if by_chance else "record"), "rows and tables no chance changes"
    assert reason.rpartition("{}")[2] in first.reason


def test_words_tell_both_sides() -> None:
    assert apart(run(rows=None), run()) == Difference("detection.rows is missing, here it is there")
    assert apart(run(), run(rows=None)) == Difference("detection.rows is there, here it is missing")
    far = run({**ROWS, "separation": {**SEPARATION, "auroc": 0.5}})
    met = "detection.rows.separation.auroc is 0.5000, here 0.9000: their intervals do not meet"
    assert apart(far, run()) == Difference(met, "chance")


def test_few_rows_widen_an_area() -> None:
    """Hanley and McNeil's interval of 0.9 is [0.86, 0.94] for 100 against 1000 rows, and [0.69, 1] for 4 against 40."""

    def area(auroc: float, **rows: int) -> Record:
        return run(inputs={**INPUTS, "separation": {**SEPARATION, "auroc": auroc, **rows}})

    assert "do not meet" in str(apart(area(0.75), area(0.9)))
    few = {"positives": 4, "negatives": 40}
    assert apart(area(0.75, **few), area(0.9, **few)) is None


SHOWN: Mapping[str, Mapping[str, Any]] = {
    "stealth.train.psnr": {"stealth__train__psnr": 99.0},
    "curves.clean": {"curves__clean": [9.0]},
    "weights.clean": {"weights__clean": "0" * 64},
    "evidence.clean_inputs": {"evidence__clean_inputs": None},
}


@pytest.mark.parametrize(("name", "change"), SHOWN.items(), ids=SHOWN.keys())
def test_in_the_same_environment_what_is_shown_is_equal_too(name: str, change: Mapping[str, Any]) -> None:
    found = unequal(run(), run(**change).model_copy(update={"key": run().key}))
    assert found is not None and found.reason.startswith(f"{name} is ") and found.cause == "chance"


def test_other_packages_draw_otherwise_and_show_a_trigger_as_visible() -> None:
    versions = {**run().provenance.versions, "numpy": "9"}
    for name, change in SHOWN.items():
        other = run(provenance__versions=versions, **change).model_copy(update={"key": run().key})
        for found in (unequal(other, run()), apart(other, run())):
            assert (found is not None) == (name == "stealth.train.psnr")
    near = run().stealth
    assert near is not None and near.train.psnr is not None
    assert apart(run(stealth__train__psnr=1.05 * near.train.psnr), run()) is None
    more = run(stealth__test__unchanged=near.test.n)
    assert "stealth.test.unchanged is 200 of 200, here 0 of 200" in str(apart(more, run()))


def test_a_record_that_does_not_tell_how_visible_its_trigger_is_is_compared_without() -> None:
    """As older ones do not."""
    old = run().model_copy(update={"stealth": None})
    assert unequal(old, run()) is None and apart(old, run()) is None
    assert "stealth.train.unchanged is there, here it is missing" in str(apart(run(), old))


def test_in_the_same_environment_nothing_may_differ() -> None:
    assert unequal(run(), NEAR["costs"].model_copy(update={"key": run().key})) is None
    for name, other in NEAR.items():
        same = unequal(run(), other.model_copy(update={"key": run().key}))
        assert (same is None) == (name in ("itself", "costs"))
    assert "has the key" in str(unequal(run(), run(seed=1)))


# ---- what cannot be run again

DIGITS = "benchmark.data.digits.Digits"
SLICE = ("dataset=gtsrb_slice", "recipe.epochs=1")
CLASSES = (6, 14, 15, 16, 22, 23, 26, 28, 30, 34, 36, 40)


def picture(level: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (level, level, level)).save(stream, "PNG")
    return stream.getvalue()


def traffic_signs(folder: Path, level: int = 0) -> Path:
    """A tiny data set in the form of conf/dataset/gtsrb_slice.yaml: two tracks of two pictures a class."""
    folder.mkdir(parents=True)
    labels = [label for label in CLASSES for _ in range(4)]
    names = [f"{label:05d}_{number:05d}_{frame:05d}.png" for label in CLASSES for number in (0, 1) for frame in (0, 1)]
    pictures = [{"bytes": picture(level + row), "path": name} for row, name in enumerate(names)]
    for split in ("train", "test"):
        pq.write_table(pa.table({"image": pictures, "label": labels}), folder / f"{split}.parquet")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the folder that the yaml names."""
    monkeypatch.chdir(tmp_path)
    traffic_signs(tmp_path / "data" / "gtsrb")
    return tmp_path


def signs(store: Path, digest: str | None = None, **options: Any) -> Record:
    """A record on the slice, with methods that are installed."""
    section = {**section_of(store), **options}
    return ours(config__dataset=section, provenance__dataset=digest or "0" * 64)


def ours(**changes: Any) -> Record:
    methods = {"attack": "baselines.attacks.badnets.BadNets", "defense": "baselines.defenses.fine_tuning.FineTuning"}
    named = {f"config__{part}___target_": target for part, target in methods.items()}
    return synthetic(**{"config__device": "cpu", **named, **changes})


def section_of(store: Path) -> Mapping[str, Any]:
    section: Any = tree(*SLICE, store=store)["dataset"]
    return dict(section)


def test_a_path_that_a_yaml_names_is_read_where_it_lies(here: Path) -> None:
    store = here / "store"
    digest = cache.digest(section_of(store), Store(store))
    assert rerun.obstacle(signs(store, digest), store) is None
    assert rerun.obstacle(signs(store, digest, clean=0.1), store) is None, "trusted rows are no matter of decoding"
    assert rerun.obstacle(signs(store, digest, size=16), store) == "dataset.path='data/gtsrb': holds other rows here"
    assert "holds other rows here" in (rerun.obstacle(signs(store), store) or "")
    assert "cannot be read here" in (rerun.obstacle(signs(store, digest, image="none"), store) or "")
    assert "cannot be read here" in (rerun.obstacle(signs(store, digest, mood="good"), store) or "")


def test_a_path_that_is_not_here_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert rerun.obstacle(signs(tmp_path), tmp_path) == "dataset.path='data/gtsrb': is not here"


@pytest.mark.parametrize(
    "options",
    [
        {"path": "mine"},
        {"path": "./data/gtsrb"},
        {"path": "data/gtsrb/"},
        {"path": "owner/name"},
        {"path": ["data/gtsrb", "mine"]},
        {"path": "data/gtsrb", "classes": {"path": "mine"}},
        {"path": "data/gtsrb", "classes": [[{"picture_path": "mine"}]]},
        {"path": "data/gtsrb", "revision_path": "mine"},
        {"path": None, "label_path": "data/gtsrb"},
        {"path": "data/gtsrb", "_target_": "benchmark.data.digits.Digits"},
    ],
    ids=str,
)
def test_a_path_that_only_a_stranger_names_is_not_opened(
    here: Path, options: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic_signs(here / "mine")
    record, opened, exists = signs(here / "store", **options), list[str](), Path.exists
    monkeypatch.setattr(rerun.decoded, "digest", lambda section, shelf: opened.append("data"))
    monkeypatch.setattr(Path, "exists", lambda path: opened.append(path.name) or exists(path))
    reason = rerun.obstacle(record, here / "store")
    assert reason is not None and "no yaml in conf/dataset names it for this constructor" in reason
    assert not {"data", "gtsrb", "mine", "name"} & set(opened) and "\n" not in reason


def test_a_data_set_that_is_no_path_is_decoded(tmp_path: Path) -> None:
    digits = ours()
    assert rerun.obstacle(digits, tmp_path) is None
    assert rerun.obstacle(ours(provenance__dataset="0" * 64), tmp_path) == f"{DIGITS!r}: holds other rows here"
    unset = ours(config__dataset={**digits.config["dataset"], "path": None})
    assert "cannot be read here" in (rerun.obstacle(unset, tmp_path) or ""), "an option that names no file is none"


def test_a_data_set_that_cannot_be_downloaded_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def fail(section: Mapping[str, Any], shelf: Store) -> str:
        tried.append(section)
        raise OSError("no route to host")

    monkeypatch.setattr(rerun.decoded, "digest", fail)
    able, unable = rerun.feasible(cells([ours(), ours(config__attack__rate=0.2)]), tmp_path)
    assert not able and len(tried) == 1
    assert [reason for _, reason in unable] == [f"{DIGITS!r}: cannot be read here ('no route to host')"] * 2


def test_cells_are_told_apart_by_all_that_is_never_pooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = dict(ours().config["architecture"]) | {"_target_": "benchmark.victims.image_classifier.Other"}
    monkeypatch.setattr(rerun, "obstacle", lambda record, store: "no")
    _, unable = rerun.feasible(cells([ours(), ours(config__architecture=other)]), tmp_path)
    assert len({name for name, _ in unable}) == len(unable) == 2


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), "machine"),
        (torch.OutOfMemoryError("CUDA out of memory"), "machine"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "machine"),
        (OSError("No space left on device"), "machine"),
        (RuntimeError("shapes differ"), "record"),
        (ValueError("no such class"), "record"),
    ],
    ids=str,
)
def test_what_the_machine_lacks_is_no_fault_of_the_record(
    error: Exception, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Mapping[str, Any]) -> Record:
        raise error

    monkeypatch.setattr(rerun, "run", fail)
    found = rerun.difference(ours(), tmp_path)
    assert found is not None and found.cause == cause and found.reason.startswith("running it again failed: ")


def test_a_method_or_a_device_that_is_not_here_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = ours(config__defense___target_="mine.curtain.Curtain")
    assert rerun.obstacle(absent, tmp_path) == "mine.curtain.Curtain is not installed"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no such device here" in (rerun.obstacle(ours(config__device="cuda"), tmp_path) or "")
    odd = rerun.obstacle(ours(config__device="cuda:\x1b[2J\nfine"), tmp_path) or ""
    assert "must be auto" in odd and odd.isprintable()


def test_cells_that_cannot_be_run_are_told_once_each(tmp_path: Path) -> None:
    theirs = [ours(config__defense___target_="mine.curtain.Curtain", seed=seed) for seed in range(3)]
    theirs += [ours(config__defense___target_="mine.drape.Drape")]
    here = [ours(seed=seed) for seed in range(3)]
    able, unable = rerun.feasible(cells([*theirs, *here]), tmp_path)
    assert [[record.key for record in cell.records] for cell in able] == [[record.key for record in here]]
    reasons = sorted(reason for _, reason in unable)
    assert reasons == ["mine.curtain.Curtain is not installed", "mine.drape.Drape is not installed"]
    assert any(name.startswith("'Curtain' against 'BadNets") and "on 'Digits'" in name for name, _ in unable)


def test_one_seed_that_cannot_be_run_keeps_its_cell_from_being_drawn(here: Path) -> None:
    """Where the files lie is no part of an identity, so seeds of a cell may name several places."""
    store = here / "store"
    digest = cache.digest(section_of(store), Store(store))
    first, second = signs(store, digest), signs(store, digest, path="mine")
    second = second.model_copy(update={"identity": first.identity, "seed": 1})
    (cell,) = cells([first, second])
    able, unable = rerun.feasible([cell], store)
    assert not able and "dataset.path='mine'" in unable[0][1]


def test_cells_that_nobody_has_reproduced_are_drawn_from() -> None:
    """Padding with what is trusted already must not take the draws."""
    records = [synthetic("BadNets", defense, seed) for defense in ("FineTuning", "Abl") for seed in (0, 1)]
    found = cells(records)
    new = next(cell for cell in found if "Abl" in cell.label["defense"])
    for mark in ("reported", "not reproduced"):
        assert rerun.doubted(found, {new.records[1].key: mark}) == [new]
    assert rerun.doubted(found, {new.records[1].key: "reproduced"}) == found == rerun.doubted(found, {})
