"""The stages of a run, each loaded from the store or made, scored and published.

Everything here may import torch; `benchmark.run` reaches it only when something is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark import keys
from benchmark.access import view
from benchmark.artefact import pack_defended, packed, part, unpack_defended
from benchmark.checkpoint import Checkpoints
from benchmark.costs import measured
from benchmark.keys import Keys
from benchmark.lab import Lab
from benchmark.parts import Parts
from benchmark.scoring import Score, score
from benchmark.seal import Artefact
from benchmark.seeds import forked, generator_for
from benchmark.store import Store
from benchmark.types import Defended, Poisoned, Split, State, unmarked
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
    """Makes or loads the victims of a run.

    Args:
        parts: what the run is made of.
        plan: the keys of its stages.
        store: where they lie.
        progress: told every epoch.
    """

    def __init__(self, parts: Parts, plan: Keys, store: Store, progress: Progress) -> None:
        self.parts, self.plan, self.store, self.progress = parts, plan, store, progress
        self.name, self.curve = "", list[float]()
        self.checkpoints = Checkpoints()

    def fresh(self) -> Victim:
        """An untrained (or pretrained) victim with the run's initial weights, watched while it trains."""
        victim = self.parts.victim()
        victim.watch, victim.checkpoints = self._epoch_done, self.checkpoints
        return victim

    def clean(self) -> Trained:
        """The victim trained on clean rows."""

        def build() -> tuple[Victim, State]:
            return self.fresh().fit(self.parts.dataset.train, generator_for(self.parts.seed, "victim")), {}

        return self._trained("clean", self.plan.clean, build, self.fresh)

    def surrogates(self) -> None:
        """What the attack learns from clean rows alone, shared by all its rates and targets of one seed."""
        self.parts.attack.surrogates(self._lab("attack", self._attacker_rows()))

    def backdoored(self, clean: Trained) -> Trained:
        """The attacked victim, with the attack's secret."""
        lab = self._lab("attack", self._attacker_rows())

        def build() -> tuple[Victim, State]:
            known = clean.victim.copy() if "victim" in self.parts.attack.needs else None
            secret = self.parts.attack.prepare(known, self._attacker_rows(), lab)
            poisoned = self.poisoned(secret) if "train" in self.parts.attack.needs else None
            return self.parts.attack.implant(self._attacker_base(clean), poisoned, secret, lab), secret

        return self._trained("backdoored", self.plan.backdoored, build, lambda: self.parts.attack.graft(self.fresh()))

    def sham(self, clean: Trained) -> Trained:
        """The attack's own loop without the backdoor; the clean victim where the attack has no such loop."""
        if self.plan.sham == self.plan.clean:
            return clean
        lab = self._lab("attack", self._attacker_rows())

        def build() -> tuple[Victim, State]:
            return self.parts.attack.sham(self._attacker_base(clean), self._attacker_rows(), lab), {}

        return self._trained("sham", self.plan.sham, build, lambda: self.parts.attack.graft(self.fresh()))

    def poisoned(self, secret: State) -> Poisoned:
        """The training rows as the attack leaves them; a pure function of the seed and the secret."""
        if "train" not in self.parts.attack.needs:
            return unmarked(self.parts.dataset.train)
        return self.parts.attack.poison(self.parts.dataset.train, secret, generator_for(self.parts.seed, "poison"))

    def protected(self, name: str, victim: Victim, train: Split) -> Protected:
        """The defense applied to a victim, and deployed again from what was stored.

        Args:
            name: "defended" or "control".
            victim: not changed.
            train: the rows it was trained on, without marks.
        """
        path = self.store.artefact(self.plan.run if name == "defended" else self.plan.control)
        needs = self.parts.defense.needs
        clean = self.parts.dataset.clean if "clean" in needs else None
        lab = self._lab("defense", clean)

        def deploy(found: Defended) -> Victim:
            return self.parts.defense.deploy(view(victim, needs), clean, found)

        def make() -> bytes:
            with self._stage(name, "defense", path) as facts:
                found = self.parts.defense.apply(view(victim, needs), clean, train if "train" in needs else None, lab)
            return pack_defended(
                found, {**facts, "ca": score(deploy(found), self.parts.dataset.test, self.parts.dataset.match)}
            )

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
            return packed({"victim": victim.state(), "secret": secret}, {**facts, "ca": self._clean_accuracy(victim)})

        artefact = self.store.obtain(path, make)
        return Trained(shell().load(part(artefact, "victim")), artefact, part(artefact, "secret"))

    @contextmanager
    def _stage(self, name: str, purpose: str, path: Path) -> Iterator[dict[str, Any]]:
        """Seed the global generators, measure, keep checkpoints, and collect the loss curve.

        The facts are complete after the block.
        """
        facts: dict[str, Any] = {}
        self.curve, self.name = [], name
        seeded = forked(generator_for(self.parts.seed, purpose), self.parts.device)
        with seeded, measured(self.parts.device) as costs, self.checkpoints.stage(path):
            yield facts
        facts.update(costs=costs, curve=self.curve)

    def _clean_accuracy(self, victim: Victim) -> Score:
        return score(victim, self.parts.dataset.test, self.parts.dataset.match)

    def _epoch_done(self, done: int, epochs: int, loss: float) -> None:
        self.curve.append(round(loss, 5))
        self.progress(self.name, done, epochs, loss)

    def _attacker_rows(self) -> Split | None:
        return self.parts.dataset.train if "train" in self.parts.attack.needs else None

    def _attacker_base(self, clean: Trained) -> Victim:
        return self.parts.attack.graft(clean.victim.copy() if "victim" in self.parts.attack.needs else self.fresh())

    def _lab(self, method: str, clean_rows: Split | None) -> Lab:
        def keep(name: str, uses: Mapping[str, object], make: Callable[[], State]) -> State:
            """Make a surrogate as a stage of its own, so that nothing after it tells whether it was cached."""
            path = self.store.artefact(keys.surrogate(self.plan.clean, self.parts.config[method], name, uses))

            def kept() -> bytes:
                generator = generator_for(self.parts.seed, name)  # draws inside must not tell whether it was cached
                with forked(generator, self.parts.device), self.checkpoints.stage(path):
                    return packed({"state": make()}, {})

            return part(self.store.obtain(path, kept), "state")

        return Lab(self.parts.seed, self.parts.recipe, self.parts.device, self.fresh, clean_rows, keep)
