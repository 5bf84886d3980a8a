"""A model under study: how rows are read, trained on and predicted. One class per way of reading rows."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from benchmark import training
from benchmark.checkpoint import Checkpoints
from benchmark.feed import Feed
from benchmark.recipe import Recipe
from benchmark.training import Objective, Watch, supervised
from benchmark.types import Inputs, Split, State, Targets


def _unwatched(done: int, epochs: int, loss: float) -> None:
    """The default watch: nobody looks."""


class Victim(ABC):
    """Wraps one `nn.Module`.

    Attributes:
        module: everything that is trained and stored.
        recipe: how it is trained unless `fit` is told otherwise.
        device: where it lives.
        watch: told the loss of every epoch.
        checkpoints: where a long training keeps its state.

    Class attributes:
        modality: what rows it reads.
    """

    modality: ClassVar[str]

    def __init__(self, module: nn.Module, recipe: Recipe, device: torch.device) -> None:
        self.module = module.to(device).eval()
        self.recipe = recipe
        self.device = device
        self.watch: Watch = _unwatched
        self.checkpoints = Checkpoints()

    def fit(
        self, split: Split, generator: Generator, objective: Objective = supervised, recipe: Recipe | None = None
    ) -> Self:
        """Train in place by the one training loop (`benchmark.training.fit`) and return self."""
        training.fit(self, split, generator, objective, recipe or self.recipe)
        return self

    def feed(self, split: Split, recipe: Recipe) -> Feed:
        """Batches for training, prepared once for this modality."""
        return Feed(split, recipe, self.device)

    def compile(self) -> None:
        """Compile what training runs, for trainings long enough to pay for it."""
        self.module.compile()

    @abstractmethod
    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        """Differentiable loss of each row, float (B,)."""

    @abstractmethod
    def predict(self, inputs: Inputs) -> Targets:
        """One output a row, on the CPU; REJECT where an input is refused."""

    def suspicion(self, inputs: Inputs) -> Tensor | None:
        """How suspicious each input looks to a defense built into this victim, float (N,), or None."""
        return None

    def state(self) -> State:
        """All tensors of the module: contiguous copies on the CPU."""
        tensors = self.module.state_dict().items()
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors}

    def load(self, state: State) -> Self:
        """Set all tensors of the module, keeping their memory layout, and return self."""
        self.module.load_state_dict(state)
        return self

    def copy(self) -> Self:
        """An independent twin with the same weights."""
        twin = copy.copy(self)
        twin.module = copy.deepcopy(self.module)
        return twin


class Classifier(Victim):
    """A victim with K classes whose architecture names its `stages` and its `head`.

    `stages` run one after the other from normalised inputs to activations (N, C, ...); `head` turns the last
    activations into logits. Inversion, adversarial search and masks enter at `encode`.
    """

    classes: int

    @abstractmethod
    def encode(self, inputs: Inputs) -> Tensor:
        """The differentiable form of inputs on the device: float pixels in [0, 1] (N, C, H, W), or embeddings."""

    @abstractmethod
    def activations(self, x: Tensor, stage: int = -1) -> Tensor:
        """Output of a stage for encoded inputs, float (N, C, ...)."""

    @abstractmethod
    def head_logits(self, activations: Tensor) -> Tensor:
        """Class scores from the last stage's activations, float (N, K)."""

    @abstractmethod
    def channels(self, stage: int = -1) -> int:
        """C of a stage's activations."""

    @abstractmethod
    def mask(self, keep: Tensor, stage: int = -1) -> None:
        """Multiply a stage's channels by `keep`, float (C,), from now on; the mask is part of the state."""

    @abstractmethod
    def resize(self, classes: int, generator: Generator) -> None:
        """Give the head `classes` outputs; the rows of classes that stay keep their weights."""

    @abstractmethod
    def batch_rows(self) -> int:
        """Rows of one evaluation batch, by measurement on this kind of device."""

    def logits(self, x: Tensor) -> Tensor:
        """Class scores of encoded inputs, float (N, K)."""
        return self.head_logits(self.activations(x))

    def features(self, x: Tensor, stage: int = -1) -> Tensor:
        """Mean of a stage's activations over positions, float (N, C)."""
        return self.activations(x, stage).flatten(2).mean(2)

    def loss(self, inputs: Inputs, targets: Targets) -> Tensor:
        """Cross-entropy of each row, float (B,)."""
        assert isinstance(targets, Tensor)
        return cross_entropy(self.logits(self.encode(inputs)), targets.to(self.device), reduction="none")

    def predict(self, inputs: Inputs) -> Targets:
        """The most likely class of each row, int64 (N,), on the CPU."""
        return self.scores(inputs).argmax(1)

    def scores(self, inputs: Inputs) -> Tensor:
        """Class probabilities, float (N, K), on the CPU."""
        return self.over(inputs, lambda x: self.logits(x).softmax(1))

    @torch.no_grad()
    def over(self, inputs: Inputs, function: Callable[[Tensor], Tensor]) -> Tensor:
        """`function` of encoded inputs in batches, without gradients, joined on the CPU.

        Args:
            inputs: at least one row.
            function: encoded batch -> tensor with one row per input.
        """
        rows = self.batch_rows()
        parts = [function(self.encode(inputs[at : at + rows])) for at in range(0, len(inputs), rows)]
        return torch.cat(parts).cpu() if parts else torch.empty(0, self.classes)
