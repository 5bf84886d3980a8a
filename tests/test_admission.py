"""Honest records enter and come out again bit for bit; whatever else is sent is refused in a line, and runs nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, config, here, python
from synthetic import synthetic

import benchmark
from benchmark import keys
from benchmark.admitting import rerun
from benchmark.admitting.admission import Admission
from benchmark.admitting.claims import Residents
from benchmark.admitting.comparing import apart, unequal
from benchmark.admitting.outcome import Outcome, Rules
from benchmark.errors import BadInput
from benchmark.record import Record, load
from benchmark.results.leaderboard import cells, leaderboard
from benchmark.results.marks import COMMITTED, MARKS, mark, marks

SEEDS = (0, 1, 2)
Content = dict[str, Any]
Change = Callable[[Content], object]


@pytest.fixture(scope="module")
def made(warm_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Content]:
    """A cell of three seeds as its maker would send it, from a clean commit."""
    store = tmp_path_factory.mktemp("maker") / "store"
    shutil.copytree(warm_store, store)
    options = ("defense=fine_tuning", "defense.epochs=1", "architecture.network.width=8")
    records = [benchmark.run(config(*options, f"seed={seed}", store=store)) for seed in SEEDS]
    contents: list[Content] = [json.loads(record.to_json()) for record in records]
    for content in contents:
        content["provenance"] |= {"commit": "a" * 40, "dirty": False}
    return contents


@pytest.fixture
def sent(made: list[Content], tmp_path: Path) -> Path:
    """What the submitter sent."""
    for content in made:
        send(tmp_path / "sent", content)
    return tmp_path / "sent"


def send(folder: Path, content: Content, name: str | None = None) -> Path:
    """A file in the form that the suite writes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or content['key']}.json"
    path.write_text(json.dumps(content, sort_keys=True, indent=1) + "\n")
    return path


def copy(content: Content) -> Content:
    again: Content = json.loads(json.dumps(content))
    return again


def admit(*sources: Path, into: Path, store: Path = Path("none"), **rules: Any) -> Outcome:
    return Admission(into, Rules(**rules), store).admit(sources)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def records_of(folder: Path) -> dict[str, bytes]:
    """Its files, the marks apart."""
    return {name: content for name, content in files(folder).items() if name != MARKS}


# ---- what holds


def test_honest_records_are_admitted_as_reported(sent: Path, tmp_path: Path) -> None:
    into = tmp_path / "board" / "records"
    outcome = admit(sent, into=into)
    assert not outcome.refused and len(outcome.admitted) == 3
    assert records_of(into) == files(sent), "byte for byte"
    assert set(marks(into).values()) == {"reported"} and set(marks(into)) == {path.stem for path in sent.iterdir()}
    (cell,) = leaderboard(into)
    assert cell.status == "reported" and len(cell.records) == 3, "shown, and not ranked"
    again = admit(sent, into=into)
    assert len(again.there) == 3 and not again.admitted and not again.refused


def test_a_cell_that_is_run_again_is_reproduced(sent: Path, tmp_path: Path, store: Path) -> None:
    """Bit for bit: every count and every detection, in a store that has none of the submitter's files."""
    into = tmp_path / "board" / "records"
    outcome = admit(sent, into=into, store=store, verify=1, draw=7)
    assert not outcome.refused and set(outcome.standing.values()) == {"reproduced"}
    assert set(marks(into).values()) == {"reproduced"}
    mine = [load(path) for path in (store / "verifications" / "7" / "records").rglob("*.json")]
    theirs = {record.key: record for record in outcome.admitted.values()}
    assert {record.key for record in mine} == theirs.keys()
    for record in mine:
        assert record.weights == theirs[record.key].weights and record.scores == theirs[record.key].scores
    (cell,) = leaderboard(into)
    assert cell.standing == "reproduced" and cell.status != "reported"


def test_a_forged_score_is_caught_by_running_it_again(
    sent: Path, made: list[Content], tmp_path: Path, store: Path
) -> None:
    """It passes every check that looks at the record alone, and takes the rest of what was sent with it."""
    content = copy(made[1])
    content["scores"]["defended"]["asr"]["hits"] -= 1
    send(sent, content)
    shutil.copytree(sent, store / "records", dirs_exist_ok=True)  # as an import would leave the submitter's records
    outcome = admit(sent, into=tmp_path / "board" / "records", store=store, verify=1, draw=8)
    assert not outcome.admitted and len(outcome.refused) == 3 and not (tmp_path / "board").exists()
    (reason,) = set(outcome.refused.values())
    hits = content["scores"]["defended"]["asr"]["hits"]
    assert content["key"] in reason
    assert f"scores.defended.asr.hits is '{hits}', here it is '{hits + 1}'" in reason and "\n" not in reason


def test_a_forgery_that_lies_there_is_marked(sent: Path, made: list[Content], tmp_path: Path, store: Path) -> None:
    """It had been let in unseen, as one of ours or reported; what came with it and lies there stays as it is."""
    into, content = tmp_path / "board" / "records", copy(made[1])
    content["scores"]["defended"]["asr"]["hits"] -= 1
    forged = send(sent, content)
    assert len(admit(sent, into=into).admitted) == 3
    mark(into, dict.fromkeys(marks(into), "reproduced"))
    outcome = admit(sent, into=into, store=store, verify=1, draw=8)
    place = into / content["key"][:2] / forged.name
    assert list(outcome.refused) == [forged] and len(outcome.there) == 2
    assert "it does not come out: scores.defended.asr.hits is" in outcome.refused[forged]
    assert f"it lies there as {place}, marked `not reproduced`: remove it" in outcome.refused[forged]
    assert marks(into)[content["key"]] == "not reproduced" and list(marks(into).values()).count("reproduced") == 2
    (cell,) = leaderboard(into)
    assert (cell.standing, cell.status) == ("not reproduced", "reported"), "it is not ranked"
    place.unlink(), forged.unlink()
    again = admit(send(sent, made[1]), into=into, preliminary=True)
    assert marks(into)[content["key"]] == "reported" and len(again.admitted) == 1


def test_what_is_only_shown_comes_out_too(sent: Path, made: list[Content], tmp_path: Path, store: Path) -> None:
    content = copy(made[1])
    content["stealth"]["train"]["psnr"] += 9
    send(sent, content)
    outcome = admit(sent, into=tmp_path / "board" / "records", store=store, verify=1, draw=8)
    assert set(outcome.apart) == {content["key"]} and "stealth.train.psnr is" in outcome.apart[content["key"]]
    assert set(outcome.standing.values()) == {"reported"}


def test_a_machine_that_is_too_small_makes_no_liar(
    sent: Path, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Mapping[str, Any]) -> Record:
        raise MemoryError("of 8 GiB")

    monkeypatch.setattr(rerun, "run", fail)
    outcome = admit(sent, into=tmp_path / "board" / "records", store=store, verify=1, draw=8)
    assert not outcome.refused and not outcome.apart and set(outcome.standing.values()) == {"reported"}
    ((name, reason),) = outcome.unable
    assert "against 'BadNets" in name and reason == "running it again failed: 'of 8 GiB'"


def test_what_chance_may_have_done_is_told_and_stays_reported(
    sent: Path, made: list[Content], tmp_path: Path, store: Path
) -> None:
    """Two processors part by more than rows explain, so that nobody is accused of it."""
    into = tmp_path / "board" / "records"
    content = copy(made[1])
    content["scores"]["defended"]["asr"]["hits"] //= 3
    send(sent, content)
    outcome = admit(sent, into=into, store=store, verify=1, draw=9, overlap=True)
    assert not outcome.refused and len(outcome.admitted) == 3
    assert outcome.apart.keys() == {content["key"]} and "do not meet" in outcome.apart[content["key"]]
    assert set(marks(into).values()) == {"reported"}, "its cell has other seeds, which came out"


def test_another_environment_is_compared_by_intervals(made: list[Content]) -> None:
    ours = Record.model_validate_json(json.dumps(made[0]))
    near, far = copy(made[0]), copy(made[0])
    n = near["scores"]["clean"]["ca"]["n"]
    near["scores"]["clean"]["ca"]["hits"] = min(n, ours.scores.clean.ca.hits + 5) if ours.scores else 0
    far["scores"]["clean"]["ca"]["hits"] = n // 3
    one, other = (Record.model_validate_json(json.dumps(content)) for content in (near, far))
    assert apart(one, ours) is None
    assert "their intervals do not meet" in str(apart(other, ours))
    assert "scores.clean.ca.hits" in str(unequal(other, ours))


def test_another_machine_s_environment_follows_from_the_record(made: list[Content], tmp_path: Path) -> None:
    """The key of a run on another torch and a graphics card comes out here, without either."""
    content = copy(made[0])
    content["provenance"]["versions"]["torch"] = "9.9.9"
    content["provenance"]["device"] = "NVIDIA H100"
    content["config"]["device"] = "auto"
    settings, rows = content["config"], content["provenance"]["dataset"]
    environment = keys.environment_of(settings, keys.PROTOCOL, "9.9.9", "cuda")
    assert environment["precision"] == "bf16"
    content["identity"] = {
        part: keys.hashed(value) for part, value in keys.identities(settings, rows, environment).items()
    }
    content["key"] = keys.plan(settings, rows, environment).run
    outcome = admit(send(tmp_path / "sent", content), into=tmp_path / "records", preliminary=True)
    assert not outcome.refused and len(outcome.admitted) == 1


def test_the_sample_is_drawn_by_its_seed_alone() -> None:
    cells: Any = list(range(20))
    assert rerun.drawn(cells, 3, 5) == rerun.drawn(cells, 3, 5) != rerun.drawn(cells, 3, 6)
    assert sorted(rerun.drawn(cells[:2], 3, 5)) == [0, 1]


# ---- standing


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "trusted"}', '{"a": ["reported"]}'])
def test_marks_that_cannot_be_read_are_refused_before_anything_enters(sent: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / MARKS).write_text(text)
    with pytest.raises(BadInput, match=f"{MARKS}: .*restore it"):
        admit(sent, into=tmp_path / "records")
    assert files(tmp_path / "records") == {MARKS: text.encode()}


# ---- what does not hold


def put(value: object, *names: str) -> Change:
    def change(content: Content) -> None:
        place = content
        for name in names[:-1]:
            place = place[name]
        place[names[-1]] = value

    return change


def target(value: object, part: str = "defense") -> Change:
    return put(value, "config", part, "_target_")


LIES: Mapping[str, tuple[Change, str]] = {
    "schema": (put(2, "schema"), "schema 2 is unknown"),
    "unknown field": (put("<script>alert(1)</script>", "mood"), "field mood: extra inputs"),
    "both labels": (put({"hits": 398, "n": 398}, "scores", "backdoored", "ra"), "scores.backdoored: "),
    "key": (put("0" * 64, "key"), "key: does not follow from the configuration"),
    "option": (put(0.1, "config", "attack", "rate"), "identity.attack: does not follow from its options"),
    "source": (put("0" * 64, "identity", "defense"), "identity.defense: does not follow"),
    "part": (put("0" * 64, "identity", "mood"), "identity: has parts that no run has"),
    "data": (put("0" * 64, "provenance", "dataset"), "identity.dataset: does not follow"),
    "torch": (put("1.0.0", "provenance", "versions", "torch"), "identity.environment: does not follow"),
    "device": (put("NVIDIA H100", "provenance", "device"), "provenance.device is 'NVIDIA H100', config.device 'cpu'"),
    "no device": (put("abacus", "config", "device"), "provenance.device is 'cpu', config.device 'abacus'"),
    "family": (put("filter", "methods", "defense", "family"), "methods.defense.family is 'filter', the source of"),
    "access": (put(["labels"], "methods", "defense", "needs"), "FineTuning here says \"['clean', 'weights']\""),
    "what is shipped": (put("model", "methods", "attack", "ships"), "BadNets here says 'data'"),
    "what was given": (put([], "methods", "attack", "needs"), "methods.attack.needs is '[]', the source of"),
    "hits": (put(10**6, "scores", "clean", "ca", "hits"), "1000000 hits of"),
    "test rows": (put({"hits": 1, "n": 1}, "scores", "clean", "ca"), "scores.clean.ca: has n=1, the record's rows say"),
    "challenge": (put({"hits": 0, "n": 9}, "scores", "defended", "asr"), "scores.defended.asr: has n=9"),
    "rows": (put(1000, "rows", "test"), "the record's rows say 1000"),
    "victims": (put({}, "weights"), "weights: are of other victims than the scores"),
    "status": (
        put("not applicable", "status"),
        "status is 'not applicable', which its scores or its reason contradict",
    ),
    "protocol": (put(99, "provenance", "protocol"), "protocol 99: this version's is"),
    "dirty": (put(True, "provenance", "dirty"), "was not made from a clean commit"),
    "no clone": (put(None, "provenance", "commit"), "was not made from a clean commit"),
    "commit": (put("main; rm -rf /", "provenance", "commit"), "was not made from a clean commit"),
    "threads": (put(2, "provenance", "threads"), "provenance.threads is 2, config.threads '1'"),
    "other threads": (put(2, "config", "threads"), "provenance.threads is 1, config.threads '2'"),
    "seed": (put(5, "seed"), "seed '5': config.seed is '0'"),
    "oracle": (put(True, "config", "defense", "oracle_target"), "oracle_target='True' lets the method see"),
    "name": (put("<img src=x onerror=alert(1)>", "methods", "defense", "name"), "methods.defense.name is '<img"),
    "picture": (put("javascript:alert(1)", "evidence", "clean_inputs"), "evidence: 'javascript:alert(1)' is no PNG"),
    "digest": (put("../../etc", "weights", "clean"), "'clean': '../../etc' is no sha256"),
}

HOSTILE: Mapping[str, tuple[Change, str]] = {
    "a system's function": (target("os.system"), "_target_='os.system': lies outside benchmark, baselines"),
    "a process": (target("subprocess.Popen", "attack"), "_target_='subprocess.Popen': lies outside"),
    "deep inside": (put({"_target_": "os.system", "command": "touch owned"}, "config", "attack", "sources"), "os.system"),
    "in a list": (put([[{"_target_": "os.system"}]], "config", "attack", "sources"), "_target_='os.system'"),
    "through a package of ours": (target("benchmark.provenance.subprocess.run"), "no yaml in conf/ names it"),
    "a function of ours": (target("benchmark.store.replace"), "no yaml in conf/ names it"),
    "through a method": (target("baselines.attacks.badnets.torch.load", "attack"), "names no class of a module here"),
    "a method that is not here": (target("baselines.defenses.none.None_"), "names no class of a module here"),
    "a path": (target("baselines./etc/passwd.X"), "is no dotted name"),
    "a line": (target("baselines.a\npostern: fine"), "is no dotted name"),
    "no text": (target(["os.system"]), "is no dotted name"),
    "no section": (put([], "config", "attack"), "config.attack: names no constructor"),
    "arguments": (put(["x"], "config", "defense", "_args_"), "'_args_' is no option of a method"),
    "another option": (put(1, "config", "defense", "a b"), "'a b' is no option of a method"),
    "the environment": (put("${oc.env:HOME}", "config", "recipe", "name"), "is not resolved"),
    "in a list, the environment": (put(["${oc.env:HOME}"], "config", "attack", "sources"), "is not resolved"),
    "a file": (put("/etc/passwd", "config", "attack", "picture_path"), "names a file"),
    "a device": (put("/dev/zero", "config", "recipe", "path"), "names a file"),
    "a tracker": (put({"_target_": "os.system"}, "config", "tracker"), "config.'tracker': no such setting"),
    "no setting": (lambda content: content["config"].pop("recipe"), "config.'recipe': is missing"),
    "many threads": (put(10**9, "config", "threads"), "threads from 1 to"),
    "a traversal": (put("../../../../tmp/owned", "key"), "field key: string should match pattern"),
    "a huge number": (put(10**400, "rows", "train"), "rows.train': an integer over 2^53 is too large a number"),
    "a large number": (put(1e300, "costs", "clean", "seconds"), "is too large a number"),
    "no number": (put(float("nan"), "config", "recipe", "crop"), "it holds NaN"),
    "depth": (put(json.loads("[" * 300 + "]" * 300), "config", "attack", "sources"), "recursion limit"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), [*LIES.values(), *HOSTILE.values()], ids=[*LIES, *HOSTILE])
def test_what_does_not_hold_is_refused_in_a_line(
    made: list[Content], tmp_path: Path, change: Change, reason: str
) -> None:
    content, loaded = copy(made[0]), set(sys.modules)
    change(content)
    path = send(tmp_path / "sent", content, name=content["key"].replace("/", "_"))
    outcome = admit(path, into=tmp_path / "records", preliminary=True)
    assert reason in outcome.refused[path] and "\n" not in outcome.refused[path]
    assert not outcome.admitted and not (tmp_path / "records").exists()
    assert not [name for name in set(sys.modules) - loaded if name.split(".")[0] in ("baselines", "mine")]


TEXTS: Mapping[str, tuple[Callable[[str], str], str]] = {
    "a field twice": (lambda text: text.replace('"seed": 0,', '"seed": 1,\n "seed": 0,', 1), "as the suite writes"),
    "another form": (lambda text: text.replace("\n", " "), "as the suite writes"),
    "too large to be a number": (lambda text: text.replace('"crop": 0.0', '"crop": 1e999'), "out of range float"),
    "depth": (lambda text: "[" * 10**5, "is no JSON"),
    "digits": (lambda text: text.replace('"test": 447', '"test": ' + "9" * 9999), ""),
    "nothing": (lambda text: "", "is no JSON"),
    "bytes": (lambda text: "\udcff\udcfe", "is no JSON"),
}


@pytest.mark.parametrize(("change", "reason"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_that_is_no_record_is_refused(
    made: list[Content], tmp_path: Path, change: Callable[[str], str], reason: str
) -> None:
    path = send(tmp_path / "sent", made[0])
    before = path.read_text()
    path.write_bytes(change(before).encode(errors="surrogateescape"))
    assert path.read_text(errors="replace") != before
    outcome = admit(path, into=tmp_path / "records", preliminary=True)
    assert reason in outcome.refused[path] and "\n" not in outcome.refused[path]


def test_files_that_are_none_are_refused(sent: Path, made: list[Content], tmp_path: Path) -> None:
    link, pipe, large, renamed = (sent / f"{digit * 64}.json" for digit in "abcd")
    link.symlink_to(sent / f"{made[0]['key']}.json")
    os.mkfifo(pipe)
    large.write_bytes(b" " * (2**22 + 1))
    send(sent, made[0], name=renamed.stem)
    gone = tmp_path / "gone.json"
    outcome = admit(sent, gone, into=tmp_path / "records")
    assert all("is no plain file" in outcome.refused[path] for path in (link, pipe, large))
    assert "which is not its name" in outcome.refused[renamed]
    assert "cannot be read" in outcome.refused[gone]
    assert len(outcome.admitted) == 3, "the others are none the worse for it"
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no record"):
        admit(tmp_path / "empty", into=tmp_path / "records")


def test_three_seeds_a_cell_with_those_that_are_there(sent: Path, made: list[Content], tmp_path: Path) -> None:
    into, first = tmp_path / "board" / "records", sent / f"{made[0]['key']}.json"
    few = admit(first, into=into)
    assert "its cell has 1 of 3 seeds" in few.refused[first] and not few.admitted
    assert len(admit(first, into=into, preliminary=True).admitted) == 1
    rest = admit(sent, into=into)
    assert len(rest.admitted) == 2 and len(rest.there) == 1


def test_a_record_that_contradicts_one_that_is_there_is_refused(
    sent: Path, made: list[Content], tmp_path: Path
) -> None:
    into, content = tmp_path / "board" / "records", copy(made[0])
    admit(sent, into=into)
    before = files(into)
    content["costs"]["clean"]["seconds"] += 1
    content["provenance"]["commit"] = "b" * 40
    path = send(tmp_path / "again", content)
    assert list(admit(path, into=into).there) == [path], "another maker's costs and commit are no contradiction"
    content["scores"]["defended"]["asr"]["hits"] -= 1
    outcome = admit(send(tmp_path / "again", content), into=into)
    assert "scores differs from the record of this key that is there" in outcome.refused[path]
    assert files(into) == before


def test_one_key_in_two_files_is_refused(made: list[Content], tmp_path: Path) -> None:
    one, two = send(tmp_path / "a", made[0]), send(tmp_path / "b", made[0])
    outcome = admit(one, two, into=tmp_path / "records", preliminary=True)
    assert list(outcome.admitted) == [one] and "is in two files" in outcome.refused[two]


# ---- methods from outside


def outsider(content: Content, name: str = "mine.curtain.Curtain") -> Content:
    content = copy(content)
    content["config"]["defense"]["_target_"] = name
    content["methods"]["defense"]["name"] = name.rpartition(".")[2]
    return content


def test_a_method_from_outside_needs_its_package_allowed(made: list[Content], tmp_path: Path) -> None:
    """It is not installed, so its key is taken at its word, and it cannot be run again: that is no lie."""
    path = send(tmp_path / "sent", outsider(made[0]))
    refused = admit(path, into=tmp_path / "records", preliminary=True).refused[path]
    assert "lies outside benchmark, baselines; --allow mine if its methods are known" in refused
    rules: dict[str, Any] = {"preliminary": True, "allowed": ["mine"]}
    again = admit(path, into=tmp_path / "records", store=tmp_path / "store", verify=1, **rules)
    assert [reason for _, reason in again.unable] == ["mine.curtain.Curtain is not installed"] and not again.drawn
    assert set(again.standing.values()) == {"reported"} and len(again.admitted) == 1 and not again.refused
    other = send(tmp_path / "other", outsider(made[0], "minestrone.curtain.Curtain"))
    assert "lies outside" in admit(other, into=tmp_path / "records", **rules).refused[other]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put(0.1, "config", "attack", "rate"), "identity.attack: does not follow"),
        (put("0" * 64, "identity", "recipe"), "identity.recipe: does not follow"),
        (put(9, "config", "architecture", "network", "width"), "identity.architecture: does not follow"),
        (put(0.2, "config", "dataset", "clean"), "identity.dataset: does not follow"),
        (put("1.0.0", "provenance", "versions", "torch"), "identity.environment: does not follow"),
        (put("0" * 64, "identity", "mood"), "identity: has parts that no run has"),
        (lambda content: content["identity"].pop("defense"), "identity: has parts that no run has"),
    ],
)
def test_what_is_installed_is_checked_beside_what_is_not(
    made: list[Content], tmp_path: Path, change: Change, reason: str
) -> None:
    content = outsider(made[0])
    change(content)
    path = send(tmp_path / "sent", content)
    assert reason in admit(path, into=tmp_path / "records", preliminary=True, allowed=["mine"]).refused[path]


def test_a_key_is_checked_though_a_data_set_is_not_installed(made: list[Content], tmp_path: Path) -> None:
    """A data set counts by its rows' digest alone."""
    content = copy(made[0])
    content["config"]["dataset"]["_target_"] = "mine.rows.Rows"
    rules: dict[str, Any] = {"preliminary": True, "allowed": ["mine"]}
    assert admit(send(tmp_path / "fine", content), into=tmp_path / "records", **rules).admitted
    content["key"] = "0" * 64
    path = send(tmp_path / "forged", content)
    assert "key: does not follow" in admit(path, into=tmp_path / "others", **rules).refused[path]


def test_records_of_a_method_that_is_not_installed_agree_on_its_family(made: list[Content], tmp_path: Path) -> None:
    contents = [outsider(content) for content in made]
    contents[1]["methods"]["defense"]["family"] = "filter"
    one, other, third = (send(tmp_path / str(at), content) for at, content in enumerate(contents))
    rules: dict[str, Any] = {"preliminary": True, "allowed": ["mine"]}
    outcome = admit(one, other, third, into=tmp_path / "records", **rules)
    assert list(outcome.admitted) == [one, third]
    assert "methods.defense.family is 'filter', other records of mine.curtain.Curtain" in outcome.refused[other]
    assert "other records of" in admit(other, into=tmp_path / "records", **rules).refused[other], "residents count"


def theirs(made: list[Content]) -> list[Content]:
    """The same cell by a method that is not installed, with an identity of its own."""
    contents = [outsider(content) for content in made]
    for content, digit in zip(contents, "abc", strict=True):
        content["key"] = digit * 64
        content["identity"]["defense"] = "d" * 64
    return contents


def test_cells_that_cannot_be_run_again_are_not_drawn(
    sent: Path, made: list[Content], tmp_path: Path, store: Path
) -> None:
    """They stay reported beside one that is reproduced, however many are asked for."""
    for content in theirs(made):
        send(sent, content)
    outcome = admit(sent, into=tmp_path / "board" / "records", store=store, verify=5, draw=9, allowed=["mine"])
    assert not outcome.refused and len(outcome.admitted) == 6 and outcome.drawn == 1 and len(outcome.unable) == 1
    assert {outcome.standing[content["key"]] for content in made} == {"reproduced"}
    assert {outcome.standing[digit * 64] for digit in "abc"} == {"reported"}
    assert marks(tmp_path / "board" / "records") == outcome.standing


# ---- the command line


def test_the_script_says_why_and_does_nothing(sent: Path, made: list[Content], tmp_path: Path) -> None:
    content = copy(made[0])
    content["config"]["defense"] = {"_target_": "os.system", "command": f"touch {tmp_path}/owned"}
    path = send(tmp_path / "hostile", content)
    ended = python("scripts/admit.py", str(path), "--into", str(tmp_path / "records"), "--verify", "1", "--preliminary")
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"postern: {path}: refused: _target_='os.system': lies outside")
    assert not (tmp_path / "owned").exists() and not (tmp_path / "records").exists()
    fine = here("scripts/admit.py", str(sent), "--into", str(tmp_path / "records"))
    assert fine.returncode == 0, fine.stderr
    assert fine.stdout.count("admitted, reported: ") == 3
    told = python("scripts/leaderboard.py", "--records", str(tmp_path / "records"), "--json")
    assert told.returncode == 0 and len(json.loads(told.stdout)) == 1, told.stderr


def test_the_script_tells_what_cannot_be_run_again(made: list[Content], tmp_path: Path) -> None:
    for content in theirs(made):
        send(tmp_path / "sent", content)
    places = ("--into", str(tmp_path / "records"), "--store", str(tmp_path / "store"))
    ended = here("scripts/admit.py", str(tmp_path / "sent"), *places, "--verify", "2", "--allow", "mine")
    assert ended.returncode == 0, ended.stderr
    first, told, none, *admitted = ended.stdout.splitlines()
    assert first.startswith("cells to run again are drawn with --draw ")
    assert told.startswith("cannot be run again here: 'Curtain") and "against 'BadNets" in told
    assert told.endswith(": mine.curtain.Curtain is not installed")
    assert none == "no cell can be run again here, and none was"
    assert len(admitted) == 3 and all(line.startswith("admitted, reported: ") for line in admitted)


def test_records_enter_the_committed_folder_unless_told_otherwise() -> None:
    assert COMMITTED == ROOT / "leaderboard" / "records" and COMMITTED.is_dir()


def test_a_stranger_cannot_take_a_seat_that_is_taken() -> None:
    ours = synthetic(defense="Ours")
    content = json.loads(synthetic(defense="Theirs").to_json()) | {"identity": dict(ours.identity)}
    for seed, why in ((0, f"identity: record {ours.key} has the same"), (7, "identity.defense: is that of")):
        forged = Record.model_validate_json(json.dumps(content | {"seed": seed}))
        with pytest.raises(BadInput, match=why):
            Residents([ours]).welcome(forged)
    Residents([ours]).welcome(ours)


def test_two_records_of_one_run_make_no_cell() -> None:
    ours = synthetic()
    other = ours.model_copy(update={"key": "e" * 64})
    with pytest.raises(BadInput, match="say that they are the same run"):
        cells([ours, other])


def test_a_stranger_s_seed_takes_no_cell_out_of_the_ranking(sent: Path, tmp_path: Path) -> None:
    """Three seeds were made here; a fourth that nobody ran again would make the cell a reported one."""
    into = tmp_path / "board" / "records"
    paths = sorted(sent.iterdir())
    admission = Admission(into, Rules(preliminary=True), tmp_path / "store")
    admission.before = [
        load(path).model_copy(update={"key": f"{at}" * 64, "seed": 7 + at}) for at, path in enumerate(paths)
    ]
    outcome = admission.admit([sent])
    assert not outcome.admitted and len(outcome.refused) == len(paths) == 3
    assert all("its cell has its seeds already" in reason for reason in outcome.refused.values())


MISTAKES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "below none": (("--verify", "-1"), "argument --verify: -1: must be a whole number from 0"),
    "a draw of nothing": (("--draw", "3"), "--draw and --overlap say how cells are run again: give --verify too"),
    "no folder": (("--into", "/proc/x"), "/proc/x: is no folder that records could enter"),
    "no store": (("--verify", "1", "--store", "/proc/x"), "--store /proc/x: cannot be made"),
}


@pytest.mark.parametrize(("options", "reason"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_on_the_command_line_are_told_in_a_line(
    sent: Path, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    ended = here("scripts/admit.py", str(sent), "--into", str(tmp_path / "records"), *options)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and line.startswith(f"postern: {reason}") and not (tmp_path / "records").exists()


def test_the_script_ends_in_1_if_something_does_not_come_out(
    sent: Path, made: list[Content], tmp_path: Path, store: Path
) -> None:
    content = copy(made[1])
    content["scores"]["defended"]["asr"]["hits"] //= 3
    send(sent, content)
    places = ("--into", str(tmp_path / "records"), "--store", str(store))
    ended = here("scripts/admit.py", str(sent), *places, "--verify", "1", "--draw", "9", "--overlap")
    assert ended.returncode == 1 and f"not reproduced: {content['key']}: scores.defended.asr is" in ended.stdout
    assert ended.stderr == "postern: records that do not come out: 1; none was marked `reproduced`\n"
    assert ended.stdout.count("admitted, reported: ") == 3


def test_records_enter_no_file(sent: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is no folder that records could enter"):
        admit(sent, into=tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir() if path != sent] == ["file"]
