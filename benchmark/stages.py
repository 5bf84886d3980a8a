"""The stages of a run, each loaded from the store or made, scored and published.

Everything here may import torch; `benchmark.run` reaches it only when something is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from benchmark import keys
from benchmark.access import view
from benchmark.artefact import pack_defended, packed, part, unpack_defended
from benchmark.attack import Attack
from benchmark.checkpoint import Checkpoints
from benchmark.config import construct
from benchmark.costs import measured
from benchmark.data import cache
from benchmark.data.partition import dataset
from benchmark.data.source import Source
from benchmark.defense import Defense
from benchmark.devices import torch_device
from benchmark.errors import BadInput
from benchmark.keys import Keys
from benchmark.lab import Lab
from benchmark.recipe import Recipe
from benchmark.scoring import Score, score
from benchmark.seeds import forked, generator_for
from benchmark.store import Artefact, Store
from benchmark.types import Defended, Poisoned, Split, State
from benchmark.victim import Victim

Progress = Callable[[str, int, int, float], None]  # stage, epochs done, epochs of this training, loss


@dataclass(frozen=True)
class Trained:
    """A victim as the store holds it, with the attack's secret where it has one."""

    victim: Victim
    artefact: Artefact
    secret: State


@dataclass(frozen=True)
class Protected:
    """A deployed defense: the victim rebuilt from what was stored, and what was found."""

    victim: Victim
    artefact: Artefact
    found: Defended


class Stages:
    """One configuration made concrete.

    Args:
        config: the resolved tree.
        plan: the keys of its stages.
        store: where they lie.
        progress: told every epoch.

    Raises:
        BadInput: parts that do not fit each other, the data or the machine; nothing has been trained by then.
    """

    def __init__(self, config: Mapping[str, Any], plan: Keys, store: Store, progress: Progress) -> None:
        self.config, self.plan, self.store, self.progress = config, plan, store, progress
        self.device = torch_device(str(config["device"]))
        torch.set_num_threads(int(config["threads"]))
        self.seed = int(config["seed"])
        self.attack = cast(Attack, construct(config, "attack"))
        self.defense = cast(Defense, construct(config, "defense"))
        self.architecture = cast("partial[Victim]", construct(config, "architecture"))
        source = cast(Source, construct(config, "dataset"))
        self._same_modality(source.modality)
        self.dataset = dataset(cache.rows(config["dataset"], store), source, self.seed)
        recipe = cast(Recipe, construct(config, "recipe"))
        self.recipe = recipe.replace(flip=recipe.flip and self.dataset.mirror)
        self.curve: list[float] = []
        self.checkpoints = Checkpoints()
        self.attack.check(self.dataset.train)
        self.defense.check(self.dataset.clean)
        self.reads = isinstance(self.fresh(), self.defense.reads)

    def inapplicable(self) -> str | None:
        """Why the defense has nothing to say about this attack or victim, or None."""
        if "train" in self.defense.needs and self.attack.ships == "model":
            return f"{type(self.defense).__name__} needs training rows; {type(self.attack).__name__} ships a model"
        if not self.reads:
            return f"{type(self.defense).__name__} works on a {self.defense.reads.__name__}"
        return None

    def fresh(self) -> Victim:
        """An untrained (or pretrained) victim with the run's initial weights."""
        generator = generator_for(self.seed, "initial weights")
        victim = self.architecture(
            sample=self.dataset.train, recipe=self.recipe, device=self.device, generator=generator
        )
        victim.watch, victim.checkpoints = self._epoch_done, self.checkpoints
        return victim

    def clean(self) -> Trained:
        """The victim trained on clean rows."""

        def build() -> tuple[Victim, State]:
            return self.fresh().fit(self.dataset.train, generator_for(self.seed, "victim")), {}

        return self._trained("clean", self.plan.clean, build, self.fresh)

    def backdoored(self, clean: Trained) -> Trained:
        """The attacked victim, with the attack's secret."""
        lab = self._lab("attack", self.dataset.train)

        def build() -> tuple[Victim, State]:
            known = clean.victim.copy() if "victim" in self.attack.needs else None
            secret = self.attack.prepare(known, self._attacker_rows(), lab)
            poisoned = self.poisoned(secret) if "train" in self.attack.needs else None
            return self.attack.implant(self._attacker_base(clean), poisoned, secret, lab), secret

        return self._trained("backdoored", self.plan.backdoored, build, lambda: self.attack.graft(self.fresh()))

    def sham(self, clean: Trained) -> Trained:
        """The attack's own loop without the backdoor; the clean victim where the attack has no such loop."""
        if self.plan.sham == self.plan.clean:
            return clean
        lab = self._lab("attack", self.dataset.train)

        def build() -> tuple[Victim, State]:
            return self.attack.sham(self._attacker_base(clean), self._attacker_rows(), lab), {}

        return self._trained("sham", self.plan.sham, build, lambda: self.attack.graft(self.fresh()))

    def poisoned(self, secret: State) -> Poisoned:
        """The training rows as the attack leaves them; a pure function of the seed and the secret."""
        return self.attack.poison(self.dataset.train, secret, generator_for(self.seed, "poison"))

    def protected(self, name: str, victim: Victim, train: Split) -> Protected:
        """The defense applied to a victim, and deployed again from what was stored.

        Args:
            name: "defended" or "control".
            victim: not changed.
            train: the rows it was trained on, without marks.
        """
        path = self.store.artefact(self.plan.run if name == "defended" else self.plan.control)
        needs, lab = self.defense.needs, self._lab("defense", self.dataset.clean)
        clean = self.dataset.clean if "clean" in needs else None

        def deploy(found: Defended) -> Victim:
            return self.defense.deploy(view(victim, needs), clean, found)

        def make() -> bytes:
            with self._stage(name, "defense", path) as facts:
                found = self.defense.apply(view(victim, needs), clean, train if "train" in needs else None, lab)
            return pack_defended(found, {**facts, "ca": score(deploy(found), self.dataset.test, self.dataset.match)})

        artefact = self.store.obtain(path, make)
        found = unpack_defended(artefact)
        return Protected(deploy(found), artefact, found)

    def _trained(
        self, name: str, key: str, build: Callable[[], tuple[Victim, State]], shell: Callable[[], Victim]
    ) -> Trained:
        path = self.store.artefact(key)

        def make() -> bytes:
            with self._stage(name, name, path) as facts:
                victim, secret = build()
            ca: Score = score(victim, self.dataset.test, self.dataset.match)
            return packed({"victim": victim.state(), "secret": secret}, {**facts, "ca": ca})

        artefact = self.store.obtain(path, make)
        return Trained(shell().load(part(artefact, "victim")), artefact, part(artefact, "secret"))

    @contextmanager
    def _stage(self, name: str, purpose: str, path: Path) -> Iterator[dict[str, Any]]:
        """Seed the global generators, measure, keep checkpoints, and collect the loss curve.

        The facts are complete after the block.
        """
        facts: dict[str, Any] = {}
        self.curve, self.name = [], name
        seeded = forked(generator_for(self.seed, purpose), self.device)
        with seeded, measured(self.device) as costs, self.checkpoints.stage(path):
            yield facts
        facts.update(costs=costs, curve=self.curve)

    def _epoch_done(self, done: int, epochs: int, loss: float) -> None:
        self.curve.append(round(loss, 5))
        self.progress(self.name, done, epochs, loss)

    def _attacker_rows(self) -> Split | None:
        return self.dataset.train if "train" in self.attack.needs else None

    def _attacker_base(self, clean: Trained) -> Victim:
        return self.attack.graft(clean.victim.copy() if "victim" in self.attack.needs else self.fresh())

    def _lab(self, method: str, clean_rows: Split) -> Lab:
        def keep(name: str, uses: Mapping[str, object], make: Callable[[], State]) -> State:
            key = keys.surrogate(self.plan.clean, self.config[method], name, uses)
            artefact = self.store.obtain(self.store.artefact(key), lambda: packed({"state": make()}, {}))
            return part(artefact, "state")

        return Lab(self.seed, self.recipe, self.device, self.fresh, clean_rows, keep)

    def _same_modality(self, modality: str) -> None:
        for name, reads in (
            ("attack", self.attack.modality),
            ("architecture", _victim_class(self.architecture).modality),
        ):
            if reads not in (modality, "any"):
                target = self.config[name]["_target_"]
                raise BadInput(
                    f"{name} {target}: is for {reads} rows, the data set has {modality} rows; choose another {name}"
                )


def _victim_class(architecture: partial[Victim]) -> type[Victim]:
    return cast("type[Victim]", architecture.func)
