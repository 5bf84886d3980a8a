"""How a victim is trained: part of every key, never pooled on a leaderboard."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from benchmark.errors import BadInput

Schedule = Literal["constant", "cosine", "one_cycle"]
SCHEDULES = get_args(Schedule)
WARM_UP_SHARE = 0.25  # of all steps, for one_cycle


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent, its schedule, and what is done to inputs on the way.

    Attributes:
        name: what tables call it.
        epochs: passes over the rows, at least 1.
        batch_size: rows of a step; the rows of an epoch are cut into equal batches of at most this size.
        learning_rate: the peak of the schedule.
        momentum, nesterov, weight_decay: of SGD; decay applies to every parameter.
        schedule: "constant"; "cosine" from the peak to 0; "one_cycle", up and down in straight lines.
        crop: largest shift of a random crop, as a share of the image's side; 0 for none.
        flip: mirror half of the images, where the data set allows it.
        rotation: largest turn of an image either way, in degrees; 0 for none.
        cutout: side of a square set to 0 somewhere in each image, as a share of the image's side; 0 for none.
        small_epochs, small_scale: the first epochs see smaller images, of this share of the side.
        compile_above: `torch.compile` a training of more steps than this; None for never.
        precision: "auto" (bf16 on CUDA, else fp32), "fp32" or "bf16".
        deterministic: refuse CUDA kernels whose results vary from run to run (slower).
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: Schedule = "cosine"
    crop: float = 0.0
    flip: bool = False
    rotation: float = 0.0
    cutout: float = 0.0
    small_epochs: int = 0
    small_scale: float = 0.75
    compile_above: int | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    deterministic: bool = False

    def __post_init__(self) -> None:
        _require("epochs", self.epochs, isinstance(self.epochs, int) and self.epochs >= 1, "an integer of at least 1")
        batch_is_fine = isinstance(self.batch_size, int) and self.batch_size >= 2
        _require("batch_size", self.batch_size, batch_is_fine, "an integer of at least 2 (batch norm needs two rows)")
        _require("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0")
        _require("crop", self.crop, 0 <= self.crop <= 0.5, "between 0 and 0.5")
        _require("rotation", self.rotation, 0 <= self.rotation <= 180, "between 0 and 180 degrees")
        _require("cutout", self.cutout, 0 <= self.cutout <= 1, "between 0 and 1")
        _require("small_epochs", self.small_epochs, self.small_epochs >= 0, "at least 0")
        _require("small_scale", self.small_scale, 0.25 <= self.small_scale < 1, "at least 0.25 and below 1")
        _require("momentum", self.momentum, 0 <= self.momentum < 1, "at least 0 and below 1")
        _require("schedule", self.schedule, self.schedule in SCHEDULES, "one of " + ", ".join(SCHEDULES))
        _require("precision", self.precision, self.precision in ("auto", "fp32", "bf16"), "auto, fp32 or bf16")

    def replace(self, **changes: object) -> Self:
        """The same recipe with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # a wrong name raises TypeError

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of one step, a pure function of (step, steps) so that resuming needs no scheduler state."""
        done = step / steps
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        warm_up = max(1, round(WARM_UP_SHARE * steps))
        rising, falling = (step + 1) / warm_up, (steps - step) / max(1, steps - warm_up)
        return self.learning_rate * min(1.0, rising, falling)


def resolved_precision(precision: str, device_kind: str) -> str:
    """What "auto" means on a kind of device: part of every key."""
    return ("bf16" if device_kind == "cuda" else "fp32") if precision == "auto" else precision


def _require(name: str, value: object, fine: bool, limit: str) -> None:
    if not fine:
        raise BadInput(f"recipe.{name}={value}: must be {limit}; set recipe.{name} or choose another recipe")
