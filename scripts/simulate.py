"""Simulate a sweep of thousands of runs on many GPUs, by recorded costs: python scripts/simulate.py [--gpus 8 64]."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from statistics import fmean

from benchmark.cli import Parser, guarded
from benchmark.errors import BadInput
from benchmark.keys import Keys
from benchmark.store import Store
from benchmark.sweep.chains import Chain, Point, attack_chains, clean_chains, packed, waves
from benchmark.sweep.estimates import TRAININGS, About, recorded
from benchmark.sweep.simulation import Cluster, Job, Simulation, Stage
from benchmark.sweep.survey import COMMITTED

HOUR = 3600.0  # seconds
TRAINING = "training"  # among samples, beside the defenses' names
MOST = 5.0  # deaths that the longest stage may expect: e^5 attempts
OPTIONS = (
    ("datasets", (1.0, 1.0, 0.8, 8.0), "what a training costs on each, as factors"),
    ("architectures", (1.0, 0.7, 2.0, 4.0), "the same"),
    ("attacks", 13, "how many"),
    ("defenses", 16, "how many; they take the costs of the recorded ones in turn"),
    ("seeds", 3, "how many"),
    ("gpus", (8, 64, 512), "how many"),
    ("defenses-per-job", 4, "where long chains are split"),
    ("max-jobs", 1000, "of a launch"),
    ("training", 600.0, "seconds of a training with factors of 1"),
    ("defense", 1.0, "factor on what recorded defenses cost beside a training"),
    ("run", 10.0, "seconds of a run beside its stages: loading, triggering, scoring"),
    ("startup", 60.0, "seconds that a job holds its GPU before it works"),
    ("queue", 30.0, "seconds that a free GPU waits for its next job"),
    ("requeue", 120.0, "seconds until a job that died may begin again"),
    ("checkpoint", 180.0, "seconds between two checkpoints of a training"),
    ("deaths", 0.01, "of a job, per hour of its work"),
    ("node", 8, "GPUs that are lost together"),
    ("repair", 24.0, "hours until they are back"),
    ("seed", 0, "of this simulation"),
)
MAY_BE_ZERO = ("defense", "run", "startup", "queue", "requeue", "deaths", "repair", "seed")

Stages = Mapping[str, Stage]
Ways = Mapping[str, Sequence[Job]]


def main() -> None:
    """Print what the grid is, then what each way of running it takes on each number of GPUs."""
    options = parsed(sys.argv[1:])
    points = grid(options)
    stages = sampled(points, learned(COMMITTED), options)
    if options.deaths * max(stage.seconds for stage in stages.values()) > MOST * HOUR:
        raise BadInput(f"--deaths {options.deaths}: more than {MOST} are expected in the longest stage; give less")
    found = ways(points, stages, options)
    print("\n".join(described(found)))
    print(f"\n GPUs  {'way':<33}   hours   ideal  used %    GPU-h  starts  died  lost h")
    print("\n".join(line for gpus in options.gpus for line in simulated(gpus, found, options)))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, default, meaning in OPTIONS:
        one, many = (default[0], "+") if isinstance(default, tuple) else (default, None)
        parser.add_argument(f"--{name}", type=type(one), nargs=many, default=default, help=meaning)
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        least = min(value) if isinstance(value, list | tuple) else value
        if not least >= 0 or (least == 0 and name not in MAY_BE_ZERO):
            raise BadInput(f"--{name.replace('_', '-')} {least}: is too small; --help shows the default")
    return options


def grid(options: argparse.Namespace) -> list[Point]:
    """Every run, the last option changing fastest, with made-up keys that are shared as real ones are."""
    sizes = enumerate(product(options.datasets, options.architectures))
    counts = (range(options.attacks), range(options.defenses), range(options.seeds))
    found = []
    for (place, factors), attack, defense, seed in product(sizes, *counts):
        clean = f"clean {place} {seed}"
        backdoored, control = f"backdoored {attack} {clean}", f"control {defense} {clean}"
        seconds, maker = options.training * factors[0] * factors[1], {"_target_": "benchmark.attack.Attack"}
        config = {"attack": maker, "defense": defense, "seconds": seconds}
        found.append(Point(config, Keys(clean, clean, backdoored, f"defended {defense} {backdoored}", control)))
    return found


def learned(folder: Path) -> dict[str, list[float]]:
    """Costs from records: of trainings beside the mean of like ones, of defenses beside the victim's training."""
    like, found = defaultdict[tuple[str, About], list[float]](list), defaultdict[str, list[float]](list)
    for stage, known, seconds in recorded(folder):
        like[stage, known].append(seconds)
    for (stage, known), costs in like.items():
        if stage in TRAININGS and len(costs) > 1:
            found[TRAINING] += [cost / fmean(costs) for cost in costs]
        elif stage not in TRAININGS and any(costs):
            found[known.defense] += [cost / fmean(like["backdoored", known]) for cost in costs]
    return found


def sampled(points: Iterable[Point], samples: Mapping[str, Sequence[float]], options: argparse.Namespace) -> Stages:
    """What each stage costs, drawn once for all ways of running the grid."""
    generator, found = Random(options.seed), dict[str, Stage]()
    kinds = [[options.defense * cost for cost in samples[name]] for name in sorted(samples.keys() - {TRAINING})]
    for point in points:
        plan, trained = point.keys, samples[TRAINING]
        costs = kinds[point.config["defense"] % len(kinds)]
        shares = {plan.clean: trained, plan.backdoored: trained, plan.control: costs, plan.run: costs}
        for key in (key for key in shares if key not in found):
            seconds = point.config["seconds"] * generator.choice(shares[key]) + options.run * (key == plan.run)
            found[key] = Stage(key, seconds, resumes=shares[key] is trained)
    return found


def ways(points: Sequence[Point], stages: Stages, options: argparse.Namespace) -> Ways:
    """Jobs for each way of running the grid: launches as the sweeper makes them for an empty store, and two others."""
    found: dict[str, Sequence[Job]] = {}
    kinds = (clean_chains(points, Store(Path(os.devnull))), attack_chains(points))
    for name, size in (("chains", None), (f"defenses_per_job={options.defenses_per_job}", options.defenses_per_job)):
        launches = [packed(wave, options.max_jobs) for chains in kinds for wave in waves(chains, size) if wave]
        found[name] = jobs(launches, stages, barrier=True)
        found[f"{name}, no barrier"] = jobs(launches, stages, barrier=False)
    return {**found, "independent runs": [jobs([[Chain("attack", [one])]], stages, False)[0] for one in points]}


def jobs(launches: Iterable[Sequence[Chain]], stages: Stages, barrier: bool) -> list[Job]:
    """Jobs that make each stage once, where the first chain reaches it.

    Args:
        launches: chains that are launched together, each launch after the one before.
        stages: by key.
        barrier: whether a launch waits for all of the one before; else a job waits for what it needs alone.
    """
    found, maker, gate = list[Job](), dict[str, int](), list[int]()
    for launch in launches:
        first = len(found)
        for chain in launch:
            needed = dict.fromkeys(key for point in chain.points for key in reached(chain, point.keys))
            own = [stages[key] for key in needed if maker.setdefault(key, len(found)) == len(found)]
            others = sorted({maker[key] for key in needed} - {len(found)})
            found.append(Job(own, gate if barrier else others))
        if barrier:
            found.append(Job((), range(first, len(found))))
            gate = [len(found) - 1]
    return found


def reached(chain: Chain, plan: Keys) -> tuple[str, ...]:
    """What a run makes or reads, in the order of `benchmark.run`; no attack here has a sham of its own."""
    rest = (plan.control,) if chain.kind == "clean" else (plan.backdoored, plan.run, plan.control)
    return (plan.clean, *rest)


def simulated(gpus: int, found: Ways, options: argparse.Namespace) -> Iterator[str]:
    """Lines of the table: every way, then chains with no failure and with a lost node."""
    usual = Cluster(gpus, options.queue, options.startup, options.deaths / HOUR, options.requeue, options.checkpoint)
    calm, chains = replace(usual, deaths=0.0), found["chains"]
    middle, node = Simulation(chains, calm, Random(options.seed)).run().makespan / 2, min(gpus, options.node)
    lost = replace(usual, node=range(node), lost=middle, back=middle + options.repair * HOUR)
    cases = [(name, work, usual) for name, work in found.items()]
    cases += [("chains, no deaths", chains, calm), (f"chains, {node} GPUs lost", chains, lost)]
    for name, work, cluster in cases:
        came = Simulation(work, cluster, Random(options.seed)).run()
        used = 100 * (came.work - came.lost) / gpus / came.makespan
        yield (
            f"{gpus:>5}  {name:<33}{came.makespan / HOUR:>8,.1f}{total(work) / gpus / HOUR:>8,.1f}{used:>8.1f}"
            f"{came.held / HOUR:>9,.0f}{came.starts:>8}{came.deaths:>6}{came.lost / HOUR:>8.1f}"
        )


def total(work: Iterable[Job]) -> float:
    """Seconds of work, each stage as often as it is made."""
    return sum(stage.seconds for job in work for stage in job.stages)


def described(found: Ways) -> Iterator[str]:
    """What ways of running the grid make, and the longest of what one GPU does."""
    every = {name: [stage for job in found[name] for stage in job.stages] for name in ("independent runs", "chains")}
    for name, stages in every.items():
        made = Counter(stage.key.split()[0] for stage in stages)
        counts = ", ".join(f"{number:,} {kind}" for kind, number in made.items())
        yield f"{name:<18}{counts}; {total(found[name]) / HOUR:,.0f} GPU-hours"
    alone, shared = (sum(stage.resumes for stage in stages) for stages in every.values())
    yield f"trainings saved   {alone - shared:,} of {alone:,}"
    for kind in ("clean", "backdoored"):
        chains = [job for job in found["chains"] if job.stages and job.stages[0].key.startswith(kind)]
        chain, stage = max(total([job]) for job in chains), max(stage.seconds for job in chains for stage in job.stages)
        yield f"longest           {kind} chain {chain / HOUR:.1f} h, stage in one {stage / HOUR:.1f} h"


if __name__ == "__main__":
    sys.exit(guarded(main))
