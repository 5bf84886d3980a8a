"""Artefacts are published whole and once, verified when read, never unpickled; records alike."""

from __future__ import annotations

import ast
import json
import random
import resource
import sys
import threading
from collections.abc import Callable
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from conftest import ROOT, config, files

import benchmark
from benchmark import store as stores
from benchmark.artefact import pack_defended, packed, part, unpack_defended
from benchmark.seal import Artefact, Damaged, verified
from benchmark.store import Store, publish
from benchmark.types import Defended

FACTS = {"ca": [9, 10], "costs": {"seconds": 0.25}, "curve": [1.5, 0.5]}


@cache
def sample(fill: float = 1.0) -> bytes:
    state = {"weight": torch.full((3, 5), fill), "steps": torch.tensor(7)}
    return packed({"victim": state, "secret": {"patch": torch.arange(6, dtype=torch.uint8)}}, FACTS)


def place(folder: Path) -> Path:
    return Store(folder).artefact("ab" + "0" * 62)


# ---- published whole and create-only


def test_what_is_stored_is_what_is_read(tmp_path: Path) -> None:
    path = place(tmp_path)
    assert publish(path, sample()) and path == tmp_path / "artefacts" / "ab" / f"ab{'0' * 62}.safetensors"
    found = verified(path)
    assert found.facts == FACTS
    assert torch.equal(part(found, "victim")["weight"], torch.ones(3, 5)) and int(part(found, "victim")["steps"]) == 7
    assert part(found, "secret")["patch"].tolist() == [0, 1, 2, 3, 4, 5] and part(found, "nothing") == {}


def test_whoever_is_first_wins(tmp_path: Path) -> None:
    path = place(tmp_path)
    assert publish(path, sample(1.0)) and not publish(path, sample(2.0))
    assert path.read_bytes() == sample(1.0)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "the loser's file is dropped"


def test_the_digest_tells_tensors_apart_and_ignores_facts(tmp_path: Path) -> None:
    variants = {
        "same": ({"a": torch.ones(4)}, {}),
        "facts": ({"a": torch.ones(4)}, {"x": 1}),
        "value": ({"a": torch.tensor([1.0, 1, 1, 2])}, {}),
        "shape": ({"a": torch.ones(2, 2)}, {}),
        "name": ({"b": torch.ones(4)}, {}),
        "dtype": ({"a": torch.ones(4).view(torch.int32)}, {}),
    }
    digests = {}
    for name, (state, facts) in variants.items():
        publish(tmp_path / name, packed({"state": state}, facts))
        digests[name] = verified(tmp_path / name).digest
    assert digests["same"] == digests["facts"]
    assert len(set(digests.values())) == len(variants) - 1


def test_an_artefact_may_hold_no_tensor(tmp_path: Path) -> None:
    publish(tmp_path / "found", pack_defended(Defended(), {"ca": [1, 2]}))
    found = verified(tmp_path / "found")
    assert unpack_defended(found) == Defended() and found.facts["ca"] == [1, 2]


def test_a_defended_comes_back_whole(tmp_path: Path) -> None:
    whole = Defended(
        state={"w": torch.randn(3)}, suspicion=torch.randn(5), flagged=torch.tensor([True, False]), verdict=2.5,
        detected=True, suspect=3, evidence={"mask": torch.rand(1, 2, 2)},
    )  # fmt: skip
    publish(tmp_path / "found", pack_defended(whole, {}))
    again = unpack_defended(verified(tmp_path / "found"))
    assert (again.verdict, again.detected, again.suspect) == (2.5, True, 3)
    assert torch.equal(again.state["w"], whole.state["w"]) and torch.equal(again.suspicion, whole.suspicion)
    assert torch.equal(again.flagged, whole.flagged) and torch.equal(again.evidence["mask"], whole.evidence["mask"])


def _obtain_many(folder: Path, barrier: Callable[[], object], fill: float) -> list[str]:
    """Obtain ten artefacts, all makers at once, ignoring leases as makers on a lossy file system might."""
    stores.Lease.__enter__ = lambda lease: setattr(lease, "heart", threading.Thread()) or lease
    stores.Lease.__exit__ = lambda lease, *_: None
    found = []
    for number in range(10):
        barrier()
        path = Store(folder).artefact(f"{number:064x}")
        found.append(Store(folder).obtain(path, lambda: sample(fill)).digest)
    return found


def _process(folder: Path, barrier: object, fill: float, results: object) -> None:
    results.put((fill, _obtain_many(folder, barrier.wait, fill)))  # type: ignore[attr-defined]


@pytest.mark.parametrize("makers", [4])
def test_processes_that_make_one_artefact_agree_on_the_winner(makers: int, tmp_path: Path) -> None:
    context = get_context("fork")
    barrier, results = context.Barrier(makers), context.Queue()
    crew = [context.Process(target=_process, args=(tmp_path, barrier, float(fill), results)) for fill in range(makers)]
    for process in crew:
        process.start()
    seen = dict(results.get(timeout=60) for _ in crew)
    for process in crew:
        process.join()
    assert len({tuple(digests) for digests in seen.values()}) == 1, "every maker loaded the winner"
    paths = sorted((tmp_path / "artefacts").glob("*/*"))
    assert [path.name for path in paths] == [f"{number:064x}.safetensors" for number in range(10)]
    assert [verified(path).digest for path in paths] == seen[0.0]


def test_threads_with_leases_make_one_artefact_once(tmp_path: Path) -> None:
    path, made, found = place(tmp_path), [], []
    barrier = threading.Barrier(4)

    def make(fill: float) -> bytes:
        made.append(fill)
        return sample(fill)

    def work(fill: float) -> None:
        barrier.wait()
        found.append(Store(tmp_path).obtain(path, lambda: make(fill)).digest)

    threads = [threading.Thread(target=work, args=(float(fill),)) for fill in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and set(found) == {verified(path).digest} and len(found) == 4
    assert path.read_bytes() == sample(made[0])
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no lease is left"


def test_a_maker_that_fails_leaves_nothing_and_the_next_may_try(tmp_path: Path) -> None:
    path = place(tmp_path)
    with pytest.raises(RuntimeError, match="no luck"):
        Store(tmp_path).obtain(path, lambda: _fail("no luck"))
    assert list(path.parent.iterdir()) == []
    assert Store(tmp_path).obtain(path, sample).facts == FACTS


def _fail(message: str) -> bytes:
    raise RuntimeError(message)


def test_a_write_that_fails_leaves_no_file(tmp_path: Path) -> None:
    path, (soft, hard) = place(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(sample()) // 2, hard))  # as on a full disk
    try:
        with pytest.raises(OSError, match="too large"):
            publish(path, sample())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(path.parent.iterdir()) == []


# ---- verified when read


def test_every_truncation_is_damage(tmp_path: Path) -> None:
    whole, draw = sample(), random.Random(0)
    for end in {0, 1, 7, 8, 9, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(60))}:
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(Damaged):
            verified(tmp_path / "cut")
    (tmp_path / "longer").write_bytes(whole + b"\0")
    with pytest.raises(Damaged):
        verified(tmp_path / "longer")


def test_every_flipped_bit_is_damage(tmp_path: Path) -> None:
    """In the header, the facts, the seal, the tensors."""
    whole, draw = sample(), random.Random(1)
    for at in draw.sample(range(len(whole)), 200):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << draw.randrange(8)
        (tmp_path / "flipped").write_bytes(flipped)
        with pytest.raises(Damaged):
            verified(tmp_path / "flipped")


def test_a_changed_fact_is_damage(tmp_path: Path) -> None:
    """Scores are facts: a header edited by hand, still well-formed, must not be believed."""
    whole = sample()
    for old, new in ((rb"\"ca\": [9, 10]", rb"\"ca\": [8, 10]"), (rb"0.25", rb"0.26")):
        assert whole.count(old) == 1
        (tmp_path / "edited").write_bytes(whole.replace(old, new))
        with pytest.raises(Damaged, match="seal"):
            verified(tmp_path / "edited")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"\xff" * 16, b"\x02" + b"\0" * 7 + b"{}", b"\x02" + b"\0" * 7 + b"[]", b"PK\x03\x04 a pickle"],
)
def test_strangers_are_damage(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "stranger").write_bytes(content)
    with pytest.raises(Damaged):
        verified(tmp_path / "stranger")


def test_a_damaged_artefact_is_set_aside_and_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = place(tmp_path)
    publish(path, sample(1.0)[:-3])
    found = Store(tmp_path).obtain(path, lambda: sample(2.0))
    assert isinstance(found, Artefact) and path.read_bytes() == sample(2.0)
    (aside,) = path.parent.glob("*.damaged")
    assert aside.read_bytes() == sample(1.0)[:-3]
    assert "is damaged" in caplog.text and aside.name in caplog.text
    assert Store(tmp_path).obtain(path, lambda: _fail("made twice")).digest == found.digest


# ---- of a whole run


def test_damage_anywhere_in_a_store_is_mended_by_the_same_command(store: Path) -> None:
    chosen = config("architecture.network.width=8", "defense=random_filter", store=store)
    before = benchmark.run(chosen)
    names = files(store)
    draw = random.Random(2)
    for name in sorted(names):  # one bit in each artefact; the record is cut
        content = bytearray((store / name).read_bytes())
        if name.endswith(".json"):
            content = content[: len(content) // 2]
        else:
            content[-1 - draw.randrange(40)] ^= 4
        (store / name).write_bytes(content)
    again = benchmark.run(chosen)
    assert again.weights == before.weights and again.scores == before.scores
    mended = {name for name in files(store) if not name.endswith(".damaged")}
    assert mended == names and len(files(store) - mended) == len(names)
    assert all(verified(store / name) for name in names if name.endswith(".safetensors"))


@pytest.mark.parametrize("wound", ["cut", "no json", "schema", "field", "nan"])
def test_a_damaged_record_is_set_aside_and_made_again_without_training(wound: str, store: Path) -> None:
    chosen = config("architecture.network.width=8", store=store)
    before = benchmark.run(chosen)
    path = Store(store).record(before.key)
    content = json.loads(path.read_bytes())
    path.write_text(
        {
            "cut": path.read_text()[:500],
            "no json": "\0\0",
            "schema": json.dumps({**content, "schema": 99}),
            "field": json.dumps({**content, "seed": "0"}),
            "nan": path.read_text().replace('"seed": 0,\n "status"', '"seed": NaN,\n "status"'),
        }[wound]
    )
    artefacts = {name: (store / name).read_bytes() for name in files(store) if name.startswith("artefacts")}
    assert benchmark.run(chosen) == before, "costs too: no stage was made again"
    assert len(list(path.parent.glob("*.damaged"))) == 1
    assert {name: (store / name).read_bytes() for name in artefacts} == artefacts


def test_a_failure_is_written_and_a_second_try_clears_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.report import Report

    chosen = config("architecture.network.width=8", store=store)
    complete = Report.complete
    monkeypatch.setattr(Report, "complete", lambda *_: _fail("out of luck"))
    with pytest.raises(RuntimeError, match="out of luck"):
        benchmark.run(chosen)
    (failure,) = store.glob("failures/*/*.json")
    told = json.loads(failure.read_bytes())
    assert "out of luck" in told["error"] and "Traceback" in told["traceback"] and told["config"]["seed"] == 0
    assert not list(store.glob("records/*/*"))
    monkeypatch.setattr(Report, "complete", complete)
    record = benchmark.run(chosen)
    assert told["key"] == record.key and not failure.exists()


# ---- nothing is unpickled

UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
LOADERS = {"torch.load", "np.load", "numpy.load"}
WEIGHTS = ("get_state_dict", "load_state_dict_from_url")  # of torchvision and torch.hub: torch.load below

# What looks like a pickler and is none, and the words in that file that say why.
JUSTIFIED = {
    "benchmark/victims/torchvision_base.py pickle.UnpicklingError": "what torch.load raises for a damaged file",
}


def test_no_source_unpickles() -> None:
    """By the syntax tree: no pickler is imported, nothing that unpickles is called, no denial of it is taken back."""
    found = []
    for folder in ("benchmark", "baselines", "scripts", "hydra_plugins"):
        for path in (ROOT / folder).glob("**/*.py"):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_bytes())):
                found += [f"{name} {what}" for what in _unpickles(node)]
    assert set(found) <= set(JUSTIFIED)
    assert all(JUSTIFIED[place] in (ROOT / place.split()[0]).read_text() for place in found)


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("import pickle", True),
        ("import joblib.numpy_pickle", True),
        ("from pickle import loads as harmless", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=True)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.savez(path, allow_pickle=False)", False),
        ("weights.get_state_dict(weights_only=False)", True),
        ("weights.get_state_dict()", True),
        ("weights.get_state_dict(weights_only=True)", False),
        ("json.loads(text)", False),
    ],
)
def test_unpicklers_are_recognised(code: str, caught: bool) -> None:
    assert bool([what for node in ast.walk(ast.parse(code)) for what in _unpickles(node)]) == caught


def _unpickles(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS]
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        named = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name for name in named if node.module.split(".")[0] in UNPICKLERS or name in LOADERS]
    if isinstance(node, ast.Attribute) and ast.unparse(node) in LOADERS:
        return [ast.unparse(node)]
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
        return [] if ast.unparse(node.value) == "False" else ["allow_pickle"]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(WEIGHTS):
        safe = any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in node.keywords)
        return [] if safe else [ast.unparse(node.func)]
    return []


def test_a_run_and_its_replay_unpickle_nothing(store: Path) -> None:
    """Not by any library below us either: a live audit of `pickle.find_class`, which every harmful pickle needs."""
    seen: list[str] = []
    watching = True
    sys.addaudithook(lambda event, args: seen.append(str(args)) if watching and event == "pickle.find_class" else None)
    chosen = config("architecture.network.width=8", "defense=random_rejection", store=store)
    assert benchmark.run(chosen) == benchmark.run(chosen)
    watching = False
    assert seen == []
