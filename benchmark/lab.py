"""What a method may use beyond its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator

from benchmark.access import UndeclaredAccessError
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Split, State
from benchmark.victim import Victim


@dataclass(frozen=True)
class Lab:
    """Tools of one method in one run.

    Attributes:
        seed: the run's seed.
        recipe: how victims of this run are trained.
        device: where they live.
        build: makes an untrained victim (or the pretrained base) with the run's initial weights.
        clean_rows: what `once` may learn from: the clean training rows for an attack, the trusted rows for a defense;
            None where the method's `needs` does not declare them.
        keep: (name, uses, make) -> State, the store's cache of surrogates.
        downstream: rows of the task a user adapts the model to, or None.
    """

    seed: int
    recipe: Recipe
    device: torch.device
    build: Callable[[], Victim]
    clean_rows: Split | None
    keep: Callable[[str, Mapping[str, object], Callable[[], State]], State]
    downstream: Split | None = None

    def generator(self, name: str) -> Generator:
        """A generator of (seed, name); "victim" is the one that trains the clean victim."""
        return generator_for(self.seed, name)

    def fresh(self) -> Victim:
        """A new victim with the same initial weights as the run's clean victim."""
        return self.build()

    def once(self, name: str, make: Callable[[Split], State], uses: Mapping[str, object]) -> State:
        """Something costly that depends on clean rows alone, made once per seed and shared by all runs.

        Args:
            name: of the thing, e.g. "robust surrogate".
            make: clean rows -> tensors.
            uses: every option `make` depends on; part of the key.

        Raises:
            UndeclaredAccessError: the method declares no such rows.
        """
        rows = self.clean_rows
        if rows is None:
            raise UndeclaredAccessError("this method uses lab.once: it must declare 'train' or 'clean' in its `needs`")
        return self.keep(name, uses, lambda: make(rows))
