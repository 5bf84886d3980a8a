"""A grid becomes chains: one a victim, clean ones first, no work twice, nothing that the store has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import tree

from benchmark import keys
from benchmark.attempts import PATIENCE, note
from benchmark.run import planned
from benchmark.store import Store, publish
from benchmark.sweep.chains import Chain, Point, attack_chains, clean_chains, missing, packed, read, waves


def grid(store: Path, attacks: Sequence[str], defenses: Sequence[str], seeds: Sequence[int]) -> list[Point]:
    trees = [
        tree(f"attack={attack}", f"defense={defense}", f"seed={seed}", store=store)
        for attack in attacks
        for defense in defenses
        for seed in seeds
    ]
    return [Point(config, planned(config)[1]) for config in trees]


@pytest.fixture
def points(store: Path) -> list[Point]:
    return grid(store, ("badnets", "blended"), ("strip", "fine_tuning", "random_filter"), (0, 1))


def runs(chains: Sequence[Chain]) -> list[str]:
    return [point.keys.run for chain in chains for point in chain.points]


def test_a_chain_is_one_backdoored_victim_with_all_its_defenses(points: list[Point]) -> None:
    chains = attack_chains(points)
    assert [len(chain.points) for chain in chains] == [3, 3, 3, 3]
    assert all(len({point.keys.backdoored for point in chain.points}) == 1 for chain in chains)
    assert sorted(runs(chains)) == sorted(point.keys.run for point in points)


def test_a_clean_chain_has_each_control_once(points: list[Point], store: Path) -> None:
    """Twelve runs have two clean victims and three controls on each."""
    chains = clean_chains(points, Store(store))
    assert [len(chain.points) for chain in chains] == [3, 3]
    assert len({point.keys.control for chain in chains for point in chain.points}) == 6
    assert all(chain.kind == "clean" for chain in chains)


def test_what_the_store_has_is_not_asked_for(points: list[Point], store: Path) -> None:
    shelf = Store(store)
    first = points[0].keys
    publish(shelf.artefact(first.clean), b"")
    publish(shelf.artefact(first.control), b"")
    asked = [point.keys.control for chain in clean_chains(points, shelf) for point in chain.points]
    assert first.control not in asked and len(asked) == 5
    for point in points:
        publish(shelf.artefact(point.keys.clean), b"")
        publish(shelf.artefact(point.keys.control), b"")
    assert clean_chains(points, shelf) == []


def test_an_attack_with_surrogates_is_asked_for_them_once_a_seed(points: list[Point], store: Path) -> None:
    """They have names that only the attack knows, so its first run goes into the clean chain whatever the store has."""
    shelf = Store(store)
    for point in points:
        publish(shelf.artefact(point.keys.clean), b"")
        publish(shelf.artefact(point.keys.control), b"")
    learned = [
        Point({**point.config, "attack": {**point.config["attack"], "_target_": "test_chains.Learned"}}, point.keys)
        for point in points
        if "Blended" in point.config["attack"]["_target_"]
    ]
    (zero, one) = clean_chains(learned, shelf)
    assert len(zero.points) == len(one.points) == 1


class Learned:
    """An attack that makes surrogates."""

    def surrogates(self, lab: object) -> None:
        """Some."""


def test_an_attack_with_a_sham_of_its_own_has_its_control_in_its_attack_chain(points: list[Point], store: Path) -> None:
    own = [Point(p.config, keys.Keys(**{**vars(p.keys), "sham": "s", "control": f"c{p.keys.run}"})) for p in points]
    assert [len(chain.points) for chain in clean_chains(own, Store(store))] == [1, 1]  # the clean victims alone


def test_records_and_failures_decide_what_is_missing(points: list[Point], store: Path) -> None:
    shelf = Store(store)
    publish(shelf.record(points[0].keys.run), b"{}")
    for at, failures in ((1, PATIENCE - 1), (2, PATIENCE)):
        for _ in range(failures):
            note(shelf.failure(points[at].keys.run), points[at].keys.run, {}, RuntimeError("boom"))
    left = missing(points, shelf, retry=False)
    assert points[0] not in left and points[1] in left and points[2] not in left
    assert missing(points, shelf, retry=True) == points[1:]


def test_long_chains_are_split_behind_their_victims(points: list[Point]) -> None:
    chains = attack_chains(points)
    heads, rests = waves(chains, 2)
    assert [len(chain.points) for chain in heads] == [2] * 4 and [len(chain.points) for chain in rests] == [1] * 4
    assert sorted(runs(heads) + runs(rests)) == sorted(runs(chains))
    assert [list(wave) for wave in waves(chains, None)] == [chains]


@pytest.mark.parametrize(("most", "sizes"), [(1, [12]), (2, [6, 6]), (3, [6, 6]), (4, [3] * 4), (1000, [3] * 4)])
def test_a_job_array_has_a_limit(points: list[Point], most: int, sizes: list[int]) -> None:
    chains = attack_chains(points)
    jobs = packed(chains, most)
    assert [len(job.points) for job in jobs] == sizes and runs(jobs) == runs(chains)


def test_a_chain_is_read_as_it_was_written(points: list[Point], tmp_path: Path) -> None:
    Chain("clean", points[:2]).write(tmp_path / "0000.yaml")
    kind, configs = read(tmp_path / "0000.yaml")
    assert kind == "clean" and configs == [point.config for point in points[:2]]
    assert [planned(config)[1] for config in configs] == [point.keys for point in points[:2]]
