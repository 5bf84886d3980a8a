"""Long trainings survive: their state is written every few minutes and on a signal; the rest has the same bits."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from benchmark.seal import Damaged, sealed, verified
from benchmark.store import replace

EVERY = 180.0  # seconds between two checkpoints of a training
SIGNALS = (signal.SIGTERM, signal.SIGUSR2)  # what clusters send before they take a machine away


Handler = Callable[[int, FrameType | None], Any] | int | None


class InterruptedTraining(SystemExit):
    """A signal asked the process to stop; the state of the training lies beside its artefact."""


class Checkpoints:
    """The checkpoints of the stage under way, which may train several times; each training has a file of its own.

    Files end in `.tmp`: they are removed when the stage is done, and mean nothing without this class.

    Args:
        every: seconds between two writes.
        clock: monotonic seconds; replaced in tests.
    """

    def __init__(self, every: float = EVERY, clock: Callable[[], float] = time.monotonic) -> None:
        self.every, self.clock = every, clock
        self.path: Path | None = None
        self.trainings = 0
        self.written = clock()
        self.caught: list[int] = []  # signals since the last write
        self.before: dict[int, Handler] = {}  # what handled them

    @contextmanager
    def stage(self, path: Path) -> Iterator[None]:
        """Keep what is trained inside the block; drop the files when it ends well. Stages may lie in one another.

        Args:
            path: of the artefact that is being made.
        """
        outer = self.path, self.trainings
        self.path, self.trainings = path, 0
        try:
            yield
        finally:
            self.path, self.trainings = outer
        for left in path.parent.glob(f"{path.stem}.*.checkpoint.tmp"):
            left.unlink(missing_ok=True)

    def next(self, identity: str) -> Checkpoint:
        """The checkpoint of the stage's next training; outside a stage nothing is kept.

        Args:
            identity: what the training depends on; a file of another one is ignored.
        """
        self.trainings += 1
        name = None if self.path is None else self.path.with_name(f"{self.path.stem}.{self.trainings}.checkpoint.tmp")
        self.written = self.clock()
        return Checkpoint(self, name, identity)


class Checkpoint:
    """Where one training left off.

    Args:
        owner: tells when to write.
        path: the file, or None.
        identity: what the training depends on.
    """

    def __init__(self, owner: Checkpoints, path: Path | None, identity: str) -> None:
        self.owner, self.path, self.identity = owner, path, identity

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take signals as a wish to write and stop, while this training runs; elsewhere they keep their meaning."""
        with _listening(self.owner) if self.path is not None else nullcontext():
            yield

    def resume(self, tensors: Mapping[str, Tensor], device: torch.device) -> tuple[int, list[float]]:
        """Set tensors, in place and in their own memory layout, and the global generators to what was saved.

        Returns:
            Steps that are done and the losses of finished epochs; 0 and none where there is nothing to continue.
        """
        found = self._read()
        if found is None or found["facts"]["identity"] != self.identity:
            return 0, []
        for name, tensor in tensors.items():
            with torch.no_grad():
                tensor.copy_(found["tensors"][name])
        torch.set_rng_state(found["tensors"]["generator/cpu"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(found["tensors"]["generator/cuda"], device)
        return int(found["facts"]["step"]), list(found["facts"]["losses"])

    def due(self) -> bool:
        """Whether the state should be written now: looked at after every step, so it must cost nothing."""
        if self.path is None:
            return False
        return bool(self.owner.caught) or self.owner.clock() - self.owner.written >= self.owner.every

    def keep(self, step: int, losses: list[float], tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Write the state where it is due; arguments as in `write`."""
        if self.due():
            self.write(step, losses, tensors, device)

    def write(self, step: int, losses: list[float], tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Write the state whole over the last one, and do what a signal asked for.

        What handled the signal before this training is called: a scheduler's handler may put the job back into its
        queue and leave, or only wait to be killed, and then the training goes on. Where nothing did, the process stops.

        Args:
            step: how many are done.
            losses: of finished epochs.
            tensors: everything that moved.
            device: whose generator is saved too.

        Raises:
            InterruptedTraining: after a signal that nothing handled before.
        """
        assert self.path is not None
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        state["generator/cpu"] = torch.get_rng_state()
        if device.type == "cuda":
            state["generator/cuda"] = torch.cuda.get_rng_state(device)
        facts = {"identity": self.identity, "step": step, "losses": losses}
        replace(self.path, sealed(lambda metadata: save(state, metadata), facts))
        self.owner.written = self.owner.clock()
        while self.owner.caught:
            number = self.owner.caught.pop()
            handler = self.owner.before[number]
            if not callable(handler):
                raise InterruptedTraining("interrupted; the same command continues the training")
            handler(number, None)

    def _read(self) -> dict[str, Any] | None:
        if self.path is None:
            return None
        try:
            facts = verified(self.path).facts
            with safe_open(self.path, "pt") as file:
                return {"facts": facts, "tensors": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118
        except (FileNotFoundError, Damaged, SafetensorError):
            return None


@contextmanager
def _listening(owner: Checkpoints) -> Iterator[None]:
    """Let signals leave their number, and do nothing else; what handled them before is put back."""
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread alone
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        owner.caught.append(number)

    owner.before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in owner.before.items():
            signal.signal(number, handler)
