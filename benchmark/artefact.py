"""Tensors in and out of stored artefacts, in named parts."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors import safe_open
from safetensors.torch import save

from benchmark.seal import Artefact, Facts, sealed
from benchmark.types import Defended, State


def packed(parts: Mapping[str, State], facts: Facts) -> bytes:
    """A sealed file of several states; tensors are named `part/name`.

    Args:
        parts: e.g. {"victim": state, "secret": state}.
        facts: plain JSON.
    """
    tensors = {
        f"{part}/{name}": t.detach().cpu().contiguous() for part, state in parts.items() for name, t in state.items()
    }
    return sealed(lambda metadata: save(tensors, metadata), facts)


def part(artefact: Artefact, name: str) -> State:
    """One state of an artefact, memory-mapped; empty if it has none of that name."""
    prefix = f"{name}/"
    with safe_open(artefact.path, "pt") as file:
        return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118


def pack_defended(defended: Defended, facts: Facts) -> bytes:
    """Everything a defense found, with further facts, in one sealed file."""
    rows = {"suspicion": defended.suspicion, "flagged": defended.flagged}
    found = {"verdict": defended.verdict, "detected": defended.detected, "suspect": defended.suspect}
    parts = {
        "state": defended.state,
        "rows": {name: tensor for name, tensor in rows.items() if tensor is not None},
        "evidence": defended.evidence,
    }
    return packed(parts, {**facts, **found})


def unpack_defended(artefact: Artefact) -> Defended:
    """What `pack_defended` stored."""
    rows, facts = part(artefact, "rows"), artefact.facts
    return Defended(
        state=part(artefact, "state"),
        suspicion=rows.get("suspicion"),
        flagged=rows.get("flagged"),
        verdict=facts["verdict"],
        detected=facts["detected"],
        suspect=facts["suspect"],
        evidence=part(artefact, "evidence"),
    )
