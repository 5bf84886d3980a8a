"""Measure the engine beside a plain loop: python scripts/bench.py [--architecture A] [--shape C,H,W] [--json]."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any, cast

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmark.cli import Parser, guarded
from benchmark.config import checked, compose, construct
from benchmark.devices import torch_device
from benchmark.errors import BadInput
from benchmark.recipe import Recipe
from benchmark.results.tables import TABLE_WIDTH
from benchmark.seeds import generator_for
from benchmark.types import Split
from benchmark.victims.image_classifier import ImageClassifier
from scripts.bench_parts import first_step, flops, inverted, matrix_rate, timed
from scripts.plain_loop import PlainLoop

MOST_ROWS = 50_000  # of a run that fits its budget of seconds
PLAIN_SHARE = 1.5  # what the plain loop is taken to cost beside ours, when rows are chosen


def main() -> None:
    """Measure, then print one table or, last, one line of JSON."""
    arguments = parsed()
    torch.set_num_threads(arguments.threads)
    device = torch_device(arguments.device)
    victim, recipe = built(arguments, device)
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
    if arguments.json:
        print(json.dumps(found))
    else:
        Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(table(found))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--architecture", default="small_cnn", help="a name in conf/architecture")
    parser.add_argument("--shape", default="3,32,32", help="of an image: channels, height, width")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128, help="rows of a training step")
    parser.add_argument("--rows", type=int, help="images of a round (default: what fits --seconds)")
    parser.add_argument("--rounds", type=int, default=3, help="of ours and theirs in turn; medians are reported")
    parser.add_argument("--seconds", type=float, default=30, help="for training rounds, where --rows is not given")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON line instead of a table")
    arguments = parser.parse_args()
    for name in ("classes", "batch", "rounds", "threads"):
        if getattr(arguments, name) < 1 or (arguments.rows is not None and arguments.rows < 2):
            raise BadInput(f"--{name} {getattr(arguments, name)}, --rows {arguments.rows}: too small; give more")
    sides = arguments.shape.split(",")
    if len(sides) != 3 or not all(side.isdigit() and int(side) > 0 for side in sides) or sides[0] not in ("1", "3"):
        raise BadInput(f"--shape {arguments.shape}: must be channels (1 or 3), height and width, as 3,32,32")
    arguments.shape = tuple(int(side) for side in sides)
    return arguments


def setting(arguments: argparse.Namespace, rows: int, device: torch.device) -> dict[str, object]:
    """What was measured, and on what."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    chosen = {key: vars(arguments)[key] for key in ("architecture", "shape", "classes", "batch", "rounds", "threads")}
    return {**chosen, "rows": rows, "device": name, "torch": torch.__version__}


def built(arguments: argparse.Namespace, device: torch.device) -> tuple[ImageClassifier, Recipe]:
    """An untrained victim for the shape, and recipe `paper` cut to one epoch of the batch size."""
    tree = checked(compose(f"architecture={arguments.architecture}", "recipe=paper"))
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


def table(found: Mapping[str, Any]) -> Table:
    """What was found, one row a figure."""
    view = Table("figure", "value", title=", ".join(f"{name} {value}" for name, value in found["setting"].items()))
    for name, value in found.items():
        for part, figure in value.items() if isinstance(value, dict) else [("", value)]:
            if name != "setting":
                view.add_row(f"{name} {part}".strip().replace("_", " "), f"{figure:,.4g}")
    return view


if __name__ == "__main__":
    sys.exit(guarded(main))
