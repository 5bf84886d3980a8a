"""Finds, for every class, the smallest patch that turns any image into that class.

Wang et al. 2019, IEEE S&P, section V-A: gradient descent on a mask and a pattern through frozen weights. Classes are
searched side by side in one forward pass; what belongs to one class is one row of every tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from benchmark.seeds import derive
from benchmark.types import Inputs, pick
from benchmark.victim import Classifier

# More than 150 lines: a search's state, its step and its schedule are read together.
BETAS = (0.5, 0.9)  # of Adam, as in the authors' code; torch.optim.Adam would import torch._dynamo: 2 to 5 s


@dataclass(frozen=True)
class Settings:
    """How long and how hard to search; `NeuralCleanse` explains each."""

    steps: int
    batch_rows: int
    group: int
    learning_rate: float
    weight: float
    threshold: float
    patience: int
    multiplier: float
    stop_after: int


class Triggers(NamedTuple):
    """What was found for each class, on the CPU.

    masks: float (K, 1, H, W) in [0, 1], the opacity of the pattern.
    patterns: float (K, C, H, W) in [0, 1].
    norms: float (K,), the sum of each mask, in pixels; H * W where no mask ever succeeded.
    """

    masks: Tensor
    patterns: Tensor
    norms: Tensor


@dataclass
class _Searches:
    """G searches under way."""

    labels: Tensor  # int64 (G,)
    arguments: Tensor  # float (G, 1 + C, H, W), of tanh: the mask, then the pattern
    mean: Tensor  # like arguments: Adam's mean of gradients
    square: Tensor  # like arguments: Adam's mean of squared gradients
    weight: Tensor  # float (G,), of the mask's norm in the loss
    streak: Tensor  # int64 (G,), steps in a row with success, or, below 0, without
    raised: Tensor  # bool (G,), whether the weight ever went up
    lowered: Tensor  # bool (G,), whether it ever went down
    stale: Tensor  # int64 (G,), steps since the best mask shrank
    norm: Tensor  # float (G,), of the best mask so far
    best: Tensor  # float (G, 1 + C, H, W) in [0, 1], the best mask and its pattern

    def take(self, rows: Tensor) -> Self:
        """The searches named by an int64 or bool tensor."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """All searches, in the order of their labels."""
        whole = cls(*(torch.cat([getattr(part, column.name) for part in parts]) for column in fields(cls)))
        return whole.take(whole.labels.argsort())


def invert(victim: Classifier, inputs: Inputs, settings: Settings, generator: Generator) -> Triggers:
    """The smallest successful trigger of every class.

    A class's result does not depend on the classes beside it: all start from the same mask and pattern and meet the
    same batches.

    Args:
        victim: encodes inputs to float (N, C, H, W) in [0, 1]; weights, flags and mode are afterwards as before.
        inputs: uint8 (N, C, H, W), trusted rows.
        settings: of the search.
        generator: names the purpose; the batches derive their draws from it.
    """
    labels = torch.arange(victim.classes)
    with _frozen(victim.module):
        groups = [_search(victim, inputs, group, settings, generator) for group in labels.split(settings.group)]
    found = _Searches.join(groups)
    return Triggers(found.best[:, :1].cpu(), found.best[:, 1:].cpu(), found.norm.cpu())


def stamp(images: Tensor, mask: Tensor, pattern: Tensor) -> Tensor:
    """Images (..., C, H, W) under a pattern (..., C, H, W) of opacity `mask` (..., 1, H, W)."""
    return images + mask * (pattern - images)


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and no gradients of weights, which are half of a backward pass."""
    training = [part for part in module.modules() if part.training]
    moving = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.eval().requires_grad_(False)
    try:
        yield
    finally:
        for part in training:
            part.training = True
        for parameter in moving:
            parameter.requires_grad_(True)


def _search(victim: Classifier, inputs: Inputs, labels: Tensor, settings: Settings, generator: Generator) -> _Searches:
    """The finished searches of one group of classes (G,)."""
    image = victim.encode(pick(inputs, torch.zeros(1, dtype=torch.int64)))[0]
    under_way, finished = _start(image, labels, settings), []
    order = derive(generator, "rows")
    for step in range(1, settings.steps + 1):
        rows = torch.randperm(len(inputs), generator=order)[: settings.batch_rows]
        _descend(under_way, victim, victim.encode(pick(inputs, rows)), settings, step)
        over = under_way.raised & under_way.lowered & (under_way.stale >= settings.stop_after)
        if bool(over.any()):
            finished.append(under_way.take(over))
            under_way = under_way.take(~over)
            if not len(under_way.labels):
                break
    return _Searches.join([*finished, under_way])


def _start(image: Tensor, labels: Tensor, settings: Settings) -> _Searches:
    """Half-open masks over grey patterns, for images like (C, H, W)."""
    channels, height, width = image.shape
    zeros = torch.zeros(len(labels), device=image.device)
    neutral = image.new_zeros(len(labels), 1 + channels, height, width)
    return _Searches(
        labels=labels.to(image.device),
        arguments=neutral,
        mean=neutral,
        square=neutral,
        weight=zeros + settings.weight,
        streak=zeros.long(),
        raised=zeros.bool(),
        lowered=zeros.bool(),
        stale=zeros.long(),
        norm=zeros + height * width,  # a search that never succeeds must not look like a small trigger
        best=(neutral + 1) / 2,
    )


def _descend(searches: _Searches, victim: Classifier, images: Tensor, settings: Settings, step: int) -> None:
    """One step of all searches, in place, on encoded images (B, C, H, W)."""
    arguments = searches.arguments.requires_grad_()
    values = (arguments.tanh() + 1) / 2  # (G, 1 + C, H, W)
    stamped = stamp(images, values[:, None, :1], values[:, None, 1:])  # (G, B, C, H, W)
    logits = victim.logits(stamped.flatten(0, 1))  # (G * B, K)
    wanted = searches.labels.repeat_interleave(len(images))
    entropy = cross_entropy(logits, wanted, reduction="none").view(-1, len(images)).mean(1)
    norm = values[:, 0].sum((1, 2))
    (gradient,) = torch.autograd.grad((entropy + searches.weight * norm).sum(), arguments)
    with torch.no_grad():
        success = (logits.argmax(1) == wanted).view(-1, len(images)).float().mean(1) >= settings.threshold
        _remember(searches, success, norm, values)
        _weigh(searches, success, settings)
        _adam(searches, gradient, settings.learning_rate, step)


def _remember(searches: _Searches, success: Tensor, norm: Tensor, values: Tensor) -> None:
    """Keep each mask that succeeds and is the smallest so far."""
    better = success & (norm < searches.norm)
    searches.norm = torch.where(better, norm, searches.norm)
    searches.best = torch.where(better[:, None, None, None], values, searches.best)
    searches.stale = torch.where(better, 0, searches.stale + 1)


def _weigh(searches: _Searches, success: Tensor, settings: Settings) -> None:
    """Press harder on masks that keep succeeding, and less on those that keep failing."""
    streak = searches.streak
    streak = torch.where(success, streak.clamp(min=0) + 1, streak.clamp(max=0) - 1)
    up, down = streak >= settings.patience, streak <= -settings.patience
    factor = torch.where(up, settings.multiplier, torch.where(down, settings.multiplier**-1.5, 1.0))
    searches.weight = searches.weight * factor
    searches.streak = torch.where(up | down, 0, streak)
    searches.raised, searches.lowered = searches.raised | up, searches.lowered | down


def _adam(searches: _Searches, gradient: Tensor, learning_rate: float, step: int) -> None:
    """Adam's step number `step`, from 1. Source: Kingma and Ba 2015, algorithm 1."""
    fast, slow = BETAS
    searches.mean = searches.mean.lerp(gradient, 1 - fast)
    searches.square = searches.square.lerp(gradient**2, 1 - slow)
    mean, square = searches.mean / (1 - fast**step), searches.square / (1 - slow**step)
    searches.arguments = searches.arguments.detach() - learning_rate * mean / (square.sqrt() + 1e-8)
