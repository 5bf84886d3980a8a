"""What scripts/bench.py measures: the engine's training, feed and scoring beside a plain loop, and bench_parts."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any, cast

import torch
from torch import nn

from benchmark.config import construct
from benchmark.devices import torch_device
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Split
from benchmark.victims.image_classifier import ImageClassifier
from scripts.bench_parts import first_step, flops, inverted, matrix_rate, timed
from scripts.plain_loop import PlainLoop

MOST_ROWS = 50_000  # of a run that fits its budget of seconds
PLAIN_SHARE = 1.5  # what the plain loop is taken to cost beside ours, when rows are chosen


def figures(arguments: argparse.Namespace, tree: Mapping[str, object]) -> dict[str, Any]:
    """The setting, and all figures by the part they are of.

    Args:
        arguments: of the command line.
        tree: a composed configuration with the architecture and the recipe.
    """
    torch.set_num_threads(arguments.threads)
    device = torch_device(arguments.device)
    victim, recipe = built(arguments, tree, device)
    rows = arguments.rows or fitting(victim, recipe, arguments)
    split = generated(arguments, rows)
    found: dict[str, Any] = {"setting": setting(arguments, rows, device)}
    found |= trained(victim, recipe, split, arguments.rounds)
    if device.type == "cuda":
        rate = matrix_rate(device)
        work = flops(victim, split, recipe.batch_size) * found["training"]["images_per_second"]
        found["matrix_products"] = {"flops_per_second": rate, "share": work / rate}
    with tempfile.TemporaryDirectory() as store:
        settings = (f"store={store}", f"device={arguments.device}", f"threads={arguments.threads}")
        found["neural_cleanse"] = inverted(settings, arguments.rounds)
        found["first_step_seconds"] = first_step(settings, arguments.rounds)
    return found


def setting(arguments: argparse.Namespace, rows: int, device: torch.device) -> dict[str, object]:
    """What was measured, and on what."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    chosen = {key: vars(arguments)[key] for key in ("architecture", "shape", "classes", "batch", "rounds", "threads")}
    return {**chosen, "rows": rows, "device": name, "torch": torch.__version__}


def built(
    arguments: argparse.Namespace, tree: Mapping[str, object], device: torch.device
) -> tuple[ImageClassifier, Recipe]:
    """An untrained victim for the shape, and the recipe cut to one epoch of the batch size."""
    recipe = cast(Recipe, construct(tree, "recipe")).replace(epochs=1, batch_size=arguments.batch)
    build = cast("partial[ImageClassifier]", construct(tree, "architecture"))
    generator = generator_for(0, "initial weights")
    return build(sample=generated(arguments, 2), recipe=recipe, device=device, generator=generator), recipe


def generated(arguments: argparse.Namespace, rows: int) -> Split:
    """Random pixels and labels: speed does not depend on what they show."""
    generator = generator_for(0, "rows")
    inputs = torch.randint(0, 256, (rows, *arguments.shape), generator=generator, dtype=torch.uint8)
    targets = torch.randint(0, arguments.classes, (rows,), generator=generator)
    return Split(inputs=inputs, targets=targets, classes=arguments.classes)


def fitting(victim: ImageClassifier, recipe: Recipe, arguments: argparse.Namespace) -> int:
    """Rows, in whole batches, whose rounds take about the seconds given, from the cost of one batch after another."""
    batch = generated(arguments, recipe.batch_size)
    seconds = min(timed(victim.device, lambda: fitted(victim, batch, recipe))["seconds"] for _ in range(2))
    rows = arguments.seconds / arguments.rounds / (1 + PLAIN_SHARE) / (seconds / recipe.batch_size)
    return max(1, int(min(rows, MOST_ROWS)) // recipe.batch_size) * recipe.batch_size


def fitted(victim: ImageClassifier, split: Split, recipe: Recipe) -> None:
    """Our training."""
    victim.fit(split, generator_for(0, "training"), recipe=recipe)


def trained(victim: ImageClassifier, recipe: Recipe, split: Split, rounds: int) -> dict[str, Any]:
    """Ours, the feed alone, scoring and the plain loop in turn, after a first batch of each."""
    twin = victim.copy().network
    plain = PlainLoop(nn.Sequential(*twin.stages, twin.head), split, recipe, victim.device)
    feed = victim.feed(split, recipe)
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: fitted(victim, split, recipe),
        "feed": lambda: sum(1 for _ in feed.epoch(0, generator_for(0, "epoch"))),
        "scoring": lambda: victim.scores(split.inputs),
        "plain": plain.epoch,
    }
    plain.epoch(2)
    fitted(victim, split.take(torch.arange(min(len(split), recipe.batch_size))), recipe)
    costs = [{name: timed(victim.device, work) for name, work in works.items()} for _ in range(rounds)]
    unit = "seconds" if victim.device.type == "cuda" else "cpu_seconds"

    def speed(name: str, per: str) -> float:
        return median(len(split) / cost[name][per] for cost in costs)

    ours = {"images_per_second": speed("ours", "seconds"), "images_per_cpu_second": speed("ours", "cpu_seconds")}
    theirs = {"images_per_second": speed("plain", "seconds"), "images_per_cpu_second": speed("plain", "cpu_seconds")}
    ratio = median(cost["plain"][unit] / cost["ours"][unit] for cost in costs)
    share = median(cost["feed"][unit] / cost["ours"][unit] for cost in costs)
    return {
        "training": {**ours, "ratio": ratio, "data_share": share},
        "plain": theirs,
        "scoring": {"images_per_second": speed("scoring", "seconds")},
        "peak_memory": max(cost["ours"]["peak_memory"] for cost in costs),
    }
