"""The one training loop; methods take part through an objective instead of copying it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn import Parameter

from benchmark.recipe import Recipe
from benchmark.seeds import derive, forked
from benchmark.types import Split

if TYPE_CHECKING:
    from benchmark.victim import Victim

Objective = Callable[["Victim", Split, Generator], Tensor]  # (victim, batch, the step's generator) -> scalar loss
Watch = Callable[[int, int, float], None]  # (epochs done, epochs in all, mean loss of the epoch)


def supervised(victim: Victim, batch: Split, generator: Generator) -> Tensor:
    """The mean loss of a batch on its own labels."""
    return victim.loss(batch.inputs, batch.targets).mean()


class SGD:
    """Momentum SGD on `torch._foreach_*`; torch.optim would import torch._dynamo, 2 to 5 s before the first step."""

    def __init__(self, parameters: Sequence[Parameter], recipe: Recipe) -> None:
        self.parameters = list(parameters)
        self.recipe = recipe
        self.momenta = [torch.zeros_like(parameter) for parameter in self.parameters]

    def state(self) -> dict[str, Tensor]:
        """The momenta, by name: what a training must keep besides its weights."""
        return {f"momentum/{at}": momentum for at, momentum in enumerate(self.momenta)}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move every parameter that has a gradient, then drop the gradients."""
        active = [(p, m) for p, m in zip(self.parameters, self.momenta, strict=True) if p.grad is not None]
        parameters: list[Tensor] = [p for p, _ in active]
        momenta = [m for _, m in active]
        gradients = [p.grad for p in parameters if p.grad is not None]
        gradients = list(torch._foreach_add(gradients, parameters, alpha=self.recipe.weight_decay))
        torch._foreach_mul_(momenta, self.recipe.momentum)
        torch._foreach_add_(momenta, gradients)
        if self.recipe.nesterov:
            torch._foreach_add_(gradients, momenta, alpha=self.recipe.momentum)
        torch._foreach_add_(parameters, gradients if self.recipe.nesterov else momenta, alpha=-learning_rate)
        for parameter in parameters:
            parameter.grad = None


def fit(victim: Victim, split: Split, generator: Generator, objective: Objective, recipe: Recipe) -> None:
    """Train a victim in place; only parameters with `requires_grad` move.

    Args:
        victim: in any mode; left in evaluation mode.
        split: the rows to learn from.
        generator: names the purpose; epochs and steps derive their own draws from it.
        objective: (victim, batch, step generator) -> scalar loss.
        recipe: epochs, batch size, schedule, augmentation.

    Raises:
        ValueError: no row, or no parameter to move.
        FloatingPointError: the loss is no longer finite.
    """
    if len(split) == 0:
        raise ValueError("no rows to train on")
    moving = [p for p in victim.module.parameters() if p.requires_grad]
    if not moving:
        raise ValueError("no parameter requires a gradient")
    feed, optimiser = victim.feed(split, recipe), SGD(moving, recipe)
    steps = recipe.epochs * feed.steps
    if recipe.compile_above is not None and steps > recipe.compile_above:
        victim.compile()
    total = torch.zeros((), device=victim.device)  # of the epoch's losses; read once an epoch, since reading waits
    state = {**victim.module.state_dict(), "loss": total, **optimiser.state()}
    checkpoint = victim.checkpoints.next(f"{generator.initial_seed()} {len(split)} {recipe}")
    victim.module.train()
    with forked(generator, victim.device), checkpoint.listening():
        done, losses = checkpoint.resume(state, victim.device)
        for epoch, loss in enumerate(losses):
            victim.watch(epoch + 1, recipe.epochs, loss)
        for epoch in range(len(losses), recipe.epochs):
            batches = feed.epoch(epoch, derive(generator, "epoch", epoch), done - epoch * feed.steps)
            for step, batch in enumerate(batches, done):
                error = objective(victim, batch, derive(generator, "step", step))
                error.backward()
                optimiser.step(recipe.rate_at(step, steps))
                total += error.detach()
                checkpoint.keep(step + 1, losses, state, victim.device)
            done = (epoch + 1) * feed.steps
            losses.append(_finite(float(total) / feed.steps, epoch))
            victim.watch(epoch + 1, recipe.epochs, losses[-1])
            total.zero_()
    victim.module.eval()


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} in epoch {epoch}: lower recipe.learning_rate")
    return loss
