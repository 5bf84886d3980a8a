"""Digests of method code: by parsing alone, blind to comments, and following the baselines that a method builds on."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

import benchmark
from benchmark import sources
from benchmark.sources import defines, digest

METHOD = '''"""A method."""

from benchmark import Attack


class Method(Attack):
    """Stamps.

    Args:
        rate: a share.
    """

    modality = "image"

    def __init__(self, rate, target):
        super().__init__(rate, target)  # the base keeps both

    def trigger(self, inputs, secret):
        """Stamp."""
        stamped = inputs.clone()
        stamped[:, :, -1, -1] = 255
        return stamped
'''
numbers = itertools.count()


class Folder:
    """Modules that can be found; a new name each time, since what was parsed is cached for a process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def module(self, source: str) -> str:
        name = f"written_{next(numbers)}"
        (self.path / f"{name}.py").write_text(source)
        return name

    def digest(self, source: str) -> str:
        """Of a class in a module that always has the same name."""
        (self.path / "always.py").write_text(source)
        sources.parsed_module.cache_clear()
        return digest("always.Method")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.syspath_prepend(tmp_path)
    sources._file.cache_clear()
    sources.parsed_module.cache_clear()
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # the base keeps both", ""),
        ("  # the base keeps both", "  # a longer comment, reworded"),
        ('"""A method."""', '"""A much better described method."""'),
        ('"""A method."""\n', ""),
        ('        """Stamp."""\n', ""),
        ("    Args:\n        rate: a share.\n", ""),
        ("stamped = inputs.clone()", "stamped   =  (\n            inputs.clone()\n        )"),
        ('modality = "image"', "modality = 'image'"),
        ("\n\n\nclass", "\n\n\n\n\n\nclass"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(old: str, new: str, folder: Folder) -> None:
    assert old in METHOD
    assert folder.digest(METHOD.replace(old, new)) == folder.digest(METHOD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("= 255", "= 254"),
        ("-1, -1]", "-1, -2]"),
        ("return stamped\n", "return inputs\n"),
        ('modality = "image"', 'modality = "text"'),
        ("rate, target):", "rate, target=0):"),
        ("stamped = inputs.clone()", 'stamped = inputs.clone()\n        "no docstring here"'),
    ],
)
def test_code_counts(old: str, new: str, folder: Folder) -> None:
    assert METHOD.count(old) == 1
    assert folder.digest(METHOD.replace(old, new)) != folder.digest(METHOD)


EVERY_PYTHON = """class Method:
    def check(self, names=None, *, most: float = 1e-3, **rest) -> str:
        return f"options: {', '.join(names)!r:>{len(names)}}" u'é\\u200b' if names else (0, None, ..., {**rest})
"""


def test_a_digest_is_the_same_under_every_python(folder: Folder) -> None:
    """Computed under 3.11, 3.12, 3.13 and 3.14, of which some quote this f-string in other ways."""
    assert folder.digest(EVERY_PYTHON) == "e6835aff5eefd1991d685b936a697217e4139d0016aff52cb6e03f64340f51d1"


@pytest.mark.parametrize(
    ("one", "other"), [("return None", "return"), ("x = None", "x = 0"), ("x = 0", "x = False"), ("x = ''", "x = ()")]
)
def test_what_is_empty_is_told_apart(one: str, other: str, folder: Folder) -> None:
    start = "class Method:\n    def trigger(self):\n        "
    assert folder.digest(start + one) != folder.digest(start + other)


def test_a_class_body_of_a_docstring_alone_is_read(folder: Folder) -> None:
    assert folder.digest(METHOD + '\n\nclass Other(Exception):\n    """Raised."""\n') != folder.digest(METHOD)


def test_nothing_is_run(folder: Folder) -> None:
    name = folder.module("raise SystemExit('imported')\n" + METHOD)
    assert len(digest(f"{name}.Method")) == 64
    assert not defines(f"{name}.Method", "sham")
    assert name not in sys.modules


# ---- what is followed


def _package(root: Path, name: str, **modules: str) -> None:
    (root / name).mkdir()
    (root / name / "__init__.py").write_text("raise SystemExit('imported')")
    for module, source in modules.items():
        (root / name / f"{module}.py").write_text(source)


BUILDS = {
    "from theirs.helper import level": "level",
    "from theirs import helper": "helper.level",
    "import theirs.helper": "theirs.helper.level",
    "from .helper import level": "level",
    "from . import helper": "helper.level",
}


@pytest.mark.parametrize("statement", BUILDS)
@pytest.mark.parametrize("late", [False, True])
def test_the_modules_of_a_methods_own_package_are_followed(
    statement: str, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    head, body = ("", f"    {statement}\n    return") if late else (f"{statement}\n", "    return")
    source = f"{head}class Method: pass\ndef trigger():\n{body} {BUILDS[statement]}\n"
    seen = []
    for value in (1, 1, 2):
        _package(tmp_path, "theirs", method=source, helper=f"level = {value}  # a comment\n", other=f"x = {value}\n")
        sources._file.cache_clear()
        sources.parsed_module.cache_clear()
        seen.append(digest("theirs.method.Method"))
        for path in (tmp_path / "theirs").iterdir():
            path.unlink()
        (tmp_path / "theirs").rmdir()
    assert seen[0] == seen[1] != seen[2]


def test_an_imported_baseline_is_followed_through_its_own_imports(folder: Folder) -> None:
    followed: list[str] = []
    name = folder.module("from baselines.defenses.fine_pruning import FinePruning\nclass Method(FinePruning): pass\n")
    real = sources.parsed_module.__wrapped__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "parsed_module", lambda module: followed.append(module) or real(module))
        digest(f"{name}.Method")
    assert {name, "baselines.defenses.fine_pruning", "baselines.defenses.fine_tuning"} <= set(followed)
    assert not [module for module in followed if module.split(".")[0] in ("benchmark", "torch")]


def test_our_methods_do_not_count_the_core_nor_libraries() -> None:
    alone = digest("baselines.attacks.badnets.BadNets")
    assert alone == digest("baselines.attacks.badnets.WhateverElseIsInTheFile")
    assert alone != digest("baselines.attacks.blended.Blended")
    assert digest("baselines.defenses.fine_pruning.FinePruning") != digest("baselines.defenses.fine_tuning.FineTuning")


# ---- who defines a method


def test_a_method_is_found_in_the_class_its_bases_and_imported_bases(folder: Folder) -> None:
    base = folder.module("from benchmark import Attack\nclass Loop(Attack):\n    def sham(self): pass\n")
    source = f"""
from benchmark import Attack
from benchmark.attack import Attack as Core
from {base} import Loop
from {base} import Loop as Renamed
from baselines.attacks.badnets import BadNets

class Own(Attack):
    def sham(self): pass

class Plain(Attack):
    def shame(self): pass

class Core2(Core): pass
class Local(Own): pass
class Further(Local, Plain): pass
class Imported(Loop): pass
class Aliased(Renamed): pass
class Baseline(BadNets): pass
class Mixed(BadNets, Loop): pass
class Alone: pass
"""
    name = folder.module(source)
    asked = ["Own", "Plain", "Core2", "Local", "Further", "Imported", "Aliased", "Baseline", "Mixed", "Alone"]
    found = [each for each in asked if defines(f"{name}.{each}", "sham")]
    assert found == ["Own", "Local", "Further", "Imported", "Aliased", "Mixed"]


@pytest.mark.parametrize(
    "source",
    [
        "import {base}\nclass Method({base}.Loop): pass\n",
        "import {base} as short\nclass Method(short.Loop): pass\n",
        "from benchmark import Attack\nclass Method(Attack):\n    sham = lambda self: None\n",
        "from {base} import Loop\nclass Method(Loop[int]): pass\n",
    ],
    ids=["dotted base", "dotted alias", "assigned", "subscripted base"],
)
def test_a_method_is_found_however_it_is_written(source: str, folder: Folder) -> None:
    base = folder.module("from benchmark import Attack\nclass Loop(Attack):\n    def sham(self): pass\n")
    name = folder.module(source.format(base=base))
    assert defines(f"{name}.Method", "sham")


def test_a_librarys_base_is_not_searched(folder: Folder) -> None:
    name = folder.module(
        "from torch.nn import Module\nfrom benchmark import Attack\nclass Method(Attack, Module): pass\n"
    )
    assert not defines(f"{name}.Method", "sham")


def test_a_re_exported_class_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    _package(tmp_path, "reexporting", method="class Method:\n    def sham(self): pass\n")
    (tmp_path / "reexporting" / "__init__.py").write_text("from reexporting.method import Method\n")
    assert defines("reexporting.Method", "sham")


def test_an_attack_of_the_core_has_no_sham() -> None:
    assert not defines("benchmark.no_attack.NoAttack", "sham")
    assert not defines("baselines.attacks.badnets.BadNets", "sham")


# ---- what cannot be found


@pytest.mark.parametrize("target", ["nowhere.Method", "baselines.Method.deep", "", "Method", "no where.x", "..x"])
def test_an_unknown_module_is_the_users_to_mend(target: str) -> None:
    with pytest.raises(benchmark.BadInput) as caught:
        digest(target)
        defines(target, "sham")
    assert "\n" not in str(caught.value)


def test_an_unknown_class_is_the_users_to_mend() -> None:
    with pytest.raises(benchmark.BadInput, match=r"_target_=baselines.attacks.badnets.BadNet: .* has no class BadNet"):
        defines("baselines.attacks.badnets.BadNet", "sham")


def test_a_module_without_source_is_the_users_to_mend() -> None:
    with pytest.raises(benchmark.BadInput, match="math"):
        digest("math.Method")
