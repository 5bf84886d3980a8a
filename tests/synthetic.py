"""Records with chosen numbers, for what is made of records: a committed one with the wanted names and scores put in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from conftest import ROOT

from benchmark.record import Record

N = 1000  # rows behind every score
PLAIN = {"ca": 0.95, "asr": 0.0, "ra": 0.9}  # of a victim that nothing is said about


@cache
def template() -> str:
    """A committed record as JSON text: fine-pruning on the digits."""
    texts = (path.read_text() for path in sorted((ROOT / "leaderboard" / "records").glob("*/*.json")))
    return next(text for text in texts if "digits.Digits" in text and "FinePruning" in text)


def synthetic(
    attack: str = "BadNets",
    defense: str = "FineTuning",
    seed: int = 0,
    rates: Mapping[str, Mapping[str, float]] | None = None,
    **changes: Any,
) -> Record:
    """A record of an attack, a defense and a seed.

    Args:
        attack: the class's name; the identity follows it.
        defense: the class's name; the identity follows it.
        seed: of the run.
        rates: victim -> score -> rate in [0, 1], of `N` rows each; by default the attack works and nothing removes it.
        changes: further fields by path, as in `config__attack__rate=0.1`; a part's identity follows its config, unless
            it is given, as in `identity__defense="f" * 64`.
    """
    content: dict[str, Any] = json.loads(template())
    works = {"backdoored": {"asr": 1.0, "ra": 0.0}, "defended": {"asr": 1.0, "ra": 0.0}}
    for victim in ("clean", "backdoored", "defended", "control"):
        found = {**PLAIN, **works.get(victim, {}), **(rates or {}).get(victim, {})}
        content["scores"][victim] = {score: {"hits": round(rate * N), "n": N} for score, rate in found.items()}
    for part, name in (("attack", attack), ("defense", defense)):
        content["methods"][part]["name"] = name
        content["config"][part]["_target_"] = f"baselines.{part}s.{name.lower()}.{name}"
    content["seed"] = content["config"]["seed"] = seed
    content["rows"]["largest_class"] = 0.1
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = content
        for parent in parents:
            place = place[parent]
        place[last] = value
    for part, config in content["config"].items():
        if part in content["identity"] and f"identity__{part}" not in changes:
            content["identity"][part] = digest(config)
    content["key"] = digest([content["identity"], seed])
    return Record.model_validate_json(json.dumps(content))


def digest(value: object) -> str:
    """A stand-in for an identity."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write(records: Iterator[Record], folder: Path) -> None:
    """Leave records as a store does: folder/<xx>/<key>.json."""
    for record in records:
        place = folder / record.key[:2] / f"{record.key}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(record.to_json())
