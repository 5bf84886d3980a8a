"""Every random draw takes a generator derived from (seed, purpose) alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


def generator_for(seed: int, *purpose: str | int) -> Generator:
    """A CPU generator that depends on the seed and the purpose, and on nothing drawn before.

    Args:
        seed: any integer.
        purpose: what the draws are for, e.g. ("epoch", 3).
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def derive(generator: Generator, *purpose: str | int) -> Generator:
    """A generator of a finer purpose; the parent's state is neither read nor moved."""
    return generator_for(generator.initial_seed(), *purpose)


@contextmanager
def forked(generator: Generator, device: torch.device) -> Iterator[None]:
    """Seed the global generators inside the block and restore them after, for code that cannot take a generator."""
    devices = [torch.accelerator.current_device_index()] if device.type == "cuda" else []  # the default forks every GPU
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(generator.initial_seed())
        yield
