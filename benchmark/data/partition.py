"""From decoded rows to the data set of one seed: train, clean and test."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from torch import Tensor

from benchmark.artefact import part
from benchmark.data.source import Source
from benchmark.errors import BadInput
from benchmark.images import render
from benchmark.scoring import same_class
from benchmark.seal import Artefact
from benchmark.seeds import generator_for
from benchmark.selection import draw_stratified
from benchmark.stealth import stealth
from benchmark.types import Dataset, Split

TRACKS_PER_CLASS = 2  # at least, among trusted rows where rows come in groups: one to fit and one to validate


def dataset(rows: Artefact, source: Source, seed: int) -> Dataset:
    """The data set of one seed: the defender's trusted rows are drawn from the training rows, stratified, groups whole.

    Args:
        rows: decoded.
        source: says how many rows are trusted, and the modality.
        seed: draws the trusted rows.

    Raises:
        BadInput: a class has too few rows or tracks.
    """
    classes = len(rows.facts["classes"])
    train, test = (Split(**part(rows, which), classes=classes) for which in ("train", "test"))
    share = source.clean if source.clean < 1 else source.clean / len(train)
    if share >= 1:
        raise BadInput(
            f"dataset.clean={source.clean}: there are {len(train)} training rows; set dataset.clean to a part of them"
        )
    grouped = train.group is not None
    trusted = draw_stratified(train, share, TRACKS_PER_CLASS if grouped else 1, generator_for(seed, "clean rows"))
    return Dataset(
        name=source.name,
        modality=source.modality,
        digest=rows.digest,
        classes=classes,
        train=train.without(trusted),
        clean=train.take(trusted),
        test=test,
        mirror=source.mirror,
        match=same_class,
        render=render,
        compare=lambda before, after: asdict(stealth(cast(Tensor, before), cast(Tensor, after))),
    )
