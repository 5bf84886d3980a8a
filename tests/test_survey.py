"""How far a sweep is, by planted stores; what stages will cost, by planted records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, here, python
from safetensors.numpy import save

from benchmark.attempts import PATIENCE, note
from benchmark.errors import BadInput
from benchmark.keys import Keys
from benchmark.lease import STALE, Lease, Pulse
from benchmark.seal import sealed
from benchmark.store import Store, publish
from benchmark.sweep import survey as surveys
from benchmark.sweep.announcement import Planned, announce, announced
from benchmark.sweep.estimates import About, Estimates, about, recorded
from benchmark.sweep.survey import Survey, agenda
from benchmark.sweep.tally import span

KNOWN = About("digits", "SmallCNN", "digits", "BadNets", "Strip", "cpu", sharing=1, rows=1000, epochs=10)


def key(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def planned(attack: str, defense: str) -> Planned:
    """Runs of one clean victim: two attacks by two defenses."""
    keys = Keys(key("c"), key("c"), key(attack), key(attack + defense), key("c" + defense))
    return Planned(f"{attack} {defense}", About(**{**vars(KNOWN), "attack": attack, "defense": defense}), keys)


RUNS = [planned(attack, defense) for attack in ("a", "b") for defense in ("x", "y")]


def made(shelf: Store, name: str, seconds: float) -> None:
    publish(shelf.artefact(key(name)), sealed(lambda metadata: save({}, metadata), {"costs": {"seconds": seconds}}))


def survey(shelf: Store, monkeypatch: pytest.MonkeyPatch, samples: list[tuple[str, About, float]]) -> Survey:
    monkeypatch.setattr(surveys, "recorded", lambda folder: iter(samples))
    return Survey(RUNS, shelf)


def test_every_state_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Done, running, failed and waiting runs; a done, a running and a waiting victim; hours spent and left."""
    shelf = Store(tmp_path)
    made(shelf, "c", 30)
    made(shelf, "cx", 4)
    publish(shelf.record(key("ax")), b"{}")
    for _ in range(PATIENCE):
        note(shelf.failure(key("ay")), key("ay"), {}, RuntimeError("boom"))
    note(shelf.failure(key("by")), key("by"), {}, RuntimeError("boom"))
    samples = [("backdoored", KNOWN, 50.0), ("defended", KNOWN, 5.0)]
    looks = survey(shelf, monkeypatch, samples)
    with (
        Lease(shelf.record(key("bx")).with_suffix(".lease"), lambda: False),
        Lease(shelf.artefact(key("b")).with_suffix(".lease"), lambda: False),
    ):
        seen = looks.look()
    assert seen.runs == {"done": 1, "left aside": 1, "running": 1, "failed": 1}
    assert seen.victims == {"done": 1, "running": 1, "waiting": 1}
    assert seen.spent == 34 and seen.unknown == 0
    assert seen.left == pytest.approx(2 * 50 + 4 * 5 + 5)  # two victims, four defended ones, one control
    assert not seen.finished
    text = "\n".join(seen.lines())
    assert "1 done, 1 running, 1 failed, 1 left aside, 0 waiting of 4" in text and "2 min with the 1" in text


def test_a_dead_job_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged lease of another machine counts as living until it has been seen unchanged for long enough."""
    now = [0.0]
    shelf = Store(tmp_path)
    lease = shelf.record(key("ax")).with_suffix(".lease")
    lease.parent.mkdir(parents=True)
    lease.write_text("uuid/another:machine/1/2 7")
    looks = survey(shelf, monkeypatch, [])
    looks.pulse = Pulse(lambda: now[0])
    assert looks.look().runs["running"] == 1
    now[0] = STALE + 1
    assert looks.look().runs == {"waiting": 4}


def test_stages_like_nothing_recorded_are_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = survey(Store(tmp_path), monkeypatch, [("clean", KNOWN, 50.0)]).look()
    assert seen.left == 150 and seen.unknown == 6
    assert "6 stages that no record is like" in "\n".join(seen.lines())


def test_an_agenda_counts_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(Store(tmp_path), "c", 30)
    lines = list(agenda(survey(Store(tmp_path), monkeypatch, [("clean", KNOWN, 60.0), ("control", KNOWN, 600.0)])))
    assert [line.split()[:4] for line in lines[1:5]] == [
        ["clean", "1", "1", "0"], ["backdoored", "2", "0", "2"], ["control", "2", "0", "2"], ["defended", "4", "0", "4"]
    ]  # fmt: skip
    assert "120 s" not in lines[1] and lines[2].endswith("2 min") and lines[4].endswith("40 min")


def test_what_no_record_is_like_is_unknown_and_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list(agenda(survey(Store(tmp_path), monkeypatch, [])))
    assert lines[2].endswith("2  unknown (2 like nothing recorded)")
    assert lines[-1] == "left     unknown: no record is like the 9 stages to make"


def test_a_sweep_is_read_as_it_was_announced(tmp_path: Path) -> None:
    announce(tmp_path / "sweep", RUNS)
    assert announced(tmp_path / "sweep") == RUNS
    for content in (b"", b"[1]", b'[{"title": ""}]'):
        (tmp_path / "sweep" / "sweep.json").write_bytes(content)
        with pytest.raises(BadInput, match="holds no sweep"):
            announced(tmp_path / "sweep")


def seconds(samples: list[tuple[str, About, float]], stage: str, **changes: object) -> float | None:
    return Estimates(samples).seconds(stage, About(**{**vars(KNOWN), **changes}))


def test_the_most_alike_record_counts() -> None:
    other = About(**{**vars(KNOWN), "defense": "NeuralCleanse"})
    samples = [("defended", KNOWN, 4.0), ("control", KNOWN, 6.0), ("defended", other, 100.0)]
    assert seconds(samples, "defended") == 5.0
    assert seconds(samples, "control", defense="NeuralCleanse") == 100.0
    assert seconds(samples, "defended", defense="Spectral") == pytest.approx((4 + 6 + 100) / 3)
    assert seconds(samples, "clean") is None and seconds(samples, "defended", device="cuda") is None


def test_costs_grow_with_rows_and_epochs() -> None:
    samples = [("clean", KNOWN, 10.0)]
    assert seconds(samples, "backdoored", rows=2000, epochs=30) == 60.0
    assert seconds(samples, "clean", dataset="other", recipe="other", architecture="ResNet8") == 10.0


def test_sharing_a_device_is_another_cost() -> None:
    shared = About(**{**vars(KNOWN), "sharing": 2})
    samples = [("clean", KNOWN, 10.0), ("clean", shared, 16.0)]
    assert seconds(samples, "clean", sharing=2) == 16.0 and seconds(samples, "clean") == 10.0


def test_committed_records_are_samples(tmp_path: Path) -> None:
    committed = sorted((ROOT / "leaderboard" / "records").rglob("*.json"))
    content: Mapping[str, Any] = json.loads(committed[0].read_bytes())
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "a.json").write_bytes(committed[0].read_bytes())
    (folder / "b.json").write_bytes(b"no record")
    samples = list(recorded(folder))
    assert {stage: cost for stage, _, cost in samples} == {s: c["seconds"] for s, c in content["costs"].items()}
    assert samples[0][1] == about(content["config"], content["rows"]["train"], "cpu")


@pytest.mark.parametrize(
    ("duration", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (9000, "2.5 h")]
)
def test_durations_in_words(duration: float, text: str) -> None:
    assert span(duration) == text


def test_the_script_shows_the_latest_sweep(tmp_path: Path) -> None:
    for name in ("2026-01-01_00-00-00", "2026-01-02_00-00-00"):
        announce(tmp_path / "sweeps" / name, RUNS[: int(name[9])])
    done = python("scripts/status.py", "--store", str(tmp_path))
    assert done.returncode == 0 and "2026-01-02" in done.stdout and "2 waiting of 2" in done.stdout
    done = here("scripts/status.py", "--store", str(tmp_path), "--sweep", "2026-01-01_00-00-00")
    assert "1 waiting of 1" in done.stdout
    publish(Store(tmp_path).record(key("ax")), b"{}")
    done = here("scripts/status.py", "--store", str(tmp_path), "--sweep", "2026-01-01_00-00-00", "--watch")
    assert done.returncode == 0 and "1 done" in done.stdout
    done = here("scripts/status.py", "--store", str(tmp_path / "empty"))
    assert done.returncode == 2 and "no sweep was begun" in done.stderr
