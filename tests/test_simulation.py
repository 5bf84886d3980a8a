"""Simulated clusters with known answers: sums, longest chains, deaths that cost what they must and lose nothing."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from conftest import ROOT, here, python

from benchmark import checkpoint
from benchmark.attack import Attack
from benchmark.sweep.chains import Chain, Point
from benchmark.sweep.simulation import Cluster, Job, Outcome, Simulation, Stage
from scripts.simulate import HOUR, Stages, Ways, grid, jobs, learned, parsed, sampled, total, ways

SMALL = ("--datasets", "1", "2", "--architectures", "1", "3", "--attacks", "3", "--defenses", "5", "--seeds", "2")
RUNS, CLEAN, BACKDOORED = 2 * 2 * 3 * 5 * 2, 2 * 2 * 2, 2 * 2 * 3 * 2
SAMPLES = {"training": [0.5, 1.0, 2.0], "cheap": [0.1, 0.2], "dear": [1.0, 3.0]}
ROUGH = Cluster(4, queue=5, startup=20, deaths=1 / HOUR, requeue=60, checkpoint=180)


def small(*more: str) -> tuple[argparse.Namespace, list[Point], Stages, Ways]:
    options = parsed([*SMALL, *more])
    points = grid(options)
    stages = sampled(points, SAMPLES, options)
    return options, points, stages, ways(points, stages, options)


@pytest.fixture(scope="module")
def found() -> Ways:
    return small()[3]


def came(work: Sequence[Job], cluster: Cluster, seed: int = 0) -> Outcome:
    return Simulation(work, cluster, Random(seed)).run()


def keys(work: Sequence[Job]) -> list[str]:
    return [stage.key for job in work for stage in job.stages]


def one(*seconds: float, resumes: bool = True) -> list[Job]:
    return [Job([Stage(f"{at}", length, resumes) for at, length in enumerate(seconds)])]


class Deaths(Random):
    """Jobs die after so many seconds of work, in turn; then never."""

    def __init__(self, *after: float) -> None:
        super().__init__(0)
        self.after = list(after)

    def expovariate(self, lambd: float = 1.0) -> float:
        return self.after.pop(0) if self.after else 1e9


# ---- no failures


@pytest.mark.parametrize("way", ["chains", "chains, no barrier", "defenses_per_job=4", "independent runs"])
def test_one_gpu_takes_the_sum_of_work_and_start_ups(found: Ways, way: str) -> None:
    work = found[way]
    starts = sum(1 for job in work if job.stages)
    outcome = came(work, Cluster(1, queue=7, startup=30))
    assert outcome.makespan == pytest.approx(total(work) + 37 * starts)
    assert outcome.held == pytest.approx(total(work) + 30 * starts)
    assert (outcome.starts, outcome.deaths, outcome.lost) == (starts, 0, 0)


def test_without_end_of_gpus_it_is_the_longest_clean_chain_and_the_longest_attack_chain(found: Ways) -> None:
    longest = {
        kind: max(total([job]) for job in found["chains"] if job.stages and job.stages[0].key.startswith(kind))
        for kind in ("clean", "backdoored")
    }
    outcome = came(found["chains"], Cluster(10_000, queue=7, startup=30))
    assert outcome.makespan == pytest.approx(sum(longest.values()) + 2 * 37)


def test_without_a_barrier_an_attack_chain_waits_for_its_own_clean_chain_alone(found: Ways) -> None:
    work = found["chains, no barrier"]
    paths = [total([job]) + max((total([work[other]]) for other in job.after), default=0.0) for job in work]
    assert all(len(job.after) == (job.stages[0].key.split()[0] != "clean") for job in work)
    assert came(work, Cluster(10_000)).makespan == pytest.approx(max(paths))


def test_no_way_beats_its_share_of_the_work(found: Ways) -> None:
    for work in found.values():
        outcome = came(work, Cluster(3))
        assert outcome.makespan >= total(work) / 3 and outcome.work == pytest.approx(total(work))


def test_first_come_first_served() -> None:
    """Three jobs on two GPUs: the third begins where the first to end was."""
    work = [Job([Stage(name, seconds, False)]) for name, seconds in (("a", 5.0), ("b", 3.0), ("c", 4.0))]
    outcome = came(work, Cluster(2))
    assert outcome.published == ["b", "a", "c"] and outcome.makespan == 7


# ---- what is made


def test_chains_make_everything_once_and_save_what_the_formula_says() -> None:
    _, _, stages, found = small()
    made = {name: Counter(key.split()[0] for key in keys(work)) for name, work in found.items()}
    once = {"clean": CLEAN, "backdoored": BACKDOORED, "control": CLEAN * 5, "defended": RUNS}
    for name, work in found.items():
        if name == "independent runs":
            assert made[name] == dict.fromkeys(once, RUNS)
        else:
            assert made[name] == once and sorted(keys(work)) == sorted(stages)
    alone, shared = (
        sum(made[name][stage] for stage in ("clean", "backdoored")) for name in ("independent runs", "chains")
    )
    assert alone - shared == 2 * RUNS - CLEAN - BACKDOORED


def test_independent_runs_pay_for_the_same_stages_again() -> None:
    _, points, stages, found = small()
    needed = [(plan.clean, plan.backdoored, plan.control, plan.run) for plan in (point.keys for point in points)]
    assert total(found["independent runs"]) == pytest.approx(sum(stages[key].seconds for run in needed for key in run))


def test_chains_are_split_and_packed_as_the_sweeper_does_it() -> None:
    _, _, _, found = small("--defenses-per-job", "2", "--max-jobs", "10")
    lengths = [
        sum(1 for stage in job.stages if stage.key.startswith("defended")) for job in found["defenses_per_job=2"]
    ]
    # 24 heads of 2 runs in packs of 3; then 24 rests of 2 and 24 of 1, in turn, in packs of 5
    assert [length for length in lengths if length] == [6] * 8 + [8, 7] * 4 + [8, 4]


def test_a_job_waits_for_whoever_makes_what_it_needs() -> None:
    _, points, stages, _ = small()
    first = points[0]
    made = jobs([[Chain("clean", [first])], [Chain("attack", [first])]], stages, barrier=False)
    plan = first.keys
    assert [keys([job]) for job in made] == [[plan.clean, plan.control], [plan.backdoored, plan.run]]
    assert [job.after for job in made] == [[], [0]]


# ---- failures


def test_a_training_resumes_from_its_last_checkpoint_and_other_stages_do_not() -> None:
    cluster = Cluster(1, startup=10, deaths=1.0, requeue=50, checkpoint=180)
    for resumes, kept in ((True, 360), (False, 0)):
        outcome = Simulation(one(1000, resumes=resumes), cluster, Deaths(400)).run()
        assert outcome.makespan == 10 + 400 + 50 + 10 + 1000 - kept
        assert (outcome.lost, outcome.work, outcome.starts, outcome.deaths) == (400 - kept, 1400 - kept, 2, 1)


def test_checkpoints_count_from_the_last_resumption() -> None:
    outcome = Simulation(one(1000), Cluster(1, deaths=1.0, checkpoint=180), Deaths(400, 200)).run()
    assert outcome.lost == 40 + 20 and outcome.makespan == 1000 + 60


def test_what_was_published_stays() -> None:
    """A death in the third stage costs nothing of the first two."""
    outcome = Simulation(one(100, 100, 100, resumes=False), Cluster(1, deaths=1.0), Deaths(250)).run()
    assert outcome.published == ["0", "1", "2"] and outcome.lost == 50 and outcome.makespan == 350


@pytest.mark.parametrize("way", ["chains", "chains, no barrier", "defenses_per_job=4, no barrier", "independent runs"])
@pytest.mark.parametrize("lost", [False, True])
def test_failures_lose_no_stage_and_make_none_twice(found: Ways, way: str, lost: bool) -> None:
    work = found[way]
    outcome = came(work, replace(ROUGH, node=range(3), lost=10_000, back=20_000) if lost else ROUGH)
    assert outcome.deaths > 5 and outcome.lost > 0
    assert Counter(outcome.published) == Counter(keys(work))
    assert outcome.work - outcome.lost == pytest.approx(total(work))
    assert outcome.starts == sum(1 for job in work if job.stages) + outcome.deaths
    assert outcome.makespan * ROUGH.gpus >= outcome.held >= outcome.work


def test_a_lost_node_comes_back() -> None:
    """Two jobs of 100 s on two GPUs that are away from 60 s to 200 s: both begin again."""
    work = [Job([Stage(name, 100.0, False)]) for name in "ab"]
    outcome = came(work, Cluster(2, requeue=10, node=range(2), lost=60, back=200))
    assert (outcome.makespan, outcome.lost, outcome.deaths, outcome.starts) == (300, 120, 2, 4)


def test_a_lost_node_leaves_the_others_working() -> None:
    work = [Job([Stage(name, 100.0, True)]) for name in "abc"]
    outcome = came(work, Cluster(3, checkpoint=50, node=range(2), lost=60, back=1e6))
    assert outcome.makespan == 200 and outcome.lost == 20  # two halves are done on the third, one after another
    assert outcome.published == ["c", "a", "b"]


def test_deaths_are_as_frequent_as_was_asked() -> None:
    """Ten thousand hours of work at 0.05 an hour: about 500 deaths, standard deviation 22."""
    work = [Job([Stage(f"{at}", HOUR, True)]) for at in range(10_000)]
    outcome = came(work, Cluster(100, deaths=0.05 / HOUR, checkpoint=1.0))
    assert 400 < outcome.deaths < 600


def test_one_seed_is_one_outcome(found: Ways) -> None:
    same = [came(found["chains"], ROUGH, seed=3) for _ in range(2)]
    assert same[0] == same[1] != came(found["chains"], ROUGH, seed=4)


# ---- costs


def test_costs_are_drawn_from_samples_and_scaled() -> None:
    options, points, stages, _ = small("--training", "10", "--run", "1", "--defense", "0.5")
    assert {point.config["seconds"] for point in points} == {10.0, 20.0, 30.0, 60.0}
    for point in points:
        training, size = stages[point.keys.backdoored], point.config["seconds"]
        assert training.resumes and training.seconds / size in SAMPLES["training"]
        possible = SAMPLES[("cheap", "dear")[point.config["defense"] % 2]]
        assert any(stages[point.keys.run].seconds == pytest.approx(1 + 0.5 * size * cost) for cost in possible)
    assert sampled(points, SAMPLES, options) == stages


def test_records_tell_spreads_of_trainings_and_shares_of_defenses(tmp_path: Path) -> None:
    source = next(
        path for path in sorted((ROOT / "leaderboard/records").rglob("*.json")) if "FinePruning" in path.read_text()
    )
    text = source.read_text()
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "b.json").write_text(text)
    samples = learned(tmp_path)
    assert set(samples) == {"training", "FinePruning"}
    assert samples["training"] == pytest.approx([1.0] * 4)  # two clean, two backdoored, each like the other
    assert len(samples["FinePruning"]) == 4


def test_a_core_attack_makes_no_surrogate_and_checkpoints_are_as_frequent_as_in_earnest() -> None:
    options = parsed([])
    assert options.checkpoint == checkpoint.EVERY
    assert grid(options)[0].config["attack"]["_target_"] == f"{Attack.__module__}.{Attack.__qualname__}"
    assert len(grid(options)) == 9984


# ---- the script


def test_the_script_prints_the_same_twice_and_imports_no_torch() -> None:
    command = ["scripts/simulate.py", *SMALL, "--gpus", "2", "8"]
    first, second = python(*command), python(*command)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert f"trainings saved   {2 * RUNS - CLEAN - BACKDOORED} of {2 * RUNS}" in first.stdout
    code = "import sys, runpy; sys.argv = ['simulate', '--gpus', '1', '--seeds', '1']; import scripts.simulate as s; s.main(); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_ten_thousand_runs_on_512_gpus_are_simulated_in_seconds() -> None:
    options = parsed([])
    points = grid(options)
    begun = time.process_time()
    stages = sampled(points, SAMPLES, options)
    outcome = came(ways(points, stages, options)["chains"], Cluster(512, startup=60, deaths=0.01 / HOUR))
    assert time.process_time() - begun < 20 and len(outcome.published) == 9984 + 624 + 48 + 768


@pytest.mark.parametrize("given", [("--gpus", "0"), ("--deaths", "-1"), ("--datasets", "1", "0"), ("--deaths", "1000")])
def test_what_cannot_be_is_one_line(given: tuple[str, ...]) -> None:
    done = here("scripts/simulate.py", *given)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and given[0] in done.stderr
