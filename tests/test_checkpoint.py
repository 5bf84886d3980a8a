"""A training that was stopped continues with the bits of one that was not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from benchmark.checkpoint import Checkpoints, InterruptedTraining
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.training import supervised
from benchmark.types import Split
from benchmark.victim import Victim
from benchmark.victims.image_classifier import ImageClassifier
from benchmark.victims.small_cnn import SmallCNN

CPU = torch.device("cpu")
RECIPE = Recipe(name="test", epochs=4, batch_size=16, learning_rate=0.1, schedule="one_cycle", crop=0.2, flip=True)
STEPS = 4 * 3


def rows() -> Split:
    images = torch.randint(0, 256, (48, 1, 8, 8), generator=generator_for(0, "images"), dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(48) % 3, classes=3)


def victim(checkpoints: Checkpoints, heard: list[float]) -> Victim:
    built = ImageClassifier(SmallCNN, rows(), RECIPE, CPU, generator_for(0, "initial weights"))
    built.checkpoints = checkpoints
    built.watch = lambda done, epochs, loss: heard.append(loss)
    return built


def stopping(at: int, how: Callable[[], None]) -> Callable[[Victim, Split, Generator], Tensor]:
    """An objective that also draws from the global generator, as dropout does, and calls `how` in one step."""
    count = iter(range(10_000))

    def objective(trained: Victim, batch: Split, generator: Generator) -> Tensor:
        if next(count) == at:
            how()
        return supervised(trained, batch, generator) * (0.9 + 0.2 * torch.rand(()))

    return objective


def undisturbed() -> tuple[dict[str, Tensor], list[float]]:
    heard: list[float] = []
    state = victim(Checkpoints(), heard).fit(rows(), generator_for(0, "v"), stopping(-1, lambda: None)).state()
    return dict(state), heard


@pytest.mark.parametrize("at", [0, 2, 3, 7, STEPS - 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_stops_after_the_step_and_the_rest_has_the_same_bits(tmp_path: Path, at: int, number: int) -> None:
    path, generator = tmp_path / "key.safetensors", generator_for(0, "v")
    first = Checkpoints()
    before = signal.getsignal(number)
    with pytest.raises(InterruptedTraining), first.stage(path):
        victim(first, []).fit(rows(), generator, stopping(at, lambda: os.kill(os.getpid(), number)))
    assert signal.getsignal(number) == before
    assert [file.name for file in tmp_path.iterdir()] == ["key.1.checkpoint.tmp"]

    second, heard, taken = Checkpoints(), [], []
    count = stopping(-1, lambda: None)
    with second.stage(path):
        continued = victim(second, heard).fit(rows(), generator, lambda *a: taken.append(1) or count(*a))
    state, losses = undisturbed()
    assert len(taken) == STEPS - at - 1
    assert all(torch.equal(tensor, state[name]) for name, tensor in continued.state().items())
    assert heard == losses
    assert not list(tmp_path.iterdir())


def test_the_state_is_written_by_the_clock(tmp_path: Path) -> None:
    now = [0.0]
    checkpoints = Checkpoints(every=60, clock=lambda: now[0])

    def pass_time() -> None:
        now[0] += 61

    with pytest.raises(ZeroDivisionError), checkpoints.stage(tmp_path / "key.safetensors"):
        trained = victim(checkpoints, [])
        trained.fit(rows(), generator_for(0, "v"), stopping(5, pass_time))
        assert (tmp_path / "key.1.checkpoint.tmp").exists()
        raise ZeroDivisionError
    assert (tmp_path / "key.1.checkpoint.tmp").exists()  # a failed stage keeps its trainings


def test_a_finished_training_of_a_killed_stage_is_not_repeated(tmp_path: Path) -> None:
    path, taken = tmp_path / "key.safetensors", []
    for _ in range(2):
        checkpoints = Checkpoints(every=0)
        count = stopping(-1, lambda: None)
        with pytest.raises(ZeroDivisionError), checkpoints.stage(path):
            victim(checkpoints, []).fit(
                rows(), generator_for(0, "v"), lambda *arguments, count=count: taken.append(1) or count(*arguments)
            )
            raise ZeroDivisionError
    assert len(taken) == STEPS


def test_another_training_ignores_the_file(tmp_path: Path) -> None:
    path, taken = tmp_path / "key.safetensors", []
    for seed in (0, 1):
        checkpoints = Checkpoints(every=0)
        with pytest.raises(ZeroDivisionError), checkpoints.stage(path):
            victim(checkpoints, []).fit(rows(), generator_for(seed, "v"), lambda *a: taken.append(1) or supervised(*a))
            raise ZeroDivisionError
    assert len(taken) == 2 * STEPS


@pytest.mark.parametrize("damage", [b"", b"junk", None])
def test_a_damaged_file_is_ignored(tmp_path: Path, damage: bytes | None) -> None:
    path, file = tmp_path / "key.safetensors", tmp_path / "key.1.checkpoint.tmp"
    checkpoints = Checkpoints(every=0)
    with pytest.raises(ZeroDivisionError), checkpoints.stage(path):
        victim(checkpoints, []).fit(rows(), generator_for(0, "v"))
        raise ZeroDivisionError
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data) if damage is None else damage)
    fresh, taken = Checkpoints(), []
    with fresh.stage(path):
        victim(fresh, []).fit(rows(), generator_for(0, "v"), lambda *a: taken.append(1) or supervised(*a))
    assert len(taken) == STEPS


def test_outside_a_stage_nothing_is_written(tmp_path: Path) -> None:
    checkpoints = Checkpoints(every=0)
    victim(checkpoints, []).fit(rows(), generator_for(0, "v"))
    assert not checkpoints.next("x").due() and not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_schedulers_handler_is_called_once_the_state_is_written(tmp_path: Path, number: int) -> None:
    """One that returns lets the training go on; one that leaves, as submitit's does after it requeued the job, ends it."""
    path, called = tmp_path / "key.safetensors", []

    def bypass(caught: int, frame: object) -> None:
        called.append((caught, (tmp_path / "key.1.checkpoint.tmp").exists()))

    before = signal.signal(number, bypass)
    try:
        checkpoints, heard = Checkpoints(), list[float]()
        with checkpoints.stage(path):
            trained = victim(checkpoints, heard)
            trained.fit(rows(), generator_for(0, "v"), stopping(5, lambda: os.kill(os.getpid(), number)))
        assert called == [(number, True)] and signal.getsignal(number) is bypass
        state, losses = undisturbed()
        assert heard == losses and all(torch.equal(t, state[name]) for name, t in trained.state().items())

        signal.signal(number, lambda *_: (_ for _ in ()).throw(SystemExit("requeued")))
        with pytest.raises(SystemExit, match="requeued"), checkpoints.stage(path):
            trained = victim(checkpoints, [])
            trained.fit(rows(), generator_for(0, "v"), stopping(5, lambda: os.kill(os.getpid(), number)))
        assert (tmp_path / "key.1.checkpoint.tmp").exists()
    finally:
        signal.signal(number, before)
