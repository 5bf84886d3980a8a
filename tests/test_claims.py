"""What a record says of methods and numbers, held against sources that are parsed and rows that it has."""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from synthetic import N, synthetic

from benchmark import sources
from benchmark.admitting import claims
from benchmark.admitting.claims import Residents
from benchmark.admitting.counts import check_counts
from benchmark.admitting.facts import STATED, stated
from benchmark.errors import BadInput
from benchmark.methods import methods
from benchmark.record import Record, load

numbers = itertools.count()
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Source -> the name of a module that can be found; a new one each time, since what was parsed is cached."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(source: str) -> str:
        name = f"stated_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        sources._file.cache_clear()
        return name

    return written


# ---- what sources say


@pytest.mark.parametrize(
    ("group", "target"), [(group, target) for group in STATED for target in sorted({m.target for m in methods(group)})]
)
def test_every_method_here_says_what_its_class_has(group: str, target: str) -> None:
    module, _, name = target.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    values = {fact: getattr(found, fact) for fact in STATED[group]}
    assert stated(group, target) == {fact: v if isinstance(v, str) else sorted(v) for fact, v in values.items()}


def test_what_a_base_says_counts() -> None:
    spectral = stated("defense", "baselines.defenses.spectral_signatures.SpectralSignatures")
    assert spectral == {"family": "filter", "needs": ["train", "weights"]}, "both are RowFilter's"
    scan = stated("defense", "baselines.defenses.scan.Scan")
    assert scan == {"family": "filter", "needs": ["clean", "train", "weights"]}, "one is, the other its own"
    assert stated("attack", "baselines.attacks.badnets.BadNets") == {"ships": "data", "needs": ["train"]}, "the core's"


DEFENSE = {"family": "filter", "needs": ["clean", "labels"]}
BODIES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "both": ("family, needs = 'filter', frozenset({'labels', 'clean'})", DEFENSE),
    "with types": ("family: str = 'filter'\n    needs: frozenset[str] = frozenset(('clean', 'labels'))", DEFENSE),
    "a set": ("family = 'filter'\n    needs = {'labels', 'clean'}", DEFENSE),
    "a list twice": ("family = 'filter'\n    needs = frozenset(['labels', 'clean', 'clean'])", DEFENSE),
    "the last": ("family = 'repair'\n    needs = {'clean', 'labels'}\n    family = 'filter'", DEFENSE),
    "none": ("family = 'filter'\n    needs = frozenset()", {"family": "filter", "needs": []}),
    "a type alone": ("family: str\n    needs = {'labels'}", {"needs": ["labels"]}),
    "computed": ("family = 'fil' + 'ter'\n    needs = {'labels'} | OTHERS", {}),
    "a property": ("needs = {'labels'}\n    @property\n    def family(self): return 'filter'", {"needs": ["labels"]}),
    "by the instance": ("family = 'filter'\n    needs = {'labels'}\n    def f(self): self.needs = {'x'}", {"family": "filter"}),
    "no text": ("family = 3\n    needs = {1, 2}", {}),
    "under a condition": ("family = 'filter'\n    if True:\n        family = 'repair'\n    needs = {'labels'}", {"needs": ["labels"]}),
}  # fmt: skip


@pytest.mark.parametrize(("body", "found"), BODIES.values(), ids=BODIES.keys())
def test_plain_values_are_read_and_nothing_is_run(body: str, found: Mapping[str, object], write: Write) -> None:
    name = write(f"raise SystemExit('imported')\nfrom benchmark import Defense\nclass Method(Defense):\n    {body}\n")
    assert stated("defense", f"{name}.Method") == found and name not in sys.modules


def test_bases_are_asked_in_pythons_order(write: Write) -> None:
    base = write("class Base:\n    family = 'repair'\n    needs = {'labels'}\nclass Left(Base): pass\n")
    lines = (
        "import {base}",
        "from {base} import Base as Renamed, Left",
        "from nowhere import Unknown",
        "class Right(Renamed):\n    family = 'filter'",
        "class Diamond(Left, Right): pass",
        "class Dotted({base}.Left): pass",
        "class Generic(Left[int]): pass",
        "class Behind(Left, Unknown): pass",
        "class Before(Unknown, Left): pass",
        "class Own(Unknown):\n    family = 'training'",
        "class Loop(Loop): pass",
    )
    name = write("\n".join(lines).format(base=base))
    found = {each: stated("defense", f"{name}.{each}").get("family") for each in ("Diamond", "Dotted", "Generic")}
    assert found == {"Diamond": "filter", "Dotted": "repair", "Generic": "repair"}, "a shared base is asked last"
    assert stated("defense", f"{name}.Behind")["family"] == "repair"
    assert stated("defense", f"{name}.Before") == {}, "what is not here may say something else"
    assert stated("defense", f"{name}.Own") == {"family": "training"}
    assert stated("defense", f"{name}.Loop") == {} and stated("defense", f"{name}.None_") == {}


def test_a_base_of_the_core_is_found_through_its_lazy_package(write: Write) -> None:
    name = write("from benchmark import Attack\nclass Method(Attack):\n    ships = 'model'\n")
    assert stated("attack", f"{name}.Method") == {"ships": "model", "needs": ["train"]}
    assert stated("attack", "nowhere.at.All") == {}


# ---- what records say of methods


def claimed(target: str = "mine.curtain.Curtain", seed: int = 0, **facts: object) -> Record:
    said = {f"methods__defense__{name}": value for name, value in facts.items()}
    return synthetic(defense="Curtain", seed=seed, config__defense___target_=target, **said)


def test_a_family_that_the_source_does_not_have_is_refused() -> None:
    target = "baselines.defenses.spectral_signatures.SpectralSignatures"
    claims._facts(claimed(target, family="filter", needs=["train", "weights"]))
    for lie, name in (
        ({"family": "repair", "needs": ["train", "weights"]}, "family"),
        ({"family": "filter", "needs": ["labels"]}, "needs"),
    ):
        with pytest.raises(BadInput, match=rf"methods\.defense\.{name} is .*, the source of {target} here says "):
            claims._facts(claimed(target, **lie))


@pytest.mark.parametrize("needs", [["weights", "clean"], ["clean", "clean", "weights"]])
def test_what_comes_from_a_set_is_in_order_and_once(needs: list[str]) -> None:
    """Another spelling of the same access would be a group of its own, in which it is first."""
    with pytest.raises(BadInput, match="must be in order, each once"):
        claims._facts(claimed(needs=needs))


@pytest.mark.parametrize(("name", "value"), [("family", "filter"), ("needs", ["labels"])])
@pytest.mark.parametrize("resident", [True, False])
def test_records_of_a_method_that_is_not_installed_agree(name: str, value: object, resident: bool) -> None:
    first, second, other = claimed(), claimed(seed=1), claimed(seed=2, **{name: value})
    known = Residents([first] if resident else [])
    if not resident:
        known.welcome(first)
    known.welcome(second)
    reason = rf"methods\.defense\.{name} is .*, other records of mine\.curtain\.Curtain say .*; send records of one"
    with pytest.raises(BadInput, match=reason):
        known.welcome(other)
    known.welcome(claimed("mine.drape.Curtain", seed=3, **{name: value}))


def test_a_refused_record_leaves_no_trace() -> None:
    """Whatever it says otherwise, the next record is judged as if it had not been sent."""
    known = Residents([claimed()])
    refused = claimed(seed=1, family="filter")
    refused.identity["recipe"] = "e" * 64  # of nobody yet
    with pytest.raises(BadInput, match="other records"):
        known.welcome(refused)
    again = claimed(seed=1).model_copy(update={"key": "f" * 64})
    again.identity["recipe"] = "e" * 64
    again.config["recipe"]["_target_"] = "benchmark.recipe.Other"
    known.welcome(again)
    known.welcome(again)


def test_nothing_is_found_where_nothing_was_scored() -> None:
    bare = {"status": "not applicable", "reason": "it ships a model", "scores": None, "probes": {}}
    content = json.loads(found().to_json()) | bare | {"weights": {}, "costs": {}}
    with pytest.raises(BadInput, match="detection: nothing was scored"):
        check_counts(Record.model_validate_json(json.dumps(content)))


def test_residents_of_two_versions_let_either_in() -> None:
    known = Residents([claimed(), claimed(seed=1, family="filter")])
    known.welcome(claimed(seed=2)), known.welcome(claimed(seed=3, family="filter"))
    with pytest.raises(BadInput, match="other records"):
        known.welcome(claimed(seed=4, family="training"))


def test_what_an_older_source_said_does_not_bind_a_method_that_is_installed() -> None:
    target = "baselines.defenses.fine_tuning.FineTuning"
    known = Residents([claimed(target, family="filter")])
    known.welcome(claimed(target, seed=1))
    assert len(known.runs) == 2


# ---- what is counted

ROWS = {"rows__test": N, "rows__challenge": 400, "rows__train": 1000, "rows__poisoned": 50, "rows__covers": 10}
SEEN = {"stealth__train__n": 50, "stealth__test__n": 200}
SEPARATION = {"auroc": 0.9, "tpr_at_1": 0.5, "tpr_at_5": 0.6, "positives": 50, "negatives": 940}
FILTERED: Mapping[str, Any] = {
    "separation": SEPARATION,
    "within_target": {**SEPARATION, "negatives": 90},
    "precision": {"hits": 40, "n": 70},
    "recall": {"hits": 40, "n": 50},
    "false_flags": {"hits": 30, "n": 940},
    "control_flags": {"hits": 20, "n": 1000},
}
REFUSED: Mapping[str, Any] = {
    "separation": {**SEPARATION, "positives": 400, "negatives": N},
    "successful": {**SEPARATION, "positives": 390, "negatives": N},
}


def found(rows: object = FILTERED, inputs: object = REFUSED) -> Record:
    """A record with detections; scores and rows fit each other."""
    record = synthetic(**ROWS, **SEEN, detection={"rows": rows, "inputs": inputs, "model": None})
    content = json.loads(record.to_json())
    for victim in content["scores"].values():
        for score in ("asr", "ra") if victim else ():
            victim[score] = {"hits": victim[score]["hits"] * 400 // N, "n": 400}
    content["scores"]["backdoored"]["asr"] = {"hits": 390, "n": 400}
    return Record.model_validate_json(json.dumps(content))


@pytest.mark.parametrize("change", [{"n": 51}, {"unchanged": 50, "n": 49}, {"unchanged": -1}], ids=str)
def test_a_trigger_is_seen_on_rows_that_are_there(change: Mapping[str, int]) -> None:
    content = json.loads(found().to_json())
    content["stealth"]["train"] |= change
    with pytest.raises(BadInput, match=r"stealth\.train: .* rows, more than there are"):
        check_counts(Record.model_validate_json(json.dumps(content)))


def test_committed_records_fit() -> None:
    records = [load(path) for path in (ROOT / "leaderboard" / "records").glob("*/*.json")]
    assert sum(record.detection is not None and record.detection.rows is not None for record in records) > 20
    for record in [*records, found(), found(rows=None), found(inputs=None)]:
        check_counts(record)
    check_counts(found({**FILTERED, **dict.fromkeys(("precision", "recall", "false_flags", "control_flags"))}))


MISCOUNTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], str]] = {
    "recall": ({"recall": {"hits": 1, "n": 1}}, {}, "rows.recall.n: is 1, the record's rows say 50"),
    "false flags": ({"false_flags": {"hits": 0, "n": 1}}, {}, "rows.false_flags.n: is 1, the record's rows say 940"),
    "control": ({"control_flags": {"hits": 0, "n": 940}}, {}, "rows.control_flags.n: is 940, the record's rows say 1000"),
    "precision": ({"precision": {"hits": 40, "n": 40}}, {}, "rows.precision.n: is 40, the record's rows say 70"),
    "precise hits": ({"precision": {"hits": 41, "n": 70}}, {}, "rows.precision.hits: is 41, the record's rows say 40"),
    "few positives": ({"separation": {**SEPARATION, "positives": 1}}, {}, "rows.separation.positives: is 1"),
    "more of a class": ({"within_target": {**SEPARATION, "negatives": 941}}, {}, "is 941, the record's rows say 0 to 940"),
    "below none": ({"within_target": {**SEPARATION, "negatives": -1}}, {}, "is -1, the record's rows say 0 to 940"),
    "inputs": ({}, {"separation": {**SEPARATION, "positives": 400}}, "inputs.separation.negatives: is 940"),
    "successes": ({}, {"successful": {**REFUSED["successful"], "positives": 401}}, "is 401, the record's rows say 390"),
    "other successes": ({}, {"successful": {**REFUSED["successful"], "positives": 389}}, "is 389, the record's rows say 390"),
    "area": ({"separation": {**SEPARATION, "auroc": 1.5}}, {}, "detection.rows.separation.auroc: is '1.5'"),
    "share": ({}, {"successful": {**REFUSED["successful"], "tpr_at_5": -0.1}}, "detection.inputs.successful.tpr_at_5"),
    "of none": ({"within_target": {**SEPARATION, "negatives": 0}}, {}, "of 50 against 0 rows"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "inputs", "reason"), MISCOUNTS.values(), ids=MISCOUNTS.keys())
def test_what_is_counted_on_other_rows_is_refused(
    rows: Mapping[str, Any], inputs: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(BadInput) as caught:
        check_counts(found({**FILTERED, **rows}, {**REFUSED, **inputs}))
    assert reason in str(caught.value) and str(caught.value).startswith("detection.")
