"""The code of a module without comments and docstrings, in the same words under every version of Python."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def outline(tree: ast.Module) -> str:
    """A module's tree as JSON. `ast.unparse` would not do: Python's versions quote f-strings in different ways."""
    return json.dumps(_nested(tree))


def _nested(node: object) -> object:
    if isinstance(node, ast.AST):
        return [type(node).__name__, *([name, _nested(value)] for name, value in _fields(node))]
    return [_nested(item) for item in node] if isinstance(node, list) else ascii(node)


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """What a node holds, less its docstring and less what is empty, since versions add fields."""
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            yield name, value[1:] or [ast.Pass()]
        elif isinstance(node, ast.JoinedStr):  # 3.12 ends some with an empty text
            yield name, [part for part in value if getattr(part, "value", None) != ""]
        elif name != "kind" and value not in (None, []):  # it tells u"a" from "a", and in f-strings not everywhere
            yield name, value
