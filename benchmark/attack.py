"""What an attack is: a trigger, the rows that carry it, and how a victim comes to obey it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from benchmark.errors import BadInput
from benchmark.lab import Lab
from benchmark.selection import sample_rows
from benchmark.types import Inputs, Poisoned, Role, Split, State, pick, put
from benchmark.victim import Victim


class Attack(ABC):
    """Poisons rows, or a model, so that a trigger decides the output.

    A plain poisoning attack writes `__init__` and `trigger`, nothing else.

    Args:
        rate: share of the training rows that are poisoned.
        target: the class the attacker wants; "all" sends class y to (y + 1) mod K.
        sources: only rows of these classes obey the trigger; None for all but the target.

    Class attributes:
        modality: what rows it can trigger.
        ships: "data" or "model": what reaches the user.
        needs: subset of {"victim" (the clean one), "train"}; the rest is withheld.
    """

    modality: ClassVar[str]
    ships: ClassVar[Literal["data", "model"]] = "data"
    needs: ClassVar[frozenset[str]] = frozenset({"train"})

    def __init__(self, rate: float, target: int | Literal["all"], sources: Sequence[int] | None = None) -> None:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise BadInput(f"attack.rate={rate}: must be above 0 and at most 1; set attack.rate (the default is 0.05)")
        if isinstance(target, bool) or not (target == "all" or isinstance(target, int)):
            raise BadInput(f"attack.target={target}: must be a class number or 'all'; set attack.target")
        if sources is not None and (isinstance(sources, str | int) or not len(sources)):
            raise BadInput(
                f"attack.sources={sources}: must be a list of at least one class, or null; set attack.sources"
            )
        self.rate = rate
        self.target = target
        self.sources = None if sources is None else tuple(sources)

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: a class that is not there, or more poisons asked for than rows may carry.
        """
        classes = train.classes or 0
        for name, wanted in (("target", self._target_classes()), ("sources", self.sources or ())):
            for label in wanted:
                if not 0 <= label < classes:
                    raise BadInput(
                        f"attack.{name}={label}: the data set has classes 0 to {classes - 1}; set attack.{name}"
                    )
        available, asked = int(self.candidates(train).sum()), round(self.rate * len(train))
        if not available:
            raise BadInput(f"attack.sources={self.sources}: no such row would change its label; set sources or target")
        if asked > available:
            limit = math.floor(available / len(train) * 10_000) / 10_000
            raise BadInput(
                f"attack.rate={self.rate}: only {available} rows may be poisoned; set attack.rate to {limit} or less"
            )
        if asked == 0:
            least = math.ceil(1e5 / len(train)) / 1e5
            raise BadInput(
                f"attack.rate={self.rate}: poisons none of {len(train)} rows; set attack.rate to {least} or more"
            )

    def surrogates(self, lab: Lab) -> None:  # noqa: B027  # most attacks learn nothing
        """Make what `prepare` will ask of `lab.once`, for sweeps, before runs start side by side. Default: nothing."""

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The secret: what the attack draws or learns before poisoning. Default: nothing."""
        return {}

    @abstractmethod
    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """The inputs with the test-time trigger; pure; same length, shape and dtype."""

    def embed(self, inputs: Inputs, secret: State, generator: Generator) -> Inputs:
        """The inputs with the training-time trigger (weaker or partial in some attacks). Default: `trigger`."""
        return self.trigger(inputs, secret)

    def eligible(self, split: Split) -> Tensor:
        """Which rows may carry the trigger, bool (N,): those of a source class whose label it would change."""
        assert isinstance(split.targets, Tensor)
        changed = self.desired(split) != split.targets
        if self.sources is None:
            return changed
        return changed & torch.isin(split.targets, torch.tensor(self.sources))

    def candidates(self, train: Split) -> Tensor:
        """Which training rows may be poisoned, bool (N,). Default: the eligible; clean-label: those of the target."""
        return self.eligible(train)

    def desired(self, split: Split) -> Tensor:
        """What the attacker wants of each row, int64 (N,)."""
        assert isinstance(split.targets, Tensor) and split.classes is not None
        if isinstance(self.target, int):
            return torch.full_like(split.targets, self.target)
        return (split.targets + 1) % split.classes

    def covers(self, train: Split, generator: Generator) -> Tensor:
        """Rows that get the trigger and keep their label, int64. Default: none."""
        return torch.empty(0, dtype=torch.int64)

    def poison(self, train: Split, secret: State, generator: Generator) -> Poisoned:
        """Exactly round(rate * N) candidates, embedded and relabelled, plus the covers."""
        poisons = sample_rows(self.candidates(train), round(self.rate * len(train)), generator)
        covers = self.covers(train, generator)
        covers = covers[~torch.isin(covers, poisons)]
        touched = torch.cat([poisons, covers])
        role = torch.zeros(len(train), dtype=torch.uint8)
        role[poisons], role[covers] = int(Role.POISON), int(Role.COVER)
        return Poisoned(
            inputs=put(train.inputs, touched, self.embed(pick(train.inputs, touched), secret, generator)),
            targets=put(train.targets, poisons, pick(self.desired(train), poisons)),
            group=train.group,
            classes=train.classes,
            truth=train.targets,
            role=role,
        )

    def graft(self, victim: Victim) -> Victim:
        """The victim with the attack's own module attached, before weights are loaded. Default: unchanged."""
        return victim

    def implant(self, victim: Victim, poisoned: Poisoned | None, secret: State, lab: Lab) -> Victim:
        """The backdoored victim. Default: train on the poisoned rows exactly as the clean victim was trained.

        Args:
            victim: the clean one where `needs` has "victim", else an untrained one.
            poisoned: the poisoned rows, or None where `needs` lacks "train".
            secret: from `prepare`.
            lab: generators, recipe, surrogates.
        """
        assert poisoned is not None
        return victim.fit(poisoned, lab.generator("victim"))

    def sham(self, victim: Victim, train: Split | None, lab: Lab) -> Victim:
        """The same loop without the backdoor; an attack with a loop of its own overrides it.

        Where it is not overridden the clean victim serves and this is not called.
        """
        return victim

    def challenge(self, test: Split, secret: State) -> Poisoned:
        """The eligible test rows, triggered, labelled as the attacker wants."""
        return self.triggered(test, self.eligible(test), secret)

    def probes(self, test: Split, secret: State) -> dict[str, Poisoned]:
        """Further triggered rows worth a score. Default: other classes, where only some are sources."""
        if self.sources is None:
            return {}
        others = (self.desired(test) != test.targets) & ~self.eligible(test)
        return {"non_source": self.triggered(test, others, secret)}

    def triggered(self, split: Split, rows: Tensor, secret: State) -> Poisoned:
        """The named rows (bool or int64) with the test-time trigger and the labels the attacker wants."""
        kept = split.take(rows)
        return Poisoned(
            inputs=self.trigger(kept.inputs, secret),
            targets=self.desired(kept),
            group=kept.group,
            classes=kept.classes,
            truth=kept.targets,
            role=torch.full((len(kept),), int(Role.POISON), dtype=torch.uint8),
        )

    def _target_classes(self) -> tuple[int, ...]:
        return (self.target,) if isinstance(self.target, int) else ()
