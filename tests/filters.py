"""What tests of row filters share: planted rows, trusted rows beside them, and runs on the digits."""

from __future__ import annotations

from pathlib import Path

import torch
from conftest import config
from planted import PlantedVictim, lab
from torch import Tensor

import benchmark
from benchmark.access import view
from benchmark.defense import Defense
from benchmark.detection import separation
from benchmark.record import Record, RowDetection
from benchmark.seeds import generator_for
from benchmark.types import Defended, Split

CLASSES, ROWS, WIDTH = 6, 60, 8  # rows of each class
TARGET, TRIGGER = 1, WIDTH - 1  # the poisoned class, and the channel that poisons light


def clean_rows(rows: int = ROWS, seed: int = 0) -> Split:
    """Class k lights channel k; all channels glow with the same noise."""
    noise = torch.randn(CLASSES * rows, WIDTH, generator=generator_for(seed, "noise"))
    targets = torch.arange(CLASSES).repeat_interleave(rows)
    pixels = noise * 4 + 20
    pixels[torch.arange(len(targets)), targets] += 100
    return Split(inputs=as_images(pixels), targets=targets, classes=CLASSES)


def poisoned_rows(poisons: int, shift: float = 120) -> tuple[Split, Tensor]:
    """The same with the trigger's channel lit in some rows of one class, and which rows, bool (N,)."""
    train = clean_rows()
    assert isinstance(train.inputs, Tensor)
    poison = torch.zeros(len(train), dtype=torch.bool)
    poison[TARGET * ROWS : TARGET * ROWS + poisons] = True
    pixels = train.inputs.flatten(1).float()
    pixels[poison, TRIGGER] += shift
    return Split(inputs=as_images(pixels), targets=train.targets, classes=CLASSES), poison


def as_images(pixels: Tensor) -> Tensor:
    return pixels.round().clamp(0, 255).to(torch.uint8)[:, :, None, None]


def planted_victim() -> PlantedVictim:
    """Channel k speaks for class k, the trigger's channel for the poisoned class."""
    weight = torch.zeros(CLASSES, WIDTH)
    weight[:, :CLASSES] = 10 * torch.eye(CLASSES)
    weight[TARGET, TRIGGER] = 20
    return PlantedVictim(weight)


def filtered(defense: Defense, train: Split, clean: Split | None = None, seed: int = 0) -> Defended:
    """What a filter leaves when it sees only what it declared."""
    trusted = clean_rows(20, seed=1) if clean is None else clean
    given = trusted if "clean" in defense.needs else None
    victim = planted_victim()
    return defense.apply(view(victim, defense.needs), given, train, lab(victim, trusted, seed))


def marks(found: Defended) -> tuple[Tensor, Tensor]:
    """Suspicion and flags, which every filter gives."""
    assert found.suspicion is not None and found.flagged is not None
    return found.suspicion, found.flagged


def auroc(suspicion: Tensor, marked: Tensor) -> float:
    found = separation(suspicion, marked).auroc
    assert found is not None
    return found


def on_digits(store: Path, *overrides: str) -> tuple[Record, RowDetection]:
    """A whole run on the digits by their own recipe, and what it says of the training rows."""
    record = benchmark.run(config("recipe.epochs=12", *overrides, store=store))
    assert record.detection is not None and record.detection.rows is not None
    return record, record.detection.rows
