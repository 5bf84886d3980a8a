"""What a method's class says of itself, which decides with whom it is ranked: its source is parsed, never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType

from benchmark.errors import BadInput
from benchmark.sources import (
    bound_names,
    imported_names,
    module_of,
    parsed_module,
)  # classes are found as they are for keys

STATED = {"attack": ("ships", "needs"), "defense": ("family", "needs")}  # as records have them
SETS = ("frozenset", "set")

Step = tuple[str, ast.ClassDef | None]  # a module and a class of it; or a base, as written, that is not to be found


@cache
def stated(part: str, target: str) -> Mapping[str, object]:
    """What the source of a method says of it, in the form of a record's `methods`.

    Args:
        part: "attack" or "defense".
        target: dotted name of its class.

    Returns:
        Attribute -> a text, or texts in order. Left out is what the source does not give as a plain value, in the class
        or in a base whose source is here; that is everything where the class itself is not installed.
    """
    try:
        order = _order(target)
    except (BadInput, LookupError, SyntaxError, ValueError, OSError, RecursionError):  # Python would refuse it too
        return MappingProxyType({})
    values = {name: _plain(found) for name in STATED[part] if (found := _looked_up(order, name))}
    return MappingProxyType({name: value for name, value in values.items() if value is not None})


def _order(target: str) -> list[Step]:
    """A class and its bases in the order in which Python asks them for an attribute: a shared base is asked last."""
    module, name = module_of(target), target.rpartition(".")[2]
    tree = parsed_module(module)
    guarded = (item for node in tree.body if isinstance(node, ast.If) for item in node.body)  # if TYPE_CHECKING: import
    origins = imported_names(ast.Module([*tree.body, *guarded], []), module)
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if found is None:
        return _order(origins[name])  # re-exported
    steps: list[Step] = [(module, found)]
    for base in found.bases:
        steps += _order_of_base(base, origins)
    return list(reversed(dict.fromkeys(reversed(steps))))


def _order_of_base(base: ast.expr, origins: Mapping[str, str]) -> list[Step]:
    """The same of a base, written as a name, `module.name` or `name[argument]`."""
    written = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
    head, _, rest = written.partition(".")
    try:
        return _order(f"{origins[head]}.{rest}".rstrip("."))
    except (BadInput, LookupError):
        return [(written, None)]


def _looked_up(order: Sequence[Step], name: str) -> ast.expr | None:
    """The expression that gives an attribute; None where none does, or where it may be set in another way."""
    if any(node is not None and _set_later(module, name) for module, node in order):
        return None
    for _, node in order:
        if node is None:
            return None  # a base that is not to be found may have it
        for item in reversed(node.body):
            declared = isinstance(item, ast.AnnAssign) and item.value is None  # a type alone binds nothing
            if name in bound_names(item) and not declared:
                return next((value for target, value in _pairs(item) if ast.unparse(target) == name), None)
    return None


def _set_later(module: str, name: str) -> bool:
    """Whether a module assigns to `<something>.name`, such as `self.needs = ...`."""
    nodes = (node for node in ast.walk(parsed_module(module)) if isinstance(node, ast.Attribute) and node.attr == name)
    return any(isinstance(node.ctx, ast.Store) for node in nodes)


def _pairs(item: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What an assignment assigns to, beside what it assigns; tuples are taken apart."""
    if isinstance(item, ast.AnnAssign) and item.value is not None:
        yield item.target, item.value
    elif isinstance(item, ast.Assign):
        for target in item.targets:
            yield from _apart(target, item.value)


def _apart(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _plain(value: ast.expr) -> str | list[str] | None:
    """A text, or the texts of a set in order; None for what is neither, or must be computed."""
    call = value if isinstance(value, ast.Call) else None
    if call is not None:
        if ast.unparse(call.func) not in SETS or call.keywords or len(call.args) > 1:
            return None
        value = call.args[0] if call.args else ast.List([], ast.Load())
    try:
        found = ast.literal_eval(value)
    except (ValueError, TypeError):
        return None
    if isinstance(found, str) and call is None:
        return found
    if not isinstance(found, set | list | tuple | str) or not all(isinstance(item, str) for item in found):
        return None
    return sorted(set(found)) if call else sorted(found)
