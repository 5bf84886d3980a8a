"""What the documents name is there: links, files, names, choices, commands; and their worked examples work."""

from __future__ import annotations

import importlib.util
import pydoc
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from conftest import ROOT, Planted, signed, signed_rows, stamped
from torch import Tensor

import benchmark
from benchmark.config import checked, construct
from benchmark.seeds import generator_for
from benchmark.types import REJECT, Inputs, put

KNOWN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "leaderboard/README.md")
DOCUMENTS = sorted(path for path in (*(ROOT / name for name in KNOWN), *ROOT.glob("docs/*.md")) if path.exists())
TOP = "benchmark|baselines|conf|docs|hydra_plugins|leaderboard|scripts|tests"  # folders of the repository
GROUPS = sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "hydra")
BUILT = ("dataset", "recipe", "attack", "defense")  # their constructors refuse options without sense
EXAMPLES = {"curtain", "overconfidence", "stripe"}  # worked examples: their yamls are in a document

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(rf"(?<![\w/.~<-])(?:{TOP})/[\w./*-]*")
NAME = re.compile(r"`(benchmark(?:\.\w+)+)")
CHOICE = re.compile(rf"(?<![\w./])({'|'.join(GROUPS)})=([\w,]+)")
TARGET = re.compile(r"(?:`|^)make ([\w-]+)", re.MULTILINE)

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return FENCE.sub("", path.read_text())


def there(path: Path) -> bool:
    """Whether a file exists; the leaderboard's page and records need not before a record is committed."""
    board = ROOT / "leaderboard"
    return path.exists() or (path.is_relative_to(board) and not any(board.glob("records/**/*.json")))


def blocks(path: Path, language: str) -> list[str]:
    return [body for said, body in FENCE.findall(path.read_text()) if said == language]


def commands(script: str) -> Iterator[list[str]]:
    """The arguments of every command line that runs a script, in all documents."""
    for path in DOCUMENTS:
        for line in "".join(blocks(path, "")).splitlines():
            if f"python {script}" in line:
                words = shlex.split(line, comments=True)
                yield words[words.index(script) + 1 :]


def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a document."""
    headings = (line.lstrip("# ").lower() for line in prose(path).splitlines() if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@documents
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(path)):
        file, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", file):
            continue
        target = path.parent / file if file else path
        assert there(target), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@documents
def test_files_named_in_prose_are_there(path: Path) -> None:
    for name in FILE.findall(prose(path)):
        name = name.rstrip("./")
        assert there(ROOT / name) or any(ROOT.glob(name)), f"{name}: there is no such file"


@documents
def test_names_of_the_library_are_there(path: Path) -> None:
    for name in NAME.findall(path.read_text()):
        assert pydoc.locate(name) is not None, f"{name}: the library has no such name"


@documents
def test_choices_and_make_targets_are_there(path: Path) -> None:
    for group, names in CHOICE.findall(path.read_text()):
        for name in set(names.split(",")) - EXAMPLES:
            assert (ROOT / "conf" / group / f"{name}.yaml").exists(), f"{group}={name}: there is no such yaml"
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(TARGET.findall(path.read_text())) <= set(targets)


def test_the_table_of_threat_models_names_what_is_there() -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    names = set(re.findall(r"`(\w+)`", "".join(rows)))
    methods = {path.stem for group in ("attack", "defense") for path in (ROOT / "conf" / group).glob("*.yaml")}
    assert names and names <= methods, f"no yaml for {names - methods}"


# ---- commands


def overrides(arguments: list[str]) -> list[str]:
    """What is composed, less what only an outsider's example has."""
    given = iter(arguments)
    found = []
    for word in given:
        if word == "--config-dir":
            next(given)
        elif word not in ("-m", "--plan"):
            name, equals, value = word.partition("=")
            assert equals, f"{word}: is no override"
            if value not in EXAMPLES and name != "hydra.searchpath":
                found.append(word)
    return found


def points(given: list[str]) -> Iterator[list[str]]:
    """Points of a grid that show every value at least once."""
    options = [(name, [value] if "[" in value else value.split(",")) for name, _, value in map(split, given)]
    for at in range(max((len(values) for _, values in options), default=1)):
        yield [f"{name}={values[at % len(values)]}" for name, values in options]


def split(override: str) -> tuple[str, str, str]:
    return override.partition("=")


def test_every_run_in_the_documents_composes() -> None:
    found = {tuple(point) for arguments in commands("scripts/run.py") for point in points(overrides(arguments))}
    assert len(found) > 5
    for point in found:
        tree = checked(benchmark.compose(*point))
        for group in BUILT:
            construct(tree, group)


@pytest.mark.parametrize("name", ["leaderboard", "pictures", "table", "figure"])
def test_other_scripts_take_what_the_documents_give_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"scripts/{name}.py"
    module = loaded(ROOT / script)
    for arguments in [*([[]] if name != "figure" else []), *commands(script)]:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        assert module.parsed() is not None


def test_every_script_in_the_documents_is_there() -> None:
    for path in DOCUMENTS:
        for script in re.findall(r"python (scripts/\w+\.py)", path.read_text()):
            assert (ROOT / script).exists()


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- worked examples


def example(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """The two files of a worked example, written outside the repository, and what they construct."""
    texts = {}
    for path in DOCUMENTS:
        for block in (*blocks(path, "python"), *blocks(path, "yaml")):
            first, _, rest = block.partition("\n")
            if first.startswith("# ") and Path(first[2:]).stem == name:
                texts[Path(first).suffix] = rest
    (folder / f"{name}.py").write_text(texts[".py"])
    monkeypatch.syspath_prepend(folder)
    options = yaml.safe_load(texts[".yaml"])
    options["_target_"] = ".".join(options["_target_"].split(".")[-2:])
    return construct({"example": options}, "example")


class Sure(Planted):
    """Tells the class of a signed row, and is surer of it where the last pixel is white."""

    def scores(self, inputs: Inputs) -> Tensor:
        sure = 1 + 10 * stamped(inputs).float()
        return (torch.nn.functional.one_hot(signed(inputs), 10) * sure[:, None]).softmax(1)


@pytest.mark.parametrize("name", ["curtain", "overconfidence"])
def test_the_example_of_a_defense_refuses_what_stands_out(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defense, victim, rows = example(name, tmp_path, monkeypatch), Sure(signed), signed_rows()
    defense.fpr = 0.0
    deployed = defense.deploy(victim, rows, defense.apply(victim, rows, None, None))
    assert torch.equal(deployed.predict(rows.inputs), rows.targets), "trusted rows are what it was adjusted to"
    triggered = rows.inputs.clone()
    triggered[:, :, -1, -1] = 255
    assert (deployed.predict(triggered) == REJECT).all()


def test_the_example_of_an_attack_poisons_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attack, rows = example("stripe", tmp_path, monkeypatch), signed_rows()
    attack.check(rows)
    poisoned = attack.poison(rows, {}, generator_for(0, "poison"))
    touched = (poisoned.inputs[:, :, -1] == 255).flatten(1).all(1)
    assert int(touched.sum()) == 5 and (poisoned.targets[touched] == 0).all() and (poisoned.truth[touched] != 0).all()
    assert torch.equal(put(poisoned.inputs, touched.nonzero().flatten(), rows.inputs[touched]), rows.inputs)
