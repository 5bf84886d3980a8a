"""How many processes run at once, and what each is given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmark.errors import BadInput
from hydra_plugins.postern import process_launcher
from hydra_plugins.postern.process_launcher import MPS, ProcessLauncher


def launcher(folder: Path, n_jobs: int | None = None, runs_per_gpu: int = 1, **config: object) -> ProcessLauncher:
    built = ProcessLauncher(n_jobs, runs_per_gpu)
    settings = {"device": "auto", "threads": 1, "hydra": {"sweep": {"dir": str(folder)}}, **config}
    built.setup(hydra_context=None, task_function=None, config=OmegaConf.create(settings))  # type: ignore[arg-type]
    return built


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_launcher, "device_kind", lambda device: "cuda")
    monkeypatch.setattr(process_launcher, "graphics_cards", lambda: ["0", "1"])


def cards(built: ProcessLauncher) -> list[str | None]:
    return [slot.get("CUDA_VISIBLE_DEVICES") for slot in built._slots()]


def test_cores_are_not_oversubscribed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    for threads, processes in ((1, 8), (3, 2), (16, 1)):
        slots = launcher(tmp_path, device="cpu", threads=threads)._slots()
        assert slots == [{"OMP_NUM_THREADS": str(threads)}] * processes
    assert len(launcher(tmp_path, n_jobs=12, device="cpu")._slots()) == 12


@pytest.mark.usefixtures("two_cards")
def test_each_process_sees_its_card_alone(tmp_path: Path) -> None:
    assert cards(launcher(tmp_path)) == ["0", "1"]
    assert cards(launcher(tmp_path, runs_per_gpu=3)) == ["0", "1"] * 3
    assert cards(launcher(tmp_path, n_jobs=3, runs_per_gpu=2)) == ["0", "1", "0"]
    assert cards(launcher(tmp_path, device="cuda:1", runs_per_gpu=2)) == [None, None]
    assert {slot["POSTERN_RUNS_PER_DEVICE"] for slot in launcher(tmp_path, runs_per_gpu=3)._slots()} == {"3"}


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.usefixtures("two_cards")
def test_mps_is_used_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    said = tmp_path / "said"
    control = tmp_path / "bin" / MPS
    control.parent.mkdir()
    if present:
        control.write_text(f"#!/bin/sh\nif [ $# -gt 0 ]; then echo $@ >> {said}; else cat >> {said}; fi\n")
        control.chmod(0o755)
    monkeypatch.setenv("PATH", f"{control.parent}:/bin:/usr/bin")
    for runs in (1, 2):
        with launcher(tmp_path, runs_per_gpu=runs)._shared_gpus():
            pass
    assert (said.read_text() if said.exists() else "") == ("-d\nquit\n" if present else "")


def test_jobs_run_side_by_side_and_a_dead_one_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job waits for the other, and then one of them kills itself."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "name = sys.argv[1]\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "folder.joinpath(name).write_text(os.environ['OMP_NUM_THREADS'])\n"
        "while name != 'c' and not (folder / 'a').exists() & (folder / 'b').exists():\n"
        "    time.sleep(0.01)\n"
        "print('hello from', name, flush=True)\n"
        "if name == 'a':\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert launcher(tmp_path, n_jobs=2, device="cpu", threads=2).launch([["a"], ["b"], ["c"]], 7) == []
    assert (tmp_path / "c").read_text() == "2"
    logs = {path.name: path.read_text() for path in (tmp_path / "jobs").iterdir()}
    assert logs == {f"{number:04}.log": f"hello from {name}\n" for number, name in ((7, "a"), (8, "b"), (9, "c"))}


def test_an_interruption_lets_jobs_save_their_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "def save(*_):\n"
        f"    Path({str(tmp_path / 'saved')!r}).write_text('')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, save)\n"
        f"Path({str(tmp_path / 'ready')!r}).write_text('')\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(sys, "argv", [str(program)])
    real = process_launcher._ended

    def interrupted(running: process_launcher.Running) -> object:
        if (tmp_path / "ready").exists() and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").write_text("")
            raise KeyboardInterrupt
        return real(running)

    monkeypatch.setattr(process_launcher, "_ended", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launcher(tmp_path, n_jobs=1, device="cpu").launch([["a"]], 0)
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize(("n_jobs", "runs_per_gpu", "named"), [(0, 1, "n_jobs=0"), (None, 0, "runs_per_gpu=0")])
def test_none_at_once_is_refused(n_jobs: int | None, runs_per_gpu: int, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        ProcessLauncher(n_jobs, runs_per_gpu)
