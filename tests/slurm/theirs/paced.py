"""The small network of the digits, which tells when a training begins and ends, and waits at every step if asked to."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from torch import Tensor, nn

from benchmark.victims.small_cnn import SmallCNN


class Paced(SmallCNN):
    """The same weights and answers as its parent.

    Environment: POSTERN_TEST_TRAININGS, a file that gets a line for every beginning and end of a training;
    POSTERN_TEST_PACE, a file with the seconds to wait at every step, which may change.
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__(channels, classes, width)
        self.stages[0] = nn.Sequential(Pace(), self.stages[0])


class Pace(nn.Module):
    """Hands on what it is given."""

    steps: int | None = None  # of the training under way

    def forward(self, x: Tensor) -> Tensor:
        if self.steps is not None and self.training:
            self.steps += 1
            time.sleep(float(Path(os.environ["POSTERN_TEST_PACE"]).read_text()))
        return x

    def train(self, mode: bool = True) -> Pace:
        if mode:
            self.steps = 0
            tell("begun", 0)
        elif self.steps is not None:
            tell("done", self.steps)
            self.steps = None
        super().train(mode)
        return self


def tell(event: str, steps: int) -> None:
    names = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_ID", "SLURMD_NODENAME")
    line = {"event": event, "steps": steps, "process": os.getpid(), **{name: os.environ.get(name) for name in names}}
    with Path(os.environ["POSTERN_TEST_TRAININGS"]).open("a") as file:  # one short write to the end: lines stay whole
        file.write(json.dumps(line) + "\n")
