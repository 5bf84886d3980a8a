"""From scored victims to a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmark import detection
from benchmark.config import OUTSIDE
from benchmark.keys import hashed, identities
from benchmark.parts import Parts
from benchmark.provenance import provenance
from benchmark.record import SCHEMA, Record
from benchmark.scoring import Score, score, score_challenge
from benchmark.stages import Protected, Trained
from benchmark.types import Poisoned, Role, Split

SHOWN = 4  # inputs in a record's pictures
CURVE_POINTS = 100  # of a defense's own curves
EVIDENCE_BYTES = 20_000


class Report:
    """Fills in the record of one run.

    Args:
        parts: what the run is made of.
        key: its identity.
    """

    def __init__(self, parts: Parts, key: str) -> None:
        self.parts, self.key = parts, key
        self.data = parts.dataset

    def not_applicable(self, reason: str) -> Record:
        """The record of a pair of methods that do not meet: no score, never 0."""
        rows = self._rows(None, self.data.test.take(torch.zeros(0, dtype=torch.int64)))
        return self._record(
            status="not applicable", reason=reason, rows=rows, scores=None, probes={}, detection=None, evidence=None,
            costs={}, curves={}, weights={},
        )  # fmt: skip

    def complete(
        self,
        victims: Mapping[str, Trained | Protected],
        poisoned: Poisoned,
        challenge: Poisoned,
        probes: Mapping[str, Poisoned],
    ) -> Record:
        """The record of a finished run.

        Args:
            victims: clean, sham, backdoored, defended, control.
            poisoned: the training rows with their marks.
            challenge: the triggered test rows.
            probes: further triggered rows by name.
        """
        stages = {name: made for name, made in victims.items() if name != "sham" or made is not victims["clean"]}
        facts = {name: made.artefact.facts for name, made in stages.items()}
        found = detection.measured(self.parts, victims, poisoned, challenge)
        return self._record(
            status="complete",
            reason=None,
            rows=self._rows(poisoned, challenge),
            scores={"sham": None, **{name: self._scores(made, challenge) for name, made in stages.items()}},
            probes={name: self._probe(stages, probe) for name, probe in probes.items()},
            stealth=self._stealth(poisoned, challenge),
            detection=found.table,
            costs={name: known["costs"] for name, known in facts.items()},
            curves={name: known["curve"] for name, known in facts.items()},
            weights={name: made.artefact.digest for name, made in stages.items()},
            evidence=self._evidence(victims["defended"], found, challenge),
        )

    def _record(self, **fields: object) -> Record:
        parts, attack, defense = self.parts, self.parts.attack, self.parts.defense
        methods = {
            "attack": {"name": type(attack).__name__, "ships": attack.ships, "needs": sorted(attack.needs)},
            "defense": {"name": type(defense).__name__, "family": defense.family, "needs": sorted(defense.needs)},
        }
        config = {name: value for name, value in parts.config.items() if name not in OUTSIDE}
        fixed = {
            "schema": SCHEMA,
            "key": self.key,
            "config": config,
            "identity": {name: hashed(value) for name, value in identities(config, self.data.digest).items()},
            "seed": parts.seed,
            "methods": methods,
            "provenance": provenance(parts.device, torch.get_num_threads(), self.data.digest),
        }
        return Record.model_validate_json(json.dumps({**fixed, **fields}, allow_nan=False))

    def _scores(self, made: Trained | Protected, challenge: Poisoned) -> dict[str, Any]:
        result = score_challenge(made.victim, challenge, self.data.match)
        return {"ca": _count(made.artefact.facts["ca"]), "asr": _count(result.asr), "ra": _count(result.ra)}

    def _probe(self, victims: Mapping[str, Trained | Protected], probe: Poisoned) -> dict[str, Any]:
        return {name: _count(score(made.victim, probe, self.data.match)) for name, made in victims.items()}

    def _stealth(self, poisoned: Poisoned, challenge: Poisoned) -> dict[str, Any]:
        """Poisoned training rows and triggered test rows, each beside what it was made of."""
        touched = (poisoned.role == int(Role.POISON)).nonzero().flatten()
        originals = self.data.test.take(self.parts.attack.eligible(self.data.test)).inputs
        return {
            "train": self.data.compare(self.data.train.take(touched).inputs, poisoned.take(touched).inputs),
            "test": self.data.compare(originals, challenge.inputs),
        }

    def _rows(self, poisoned: Poisoned | None, challenge: Split) -> dict[str, Any]:
        data = self.data
        roles = torch.zeros(0, dtype=torch.uint8) if poisoned is None else poisoned.role
        return {
            "train": len(data.train),
            "clean": len(data.clean),
            "test": len(data.test),
            "challenge": len(challenge),
            "poisoned": int((roles == int(Role.POISON)).sum()),
            "covers": int((roles == int(Role.COVER)).sum()),
            "target_share": None if poisoned is None else _target_share(poisoned),
            "classes": data.classes,
            "largest_class": _largest_class(data.test),
        }

    def _evidence(self, defended: Trained | Protected, found: detection.Found, challenge: Poisoned) -> dict[str, Any]:
        assert isinstance(defended, Protected)
        eligible = self.parts.attack.eligible(self.data.test).nonzero().flatten()[:SHOWN]
        shown = len(eligible) > 0
        evidence = {
            "clean_inputs": self.data.render(self.data.test.take(eligible).inputs) if shown else None,
            "triggered_inputs": self.data.render(challenge.inputs[: len(eligible)]) if shown else None,
            "pictures": {name: self._picture(t) for name, t in defended.found.evidence.items() if t.ndim == 3},
            "curves": {name: _curve(t) for name, t in defended.found.evidence.items() if t.ndim == 1},
            "roc": found.curves,
            "histograms": found.histograms,
        }
        size = len(json.dumps(evidence))
        if size > EVIDENCE_BYTES:
            raise ValueError(
                f"the evidence takes {size} bytes, the limit is {EVIDENCE_BYTES}: store smaller pictures or curves"
            )
        return evidence

    def _picture(self, picture: Tensor) -> str:
        return self.data.render((picture.clamp(0, 1) * 255).round().to(torch.uint8)[None])


def _count(counted: Score | list[int]) -> dict[str, int]:
    hits, n = counted
    return {"hits": hits, "n": n}


def _curve(values: Tensor) -> list[float]:
    step = max(1, -(-len(values) // CURVE_POINTS))
    return [float(f"{value:.5g}") for value in values[::step].tolist()]


def _target_share(poisoned: Poisoned) -> float | None:
    poison = poisoned.role == int(Role.POISON)
    assert isinstance(poisoned.targets, Tensor)
    alike = torch.isin(poisoned.targets, poisoned.targets[poison].unique())
    return int(poison.sum()) / int(alike.sum()) if alike.any() else None


def _largest_class(test: Split) -> float | None:
    if not isinstance(test.targets, Tensor) or len(test) == 0:
        return None
    return int(test.targets.bincount().max()) / len(test)
