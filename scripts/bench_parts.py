"""What scripts/bench.py measures besides training: start-up, Neural Cleanse, and the rate of matrix products."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.config import checked, compose
from benchmark.costs import measured
from benchmark.lab import Lab
from benchmark.parts import Parts
from benchmark.run import planned
from benchmark.types import Split
from benchmark.victim import Classifier

ROOT = Path(__file__).parents[1]
DIGITS = ("dataset=digits", "architecture=small_cnn", "attack=none")
SEARCH_STEPS = 20  # of Neural Cleanse, for each class
SIDE, PRODUCTS = 8192, 50  # of the matrices whose product is timed
# scripts/run.py in a fresh process; the first update of the weights ends it.
FIRST_STEP = """
import os, runpy, sys, time
spawned, processor, begun = float(sys.argv.pop(1)), time.process_time(), time.time()
import torch
imported, imported_processor = time.time() - begun, time.process_time() - processor
from benchmark import training
def first(optimiser, rate):
    beyond, beyond_processor = time.time() - spawned - imported, time.process_time() - imported_processor
    print(imported, beyond, beyond_processor, flush=True)
    os._exit(0)
training.SGD.step = first
sys.argv[0] = "scripts/run.py"
runpy.run_path("scripts/run.py", run_name="__main__")
"""


def timed(device: torch.device, work: Callable[[], object]) -> Mapping[str, float]:
    """Wall and processor seconds, unrounded, and the peak of memory."""
    with measured(device) as costs:
        wall, processor = time.perf_counter(), time.process_time()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        exact = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
    return {**costs, **exact}


def inverted(settings: Sequence[str], rounds: int) -> dict[str, float]:
    """Neural Cleanse on digits, classes in groups as in its yaml and one by one: seconds for a step of all classes."""
    ways = {"grouped": (), "class_by_class": ("defense.group=1",)}
    steps = (f"defense.steps={SEARCH_STEPS}", f"defense.stop_after={SEARCH_STEPS}", "defense=neural_cleanse")
    works, device = {}, torch.device("cpu")
    for name, group in ways.items():
        tree = checked(compose(*DIGITS, *steps, *group, *settings))
        shelf, _ = planned(tree)
        parts = Parts(tree, shelf)
        works[name], device = _search(parts), parts.device
    works["grouped"]()  # once, unmeasured
    costs = [
        {name: timed(device, work)["seconds"] / SEARCH_STEPS for name, work in works.items()} for _ in range(rounds)
    ]
    seconds = {f"{name}_seconds_per_step": median(cost[name] for cost in costs) for name in ways}
    return {**seconds, "ratio": median(cost["class_by_class"] / cost["grouped"] for cost in costs)}


def _search(parts: Parts) -> Callable[[], object]:
    """The defense on a copy of a victim."""
    clean, victim = parts.dataset.clean, cast(Classifier, parts.victim())
    lab = Lab(parts.seed, parts.recipe, parts.device, parts.victim, clean, lambda name, uses, make: make())
    return lambda: parts.defense.apply(victim.copy(), clean, None, lab)


def first_step(settings: Sequence[str], rounds: int) -> dict[str, float]:
    """The digits' first step from the command, their rows decoded before: `import torch`, and what lies beyond it."""
    planned(checked(compose(*DIGITS, *settings)))  # decodes
    found = []
    for seed in range(rounds):  # another seed each time: a stage that was left is another process's for a while
        run = (*DIGITS, "defense=none", *settings, f"seed={seed}")
        command = [sys.executable, "-c", FIRST_STEP, str(time.time()), *run]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if child.returncode:
            raise RuntimeError(f"scripts/run.py did not reach its first step: {child.stderr.strip()[-300:]}")
        found.append([float(word) for word in child.stdout.split()[-3:]])
    imported, beyond, processor = sorted(found, key=lambda words: words[1])[len(found) // 2]  # one go, the median
    return {"import_torch": imported, "beyond": beyond, "beyond_cpu": processor}


def flops(victim: Classifier, split: Split, rows: int) -> float:
    """Operations of one training step, an image."""
    batch = split.take(torch.arange(min(rows, len(split))))
    with FlopCounterMode(display=False) as counter:
        victim.loss(batch.inputs, batch.targets).mean().backward()
    victim.module.zero_grad()
    return float(counter.get_total_flops()) / len(batch)


def matrix_rate(device: torch.device) -> float:
    """Operations a second of a large bf16 matrix product, the fastest that the device can be asked for."""
    left = torch.randn(SIDE, SIDE, device=device, dtype=torch.bfloat16)
    products = [timed(device, lambda: [left @ left for _ in range(PRODUCTS)])["seconds"] for _ in range(3)]
    return 2 * SIDE**3 * PRODUCTS / min(products[1:])
