"""What every attack and defense in conf/ must keep, found by globbing, so that a new method is held to it unasked.

A method of another modality joins by a scene of its own: an entry in `SCENES`.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CLEAN, COVER, POISON, ROOT, config
from torch import Tensor

import benchmark
from benchmark.access import BlackBox, UndeclaredAccessError, view
from benchmark.artefact import pack_defended, unpack_defended
from benchmark.attack import Attack
from benchmark.config import checked, construct
from benchmark.data.digits import Digits
from benchmark.data.source import Rows
from benchmark.defense import Defense
from benchmark.lab import Lab
from benchmark.no_attack import NoAttack
from benchmark.recipe import Recipe
from benchmark.seal import verified
from benchmark.seeds import generator_for
from benchmark.store import publish
from benchmark.types import Defended, Inputs, Poisoned, Role, Split, State, Targets
from benchmark.victim import Classifier, Victim
from benchmark.victims.image_classifier import ImageClassifier
from benchmark.victims.small_cnn import SmallCNN

SMALLER = {
    "epochs": 1,
    "steps": 4,
    "unlearn_epochs": 1,
    "overlays": 8,
}  # options that cost time, where a method has them
RATE = 0.1
SEED = 0

ATTACKS = sorted(path.stem for path in (ROOT / "conf" / "attack").glob("*.yaml"))
DEFENSES = sorted(path.stem for path in (ROOT / "conf" / "defense").glob("*.yaml"))
POISONING = [name for name in ATTACKS if name != "none"]  # no attack poisons no row


@dataclass(frozen=True)
class Scene:
    """Small real rows of one modality, a victim that has learnt them, and how to make another."""

    train: Split
    clean: Split
    test: Split
    build: Callable[[], Victim]
    recipe: Recipe
    kept: dict[str, State] = field(default_factory=dict)

    def lab(self, rows: Split) -> Lab:
        def keep(name: str, uses: Mapping[str, object], make: Callable[[], State]) -> State:
            return self.kept.setdefault(f"{name} {sorted(uses.items())}", make())

        return Lab(SEED, self.recipe, torch.device("cpu"), self.build, rows, keep)


@cache
def image_scene() -> Scene:
    data = Digits().decode(Path())
    recipe = Recipe("test", epochs=2, batch_size=32, learning_rate=0.1, schedule="one_cycle")
    train, clean, test = (_split(data.train, 0, 300), _split(data.train, 300, 400), _split(data.test, 0, 60))

    def build() -> Victim:
        return ImageClassifier(SmallCNN, train, recipe, torch.device("cpu"), generator_for(SEED, "initial weights"))

    return Scene(train, clean, test, build, recipe)


def _split(rows: Rows, start: int, end: int) -> Split:
    inputs, targets = torch.from_numpy(rows.inputs[start:end]), torch.from_numpy(rows.targets[start:end])
    return Split(inputs=inputs, targets=targets, classes=10)


SCENES: dict[str, Callable[[], Scene]] = {"image": image_scene, "any": image_scene}
MODALITY_OF: dict[type[Victim], str] = {Victim: "image", Classifier: "image", ImageClassifier: "image"}


def options(group: str, name: str) -> dict[str, Any]:
    chosen = checked(config(f"{group}={name}", store="unused"))[group]
    smaller = {option: value for option, value in SMALLER.items() if option in chosen}
    return {**chosen, **smaller, **({"rate": RATE} if "rate" in chosen else {})}


def attack_of(name: str) -> tuple[Attack, Scene]:
    attack: Attack = construct({"attack": options("attack", name)}, "attack")
    if attack.modality not in SCENES:
        pytest.skip(f"no scene for {attack.modality} rows yet")
    scene = SCENES[attack.modality]()
    allowed = int(attack.candidates(scene.train).sum())
    if clean_label(attack, scene) and round(RATE * len(scene.train)) > allowed:
        attack.rate = allowed // 2 / len(scene.train)
    return attack, scene


def clean_label(attack: Attack, scene: Scene) -> bool:
    """Whether all rows that may be poisoned carry the wanted label already."""
    rows = attack.candidates(scene.train)
    return bool(rows.any()) and same(attack.desired(scene.train)[rows], torch.as_tensor(scene.train.targets)[rows])


def defense_of(name: str) -> tuple[Defense, Scene]:
    defense: Defense = construct({"defense": options("defense", name)}, "defense")
    if defense.reads not in MODALITY_OF:
        pytest.skip(f"no scene for a {defense.reads.__name__} yet")
    return defense, SCENES[MODALITY_OF[defense.reads]]()


@cache
def clean_victim(modality: str) -> Victim:
    scene = SCENES[modality]()
    return scene.build().fit(scene.train, generator_for(SEED, "victim"))


def secret_of(attack: Attack, scene: Scene) -> State:
    victim = clean_victim(attack.modality).copy() if "victim" in attack.needs else None
    return attack.prepare(victim, scene.train if "train" in attack.needs else None, scene.lab(scene.train))


def contents(split: Split) -> str:
    """A digest of every column, to tell whether rows were touched."""
    columns = (getattr(split, name) for name in ("inputs", "targets", "group", "truth", "role") if hasattr(split, name))
    parts = [c.numpy().tobytes() if isinstance(c, Tensor) else repr(c).encode() for c in columns]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def same(one: object, other: object) -> bool:
    """Equality of values that may be tensors, bit for bit, or mappings of them."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return one == other


# ---- attacks


@pytest.mark.parametrize("name", ATTACKS)
def test_a_trigger_is_pure(name: str) -> None:
    attack, scene = attack_of(name)
    secret = secret_of(attack, scene)
    before, kept = contents(scene.test), {key: tensor.clone() for key, tensor in secret.items()}
    once, twice = attack.trigger(scene.test.inputs, secret), attack.trigger(scene.test.inputs, secret)
    assert same(once, twice) and contents(scene.test) == before and same(secret, kept)
    assert len(once) == len(scene.test)
    if isinstance(once, Tensor) and isinstance(scene.test.inputs, Tensor):
        assert (once.shape, once.dtype) == (scene.test.inputs.shape, scene.test.inputs.dtype)
    assert same(once, scene.test.inputs) == (name == "none"), "a trigger changes its inputs"


@pytest.mark.parametrize("name", ATTACKS)
def test_a_trigger_treats_each_row_alone(name: str) -> None:
    attack, scene = attack_of(name)
    secret, inputs = secret_of(attack, scene), scene.test.inputs
    assert same(attack.trigger(inputs[7:9], secret), attack.trigger(inputs, secret)[7:9])
    assert len(attack.trigger(inputs[:0], secret)) == 0


@pytest.mark.parametrize("name", POISONING)
def test_poisoning_is_exact_and_deterministic(name: str) -> None:
    attack, scene = attack_of(name)
    before, secret = contents(scene.train), secret_of(attack, scene)
    poisoned, again = (attack.poison(scene.train, secret, generator_for(SEED, "poison")) for _ in range(2))
    assert contents(poisoned) == contents(again) and contents(scene.train) == before
    assert isinstance(poisoned, Poisoned) and len(poisoned) == len(scene.train)
    poison, cover, clean = (poisoned.role == role for role in (POISON, COVER, CLEAN))
    assert clean_label(attack, scene) or attack.rate == RATE
    assert int(poison.sum()) == round(attack.rate * len(scene.train)) > 0
    assert same(poisoned.truth, scene.train.targets)
    assert same(poisoned.take(clean).inputs, scene.train.take(clean).inputs), "rows that are not marked stay"
    assert same(poisoned.take(~poison).targets, scene.train.take(~poison).targets), "covers keep their label"
    assert not same(poisoned.take(poison).inputs, scene.train.take(poison).inputs)
    other = attack.poison(scene.train, secret, generator_for(SEED + 1, "poison"))
    assert (contents(other) != contents(poisoned)) == ("rows" not in secret), "rows in the secret are drawn with it"
    assert int(cover.sum()) == len(attack.covers(scene.train, generator_for(SEED, "poison")))


@pytest.mark.parametrize("name", POISONING)
def test_dirty_label_poisons_never_come_from_the_target_class(name: str) -> None:
    attack, scene = attack_of(name)
    poisoned = attack.poison(scene.train, secret_of(attack, scene), generator_for(SEED, "poison"))
    chosen = poisoned.take(poisoned.role == POISON)
    relabelled = torch.as_tensor(chosen.targets) != torch.as_tensor(chosen.truth)
    if clean_label(attack, scene):
        assert not relabelled.any() and same(chosen.targets, attack.desired(chosen)), "a label changed, or is another's"
    else:
        assert relabelled.all(), "a poison row of the target class would be a clean row in disguise"
    challenge = attack.challenge(scene.test, secret_of(attack, scene))
    assert len(challenge) > 0
    assert (torch.as_tensor(challenge.targets) != torch.as_tensor(challenge.truth)).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_by_with_what_it_declares(name: str) -> None:
    attack, scene = attack_of(name)
    assert attack.needs <= {"victim", "train"} and attack.ships in ("data", "model")
    base = clean_victim(attack.modality).copy() if "victim" in attack.needs else scene.build()
    untouched, before = base.state(), contents(scene.train)
    secret = secret_of(attack, scene)
    assert same(base.state(), untouched)
    poisoned = attack.poison(scene.train, secret, generator_for(SEED, "poison")) if "train" in attack.needs else None
    implanted = attack.implant(attack.graft(base), poisoned, secret, scene.lab(scene.train))
    assert len(implanted.predict(scene.test.inputs)) == len(scene.test)
    assert contents(scene.train) == before
    assert all(tensor.is_contiguous() for tensor in secret.values()), "safetensors holds contiguous tensors alone"


@pytest.mark.parametrize("name", POISONING)
def test_an_attack_refuses_a_rate_that_poisons_no_row(name: str) -> None:
    attack, scene = attack_of(name)
    before = contents(scene.train)
    attack.check(scene.train)
    assert contents(scene.train) == before
    chosen = {**options("attack", name), "rate": 1e-6}
    with pytest.raises(benchmark.BadInput, match=r"attack.rate=1e-06: .*set attack.rate to"):
        construct({"attack": chosen}, "attack").check(scene.train)


# ---- defenses


@dataclass(frozen=True)
class Case:
    """One defense, applied once to a victim trained on poisoned rows."""

    defense: Defense
    scene: Scene
    victim: Victim
    train: Split
    triggered: Split
    found: Defended

    def shown(self) -> Inputs:
        """Test rows, then the triggered ones."""
        usual, triggered = self.scene.test.inputs, self.triggered.inputs
        if isinstance(usual, Tensor) and isinstance(triggered, Tensor):
            return torch.cat([usual, triggered])
        return [*usual, *triggered]

    @property
    def clean(self) -> Split | None:
        return self.scene.clean if "clean" in self.defense.needs else None

    def apply(self, victim: Victim) -> Defended:
        needs = self.defense.needs
        rows = self.train if "train" in needs else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            return self.defense.apply(view(victim, needs), self.clean, rows, self.scene.lab(self.scene.clean))

    def deploy(self, defense: Defense, found: Defended) -> Targets:
        deployed = defense.deploy(view(self.victim, defense.needs), self.clean, found)
        return deployed.predict(self.shown())


@cache
def case(name: str) -> Case:
    defense, scene = defense_of(name)
    attack = construct({"attack": options("attack", "badnets")}, "attack")
    secret = secret_of(attack, scene)
    poisoned = attack.poison(scene.train, secret, generator_for(SEED, "poison"))
    victim = scene.build().fit(poisoned, generator_for(SEED, "victim"))
    defense.check(scene.clean)
    challenge = attack.challenge(scene.test, secret)
    unapplied = Case(defense, scene, victim, poisoned.blind(), challenge, Defended())
    return replace(unapplied, found=unapplied.apply(victim))


def findings(found: Defended) -> dict[str, object]:
    return {name: getattr(found, name) for name in Defended.__dataclass_fields__}


@pytest.mark.parametrize("name", DEFENSES)
def test_a_defense_is_deterministic_and_leaves_victim_and_rows_alone(name: str) -> None:
    tried = case(name)
    before = [contents(tried.scene.clean), contents(tried.train), contents(tried.scene.test)]
    weights, generators = tried.victim.state(), torch.random.get_rng_state()
    again = tried.apply(tried.victim)
    assert same(findings(again), findings(tried.found))
    assert same(tried.victim.state(), weights)
    assert [contents(tried.scene.clean), contents(tried.train), contents(tried.scene.test)] == before
    assert torch.equal(torch.random.get_rng_state(), generators)


@pytest.mark.parametrize("name", DEFENSES)
def test_a_defense_is_rebuilt_from_what_is_stored_alone(name: str, tmp_path: Path) -> None:
    tried = case(name)
    publish(tmp_path / "found.safetensors", pack_defended(tried.found, {}))
    stored = unpack_defended(verified(tmp_path / "found.safetensors"))
    assert same(findings(stored), findings(tried.found))
    weights = tried.victim.state()
    stranger: Defense = construct({"defense": options("defense", name)}, "defense")  # it has not seen `apply`
    assert same(tried.deploy(stranger, stored), tried.deploy(tried.defense, tried.found))
    assert same(tried.victim.state(), weights)


@pytest.mark.parametrize("name", DEFENSES)
def test_a_deployed_defense_decides_on_each_input_alone(name: str) -> None:
    tried = case(name)
    deployed = tried.defense.deploy(view(tried.victim, tried.defense.needs), tried.clean, tried.found)
    inputs = tried.shown()
    assert same(deployed.predict(inputs[10:30]), deployed.predict(inputs)[10:30])
    suspicion = deployed.suspicion(inputs)
    assert suspicion is None or (len(suspicion) == len(inputs) and bool(torch.isfinite(suspicion).all()))


@pytest.mark.parametrize("name", DEFENSES)
def test_a_defense_declares_known_access_and_finds_what_fits_the_rows(name: str) -> None:
    tried = case(name)
    needs, found = tried.defense.needs, tried.found
    assert needs <= {"clean", "train", "labels", "scores", "weights"}
    assert len(needs & {"labels", "scores", "weights"}) == 1, "one kind of access to the victim"
    for rows in (found.suspicion, found.flagged):
        assert rows is None or ("train" in needs and len(rows) == len(tried.train))
    assert found.flagged is None or found.flagged.dtype == torch.bool
    assert (found.verdict is None) == (found.detected is None), "a verdict comes with a decision"
    assert all(picture.ndim in (1, 3) for picture in found.evidence.values()), "pictures (C, H, W) and curves (L,)"


@pytest.mark.parametrize("name", DEFENSES)
def test_every_defense_changes_something_or_says_why_not(name: str) -> None:
    tried, needs = case(name), case(name).defense.needs
    deployed = tried.defense.deploy(view(tried.victim, needs), tried.clean, tried.found)
    asked = tried.shown()
    repaired = "weights" in needs and not same(deployed.state(), tried.victim.state())
    decided = any(part is not None for part in (tried.found.suspicion, tried.found.flagged, tried.found.verdict))
    changed = not same(deployed.predict(asked), tried.victim.predict(asked))
    says_why = "the victim as it is" in (inspect.getdoc(type(tried.defense)) or "").lower()
    assert (repaired or decided or changed) != says_why


def test_methods_are_found() -> None:
    assert {"badnets", "blended"} <= set(POISONING)
    found = {name for name in POISONING if clean_label(*attack_of(name))}
    assert {"label_consistent", "narcissus", "sig"} <= found and not {"badnets", "blended", "ssba"} & found
    assert {"fine_tuning", "fine_pruning", "spectral_signatures", "strip"} <= set(DEFENSES)


# ---- what is not declared is withheld


def test_a_black_box_answers_no_more_than_was_declared() -> None:
    victim = clean_victim("image")
    inputs = image_scene().test.inputs
    blind, labels, scores = (BlackBox(victim, {need}) for need in ("clean", "labels", "scores"))
    assert same(labels.predict(inputs), victim.predict(inputs))
    assert same(scores.scores(inputs).argmax(1), victim.predict(inputs))
    for use in (lambda: blind.predict(inputs), lambda: labels.scores(inputs), lambda: scores.loss(inputs, None)):
        with pytest.raises(UndeclaredAccessError, match="must declare"):
            use()
    for use in (lambda: scores.module, lambda: scores.logits(inputs), lambda: scores.state(), lambda: scores.load({})):
        with pytest.raises(UndeclaredAccessError, match="must declare 'weights'"):
            use()
    with pytest.raises(UndeclaredAccessError, match="must declare 'weights'"):
        scores.copy().fit(image_scene().clean, generator_for(0, "x"))


def test_with_weights_a_method_holds_a_copy() -> None:
    victim = clean_victim("image")
    held, before = view(victim, {"weights"}), victim.state()
    held.fit(image_scene().clean, generator_for(0, "x"))
    assert not same(held.state(), before) and same(victim.state(), before)


SPY = """
from benchmark import Attack, Defended, Defense

GIVEN = []


class {name}(Defense):
    family = "input detector"
    needs = frozenset({needs!r})

    def apply(self, victim, clean, train, lab):
        GIVEN.append((type(victim).__name__, clean, train, type(lab.clean_rows).__name__, lab.clean_rows and len(lab.clean_rows)))
        return Defended()

    def deploy(self, victim, clean, defended):
        GIVEN.append((type(victim).__name__, clean))
        return victim


class Hidden(Attack):
    modality = "image"
    needs = frozenset({attack_needs!r})

    def __init__(self):
        super().__init__(rate=0.05, target=0)

    def prepare(self, clean_victim, train, lab):
        GIVEN.append((clean_victim is not None, train is not None))
        return {{}}

    def trigger(self, inputs, secret):
        return inputs

    def implant(self, victim, poisoned, secret, lab):
        GIVEN.append(poisoned is not None)
        return victim
"""


@pytest.mark.parametrize(
    ("name", "needs", "attack_needs"),
    [
        ("Nothing", ["labels"], []),
        ("Rows", ["train", "scores"], ["train"]),
        ("Trusted", ["clean", "weights"], ["victim"]),
    ],
)
def test_a_run_withholds_what_was_not_declared(
    name: str, needs: list[str], attack_needs: list[str], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"spy_{name.lower()}"
    (tmp_path / f"{module}.py").write_text(SPY.format(name=name, needs=needs, attack_needs=attack_needs))
    monkeypatch.syspath_prepend(tmp_path)
    methods = {"attack": {"_target_": f"{module}.Hidden"}, "defense": {"_target_": f"{module}.{name}"}}
    record = benchmark.run({**dict(config(store=store)), **methods})
    prepared, implanted, *uses = sys.modules[module].GIVEN
    assert prepared == ("victim" in attack_needs, "train" in attack_needs) and implanted == ("train" in attack_needs)
    seen = "ImageClassifier" if "weights" in needs else "BlackBox"
    applied, deployed = [use for use in uses if len(use) == 5], [use for use in uses if len(use) == 2]
    assert len(applied) == 2 and len(deployed) >= 2  # defended and control, each deployed from what was stored
    for victim, clean, train, kind, rows in applied:
        assert (victim, clean is not None, train is not None) == (seen, "clean" in needs, "train" in needs)
        assert (kind, rows) == (("Split", record.rows.clean) if "clean" in needs else ("NoneType", None)), "lab's rows"
        assert train is None or type(train) is Split, "no marks"
    assert {(victim, clean is not None) for victim, clean in deployed} == {(seen, "clean" in needs)}


def test_no_attack_poisons_and_challenges_nothing() -> None:
    scene, attack = image_scene(), NoAttack()
    assert len(attack.challenge(scene.test, {})) == 0 and attack.probes(scene.test, {}) == {}
    assert int(attack.eligible(scene.train).sum()) == 0
    poisoned = attack.poison(scene.train, {}, generator_for(0, "poison"))
    assert set(poisoned.role.tolist()) == {int(Role.CLEAN)} and same(poisoned.inputs, scene.train.inputs)
