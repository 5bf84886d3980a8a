"""Templates, policies and assets: what makes a page strict."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from benchmark.errors import BadInput

HERE = Path(__file__).parent
QUIET = "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'"
SCRIPTED = f"{QUIET}; script-src 'self'"
DEFAULT_EXPORT = re.compile(r"export\s*\{[^}]*?\b([\w$]+) as default[^}]*\};?")
INSTALL = "install what pages need: pip install -e '.[page]', or make setup"


class Templates:
    """Pages by the names of their templates; whatever is put into one is escaped.

    Raises:
        BadInput: jinja2 is not installed.
    """

    def __init__(self) -> None:
        try:
            from jinja2 import Environment, FileSystemLoader, StrictUndefined
        except ImportError as error:
            raise BadInput(f"jinja2 is not installed; {INSTALL}") from error
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
            auto_reload=False,
        )
        self._environment.filters |= {"number": number, "status": status}

    def write(self, path: Path, template: str, content: Mapping[str, Any]) -> None:
        """Fill a template, and leave it where `assets` lies beside the page or one folder above."""
        policy = SCRIPTED if template == "index.html" else QUIET
        root = "" if template == "index.html" else "../"
        page = self._environment.get_template(template).render(content, policy=policy, root=root)
        path.write_bytes(page.encode(errors="replace"))  # a lone surrogate in a record is no reason to stop


def number(value: float | None, form: str = ".1f") -> str:
    """A number as all pages show it, or a dash."""
    return "-" if value is None else format(value, form)


def status(word: str) -> str:
    """A status as all pages show it, as HTML."""
    return f'<span class="status {escape(word).replace(" ", "-")}">{escape(word)}</span>'


def embedded(value: object) -> str:
    """JSON that ends no script element, for a template's `|safe`; what is no finite number is null."""
    text = to_json(value, inf_nan_mode="null").decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def assets(folder: Path) -> None:
    """Leave style sheet and scripts; DataTables comes out of the installed itables, with its licences.

    Raises:
        BadInput: itables is not installed, or its bundle is not what it was.
    """
    folder.mkdir()
    for path in sorted((HERE / "assets").iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "datatables.js").write_text(_datatables())


def _datatables() -> str:
    """The bundle as a plain script: browsers load no module from a disk."""
    spec = importlib.util.find_spec("itables")
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(f"itables is not installed; {INSTALL}")
    path = Path(spec.submodule_search_locations[0], "html", "dt_bundle.js")
    text = path.read_text() if path.is_file() else ""
    found = DEFAULT_EXPORT.search(text)
    if found is None:
        raise BadInput(f"{path}: is no module with a default export; install the itables of requirements.lock")
    before, after = text[: found.start()], text[found.end() :]
    return f"(() => {{\n{before}window.DataTable = {found[1]};\n{after}\n}})();\n"
