"""The same configuration gives the same bits in another store; tests/test_sweep.py has other processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config, timeless

import benchmark
from benchmark.artefact import part
from benchmark.seal import verified

SMALL = "architecture.network.width=8"
POINTS = [(attack, defense) for attack in ("badnets", "blended") for defense in ("random_filter", "random_rejection")]


def record_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def records(store: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: record_of(path) for path in store.glob("records/*/*.json")}


def digests(store: Path) -> dict[str, str]:
    return {path.stem: verified(path).digest for path in store.glob("artefacts/*/*.safetensors")}


@pytest.fixture(scope="module")
def alone(warm_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store filled by one process, run after run; it starts empty."""
    store = tmp_path_factory.mktemp("alone") / "store"
    for attack, defense in POINTS:
        benchmark.run(config(SMALL, f"attack={attack}", f"defense={defense}", store=store))
    return store


def test_two_empty_stores_get_the_same_bits(alone: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    torch.manual_seed(99)  # whatever was drawn before must not matter
    record = benchmark.run(config(SMALL, "attack=blended", "defense=random_filter", store=path))
    first, second = digests(alone), digests(path)
    assert len(second) == 4, "clean, backdoored, defended, control"
    assert {key: first[key] for key in second} == second
    assert timeless(records(path)[record.key]) == timeless(records(alone)[record.key])


def test_every_record_names_the_weights_in_its_store(alone: Path) -> None:
    held = digests(alone)
    for record in records(alone).values():
        assert set(record["weights"].values()) <= set(held.values())
        assert record["weights"]["defended"] == held[record["key"]]


def test_clean_and_backdoored_victims_start_from_the_same_weights_and_see_the_same_batches(store: Path) -> None:
    """At one poisoned row in 1,197 the two victims stay close; other initial weights or batches would part them."""
    options = (SMALL, "attack.rate=0.0009")
    first = benchmark.run(config(*options, store=store))
    other = benchmark.run(config(*options, "seed=1", store=store))
    clean, backdoored, elsewhere = (_weights(store, record, stage) for record, stage in _named(first, other))
    assert 0 < float((clean - backdoored).norm()) < 0.3 * float((clean - elsewhere).norm())


def _named(first: benchmark.Record, other: benchmark.Record) -> list[tuple[benchmark.Record, str]]:
    return [(first, "clean"), (first, "backdoored"), (other, "clean")]


def _weights(store: Path, record: benchmark.Record, stage: str) -> torch.Tensor:
    (path,) = (
        path for path in store.glob("artefacts/*/*.safetensors") if verified(path).digest == record.weights[stage]
    )
    state = part(verified(path), "victim")
    return torch.cat([tensor.flatten() for name, tensor in state.items() if name.endswith("weight")])
