"""docs/methods.md says what docstrings and yamls say."""

from __future__ import annotations

from pathlib import Path

from conftest import ROOT, python

METHODS = [path for group in ("attack", "defense") for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]


def test_the_page_is_current(tmp_path: Path) -> None:
    done = python("scripts/methods_doc.py", str(tmp_path))
    assert done.returncode == 0, done.stderr
    current = (tmp_path / "methods.md").read_text() == (ROOT / "docs" / "methods.md").read_text()
    assert current, "docs/methods.md is not current: run python scripts/methods_doc.py"


def test_every_option_of_every_method_has_a_meaning() -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    for path in METHODS:
        assert f"### {path.stem}\n" in page, f"{path.name} is not on the page"
    bare = [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")]
    assert not bare, f"options without a comment in their yaml: {bare}"
