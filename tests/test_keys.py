"""A key changes with whatever can change a result, and with nothing else; computing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import config, python, tree

import benchmark
from benchmark import keys
from benchmark.devices import device_kind
from benchmark.keys import Keys, hashed, identity, plan, surrogate
from benchmark.run import record_path

DIGEST = "d" * 64


def planned(*overrides: str, digest: str = DIGEST, store: str = "unused", **changes: Any) -> Keys:
    return plan({**tree(*overrides, store=store), **changes}, digest)


BASE = planned()


@pytest.mark.parametrize(
    "overrides",
    [
        ("seed=1",),
        ("threads=2",),
        ("recipe.epochs=2",),
        ("recipe.learning_rate=0.1",),
        ("recipe.precision=bf16",),
        ("architecture=resnet8",),
        ("architecture.network.width=16",),
        ("architecture.mean=0.4",),
        ("dataset.clean=140",),
    ],
)
def test_what_trains_the_clean_victim_changes_every_key(overrides: tuple[str, ...]) -> None:
    other = planned(*overrides)
    for name in Keys.__dataclass_fields__:
        assert getattr(other, name) != getattr(BASE, name), name


def test_other_rows_change_every_key() -> None:
    assert planned(digest="e" * 64).clean != BASE.clean


@pytest.mark.parametrize(
    "overrides", [("attack.rate=0.1",), ("attack.target=1",), ("attack.size=3",), ("attack.sources=[1]",)]
)
def test_an_attacks_options_change_what_is_attacked_and_nothing_clean(overrides: tuple[str, ...]) -> None:
    other = planned(*overrides)
    assert other.backdoored != BASE.backdoored and other.run != BASE.run
    assert (other.clean, other.sham, other.control) == (BASE.clean, BASE.sham, BASE.control)


@pytest.mark.parametrize("overrides", [("defense=fine_tuning",), ("defense=strip",)])
def test_a_defense_changes_what_is_defended_and_nothing_before(overrides: tuple[str, ...]) -> None:
    other = planned(*overrides)
    assert other.run != BASE.run and other.control != BASE.control
    assert (other.clean, other.backdoored) == (BASE.clean, BASE.backdoored)


def test_stores_trackers_and_launchers_do_not_count(tmp_path: Path) -> None:
    assert planned(store=str(tmp_path)) == BASE
    assert planned("hydra/launcher=local", tracker={"_target_": "benchmark.tracker.NoTracker", "project": "x"}) == BASE
    assert planned("device=auto") == BASE or device_kind("auto") == "cuda"


def test_the_order_of_options_does_not_count() -> None:
    chosen = tree(store="unused")
    assert plan(dict(reversed(chosen.items())), DIGEST) == BASE
    assert plan({**chosen, "attack": dict(reversed(chosen["attack"].items()))}, DIGEST) == BASE  # type: ignore[attr-defined]


def test_versions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "version", lambda name: "0.0")
    assert planned().clean != BASE.clean
    monkeypatch.undo()
    monkeypatch.setattr(keys, "PROTOCOL", keys.PROTOCOL + 1)
    assert planned().clean != BASE.clean


def test_auto_precision_is_what_it_resolves_to() -> None:
    assert planned("device=cuda", "recipe.precision=auto").clean != BASE.clean
    assert keys.resolved_precision("auto", "cuda") == "bf16" and keys.resolved_precision("auto", "cpu") == "fp32"


def test_a_card_number_does_not_count() -> None:
    assert planned("device=cuda:1") == planned("device=cuda")


@pytest.mark.parametrize(("visible", "kind"), [("", "cpu"), ("-1", "cpu")])
def test_hidden_cards_are_not_there(visible: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert device_kind("auto") == kind


def test_a_transfer_changes_every_victim_after_the_first() -> None:
    other = planned(transfer={"_target_": "benchmark.recipe.Recipe", "epochs": 1})
    assert (other.clean, other.backdoored) == (BASE.clean, BASE.backdoored)
    assert other.run != BASE.run and other.control != BASE.control


# ---- sham and control


def test_a_control_is_shared_by_attacks_whose_sham_is_the_clean_victim() -> None:
    badnets, blended, none = (planned(f"attack={name}", "defense=strip") for name in ("badnets", "blended", "none"))
    assert badnets.sham == badnets.clean == blended.sham
    assert badnets.control == blended.control == none.control
    assert len({badnets.run, blended.run, none.run}) == 3
    assert badnets.control not in (badnets.run, blended.run)


SHAM = """
from baselines.attacks.badnets import BadNets


class Loop(BadNets):
    def sham(self, victim, train, lab):
        return victim.fit(train, lab.generator("victim"))
"""


def test_an_attack_with_a_loop_of_its_own_has_a_control_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sham_in_keys.py").write_text(SHAM)
    monkeypatch.syspath_prepend(tmp_path)
    options: Mapping[str, Any] = tree(store="unused")["attack"]  # type: ignore[assignment]
    own = planned(attack={**options, "_target_": "sham_in_keys.Loop"})
    assert own.clean == BASE.clean
    assert own.sham not in (own.clean, own.backdoored) and own.control != BASE.control
    faster = planned(attack={**options, "_target_": "sham_in_keys.Loop", "rate": 0.1})
    assert faster.sham != own.sham, "its loop may depend on any of its options"


# ---- options


def test_a_path_counts_by_its_content(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    for path, content in ((one, b"1"), (same, b"1"), (other, b"2")):
        path.write_bytes(content)
    first, second, third = (planned(f"attack.picture_path={path}") for path in (one, same, other))
    assert first == second != third and first.backdoored != BASE.backdoored
    before = planned(f"attack.picture_path={one}")
    one.write_bytes(b"2")
    assert planned(f"attack.picture_path={one}") != before


def test_a_missing_path_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(benchmark.BadInput, match=r"picture_path=.*nowhere.png: cannot be read \(No such file"):
        planned(f"attack.picture_path={tmp_path / 'nowhere.png'}")


def test_a_data_sets_path_does_not_count_but_its_rows_do() -> None:
    parquet = {"_target_": "benchmark.data.parquet.Parquet", "clean": 0.05, "path": "here"}
    here, there = planned(dataset=parquet), planned(dataset={**parquet, "path": "there"})
    assert here == there != planned(dataset=parquet, digest="e" * 64)


def test_identity_descends_into_lists_and_nested_constructors() -> None:
    nested = {"parts": [{"_target_": "benchmark.victims.small_cnn.SmallCNN", "width": 4}, 1]}
    known: Any = identity(nested)
    assert set(known["parts"][0]) == {"_target_", "width", "_source_"} and known["parts"][1] == 1
    assert identity({"rate": 0.1}) == {"rate": 0.1}


def test_hashes_are_of_sorted_json() -> None:
    assert hashed({"a": 1, "b": [2]}) == hashed({"b": [2], "a": 1}) != hashed({"a": 1, "b": [3]})
    assert len(hashed("x")) == 64 and hashed("a", "b") != hashed(["a", "b"]) != hashed("ab")


def test_surrogates_are_shared_over_rates_and_kept_apart_by_uses() -> None:
    method: Mapping[str, Any] = tree(store="unused")["attack"]  # type: ignore[assignment]
    key = surrogate("c", method, "robust", {"steps": 3})
    assert key == surrogate("c", {**method, "rate": 0.1}, "robust", {"steps": 3})
    others = [
        surrogate("c", method, "robust", {"steps": 4}),
        surrogate("c", method, "shadow", {"steps": 3}),
        surrogate("x", method, "robust", {"steps": 3}),
        surrogate("c", {"_target_": "baselines.attacks.blended.Blended"}, "robust", {"steps": 3}),
    ]
    assert len({key, *others}) == 5


# ---- where a record lies, and what finding it costs


def test_the_record_lies_at_its_run_key(store: Path) -> None:
    chosen = config("defense=random_rejection", store=store)
    path = record_path(chosen)
    assert path.parent == store / "records" / path.stem[:2] and len(path.stem) == 64 and path.suffix == ".json"
    assert path == record_path(dict(chosen)), "plain dictionaries do as well"


def test_keys_need_no_torch_once_the_data_are_decoded(store: Path) -> None:
    code = (
        "import sys, benchmark\n"
        "from benchmark.run import record_path\n"
        f"print(record_path(benchmark.compose('store={store}', 'attack=blended', 'defense=spectral_signatures')))\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'datasets', 'baselines.attacks', 'baselines.defenses'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "[]"
