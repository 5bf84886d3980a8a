"""One configuration made concrete: its data set, victim, attack and defense, checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch

from benchmark.attack import Attack
from benchmark.config import construct
from benchmark.data import cache
from benchmark.data.partition import dataset
from benchmark.data.source import Source
from benchmark.defense import Defense
from benchmark.devices import torch_device
from benchmark.errors import BadInput
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.store import Store
from benchmark.victim import Victim


class Parts:
    """What a run is made of.

    Args:
        config: the resolved tree.
        store: holds the decoded data.

    Raises:
        BadInput: parts that do not fit each other, the data or the machine; nothing has been trained by then.
    """

    def __init__(self, config: Mapping[str, Any], store: Store) -> None:
        self.config = config
        self.seed = int(config["seed"])
        self.device = torch_device(str(config["device"]))
        torch.set_num_threads(int(config["threads"]))
        self.attack = cast(Attack, construct(config, "attack"))
        self.defense = cast(Defense, construct(config, "defense"))
        self.architecture = cast("partial[Victim]", construct(config, "architecture"))
        source = cast(Source, construct(config, "dataset"))
        self._same_modality(source.modality)
        self.dataset = dataset(cache.rows(config["dataset"], store), source, self.seed)
        recipe = cast(Recipe, construct(config, "recipe"))
        self.recipe = recipe.replace(flip=recipe.flip and self.dataset.mirror)
        if torch.are_deterministic_algorithms_enabled() != recipe.deterministic:  # the setter takes 2 s to import
            torch.use_deterministic_algorithms(recipe.deterministic)
        self.attack.check(self.dataset.train)
        self.defense.check(self.dataset.clean)
        self.reads = isinstance(self._first_victim(), self.defense.reads)

    def inapplicable(self) -> str | None:
        """Why the defense has nothing to say about this attack or victim, or None."""
        if "train" in self.defense.needs and self.attack.ships == "model":
            return f"{type(self.defense).__name__} needs training rows; {type(self.attack).__name__} ships a model"
        if not self.reads:
            return f"{type(self.defense).__name__} works on a {self.defense.reads.__name__}"
        return None

    def victim(self) -> Victim:
        """An untrained (or pretrained) victim with the run's initial weights."""
        generator = generator_for(self.seed, "initial weights")
        return self.architecture(sample=self.dataset.train, recipe=self.recipe, device=self.device, generator=generator)

    def _first_victim(self) -> Victim:
        """A victim, built to see whether the architecture's options can be used: a partial call hides that till now."""
        try:
            return self.victim()
        except BadInput:
            raise
        except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
            target = self.config["architecture"]["_target_"]
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise BadInput(f"architecture={target}: {first}; correct the options of architecture") from error

    def _same_modality(self, modality: str) -> None:
        victim = cast("type[Victim]", self.architecture.func)
        for name, reads in (("attack", self.attack.modality), ("architecture", victim.modality)):
            if reads not in (modality, "any"):
                target = self.config[name]["_target_"]
                raise BadInput(
                    f"{name} {target}: is for {reads} rows, the data set has {modality} rows; choose another {name}"
                )
