"""Methods from outside the repository: one python file and one yaml, no edit anywhere, run in both ways."""

from __future__ import annotations

from pathlib import Path

from conftest import ROOT, python, script

from benchmark.record import Record, load

DEFENSE = '''"""Refuses pictures that are brighter than trusted ones."""

import torch

from benchmark import Defended, Defense, RejectingVictim
from benchmark.selection import threshold_at_fpr


def brightness(inputs):
    return inputs.double().flatten(1).mean(1)


class Curtain(Defense):
    """Brightness as suspicion."""

    family = "input detector"
    needs = frozenset({"clean", "labels"})

    def __init__(self, fpr):
        self.fpr = fpr

    def apply(self, victim, clean, train, lab):
        return Defended(state={"threshold": torch.tensor(threshold_at_fpr(brightness(clean.inputs), self.fpr))})

    def deploy(self, victim, clean, defended):
        return RejectingVictim(victim, brightness, float(defended.state["threshold"]))
'''

ATTACK = '''"""The whole picture, upside down."""

from benchmark import Attack


class UpsideDown(Attack):
    """A plain poisoning attack: a constructor and a trigger."""

    modality = "image"

    def __init__(self, rate, target):
        super().__init__(rate, target)

    def trigger(self, inputs, secret):
        return inputs.flip(2)
'''

SMALL = ("architecture.network.width=8", "attack=badnets")


def written(root: Path, group: str, name: str, source: str, cls: str, **options: object) -> None:
    """Two files: `root`/theirs/<name>.py and `root`/theirs/conf/<group>/<name>.yaml."""
    folder = root / "theirs" / "conf" / group
    folder.mkdir(parents=True, exist_ok=True)
    (root / "theirs" / f"{name}.py").write_text(source)
    lines = [f"_target_: {cls}", *(f"{option}: {value}" for option, value in options.items())]
    (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")


def check(record: Record) -> None:
    assert (record.methods.defense.name, record.methods.defense.family) == ("Curtain", "input detector")
    assert record.methods.defense.needs == ["clean", "labels"]
    assert record.status == "complete" and record.scores is not None and record.detection is not None
    before, after = record.scores.backdoored.ca, record.scores.defended.ca
    refused = (before.hits - after.hits) / before.n
    assert 0 < refused < 0.3, "it was asked to refuse one clean row in ten"
    assert record.detection.inputs is not None
    auroc = record.detection.inputs.separation.auroc
    assert auroc is not None and auroc > 0.5, "a white patch brightens a picture"


def test_a_config_directory_and_a_module_on_the_path(tmp_path: Path, store: Path) -> None:
    written(tmp_path, "defense", "curtain", DEFENSE, "curtain.Curtain", fpr=0.1)
    where = f"--config-dir={tmp_path / 'theirs' / 'conf'}"
    done = script(where, "defense=curtain", *SMALL, f"store={store}", path=tmp_path / "theirs")
    assert done.returncode == 0, done.stderr
    record = load(Path(done.stdout.splitlines()[-1]))
    check(record)
    assert record.config["defense"] == {"_target_": "curtain.Curtain", "fpr": 0.1}


def test_a_package_on_hydras_search_path_in_a_sweep(tmp_path: Path, store: Path) -> None:
    written(tmp_path, "defense", "curtain", DEFENSE, "theirs.curtain.Curtain", fpr=0.1)
    written(tmp_path, "attack", "upside_down", ATTACK, "theirs.upside_down.UpsideDown", rate=0.1, target=0)
    for folder in (tmp_path / "theirs", tmp_path / "theirs" / "conf"):
        (folder / "__init__.py").touch()
    grid = ("hydra.searchpath=[pkg://theirs.conf]", "defense=curtain", "attack=badnets,upside_down", "-m")
    done = script(SMALL[0], f"store={store}", "hydra.launcher.n_jobs=1", *grid, path=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (load(Path(line)) for line in done.stdout.splitlines())
    check(first)
    assert second.methods.attack.name == "UpsideDown" and second.rows.poisoned == round(0.1 * second.rows.train)
    assert second.weights["control"] == first.weights["control"], "neither attack has a sham of its own"


def test_an_outsiders_code_counts_and_its_comments_do_not(tmp_path: Path, store: Path) -> None:
    code = (
        "import benchmark\nfrom benchmark.run import record_path\n"
        "method = {'_target_': 'curtain.Curtain', 'fpr': 0.1}\n"
        f"print(record_path({{**benchmark.compose('store={store}'), 'defense': method}}))"
    )
    paths = []
    for old, new in (("", ""), ('"""Brightness as suspicion."""', '"""Reworded."""'), ("mean(1)", "amax(1)")):
        written(tmp_path, "defense", "curtain", DEFENSE.replace(old, new), "curtain.Curtain")
        done = python("-c", code, path=tmp_path / "theirs")
        assert done.returncode == 0, done.stderr
        paths.append(done.stdout)
    assert paths[0] == paths[1] != paths[2]


def test_the_repository_knows_nothing_of_them() -> None:
    for path in (*ROOT.glob("benchmark/**/*.py"), *ROOT.glob("conf/**/*.yaml"), *ROOT.glob("scripts/*.py")):
        assert "curtain" not in path.read_text().lower()
