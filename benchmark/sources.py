"""Digests of method code by parsing alone: a key changes with the code, not with a comment, and nothing is run."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from benchmark.errors import BadInput
from benchmark.outline import outline

CORE = "benchmark"  # its changes are told by PROTOCOL, raised by hand
SHARED = "baselines"  # followed from any method, ours or an outsider's


def digest(target: str, also: str | None = None) -> str:
    """sha256 over the file that defines a dotted name and the methods' modules it imports.

    Args:
        target: e.g. "baselines.attacks.badnets.BadNets".
        also: a package whose modules are followed too; None for the target's own part of the core, or for methods.

    Raises:
        BadInput: no such module or name.
    """
    module = module_of(target)
    also = also or (module.rpartition(".")[0] if module.split(".")[0] == CORE else SHARED)
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            tree = parsed_module(name)
            seen[name] = outline(tree)
            waiting += [found for found in _imports(tree, name) if _followed(found, module, also)]
    lines = "\n".join(f"{name}\n{text}" for name, text in sorted(seen.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def is_core(target: str) -> bool:
    """Whether a dotted name lies in a module of the core itself, `benchmark.<module>.<name>`."""
    return target.split(".")[0] == CORE and target.count(".") == 2


def defines(target: str, method: str) -> bool:
    """Whether a class, or a base outside the core, binds a method's name.

    Args:
        target: dotted name of a class, maybe re-exported by a package.
        method: e.g. "sham".

    Raises:
        BadInput: there is no such class.
    """
    module, name = module_of(target), target.rpartition(".")[2]
    if module.split(".")[0] == CORE:
        return False
    tree = parsed_module(module)
    origins = imported_names(tree, module)
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if found is None:
        if name not in origins:
            raise BadInput(f"_target_={target}: {module} has no class {name}; correct the yaml")
        return defines(origins[name], method)
    own = any(method in bound_names(item) for item in found.body)
    return own or any(_inherits(base, method, origins) for base in found.bases)


def docstrings(target: str) -> tuple[str, str]:
    """What the module and the class behind a dotted name say of themselves, each maybe empty.

    Raises:
        BadInput: no such module or class.
    """
    module, name = module_of(target), target.rpartition(".")[2]
    tree = parsed_module(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return ast.get_docstring(tree) or "", ast.get_docstring(node) or ""
    raise BadInput(f"_target_={target}: {module} has no class {name}; correct the yaml")


def _inherits(base: ast.expr, method: str, origins: dict[str, str]) -> bool:
    """Whether a base class, written as a name, `module.name` or `name[argument]`, binds a method's name."""
    head, _, rest = ast.unparse(base.value if isinstance(base, ast.Subscript) else base).partition(".")
    if head not in origins:
        return False
    try:
        return defines(f"{origins[head]}.{rest}".rstrip("."), method)
    except BadInput:  # a library's class that its package re-exports by other means: no attack of ours
        return False


def bound_names(item: ast.stmt) -> set[str]:
    """Names that a statement of a class body binds."""
    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
        return {item.name}
    return {node.id for node in ast.walk(item) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def module_of(target: str) -> str:
    """The longest prefix of a dotted name that is a module."""
    module = target.rpartition(".")[0]
    while module and _file(module) is None:
        module = module.rpartition(".")[0]
    if not module:
        raise BadInput(f"_target_={target}: no such module; correct the yaml, or install or add it to PYTHONPATH")
    return module


@cache
def _file(module: str) -> Path | None:
    """The file of a module, found without importing it or its packages."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)  # of a top-level name: imports nothing
    except ValueError:
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or []:
        path = Path(folder).joinpath(*rest)
        for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


@cache
def parsed_module(module: str) -> ast.Module:
    """Its source as a tree; raises BadInput where there is none."""
    if (file := _file(module)) is None:
        raise BadInput(f"module {module}: no Python source was found; install it as source")
    return ast.parse(file.read_bytes(), filename=str(file))


def _followed(module: str, start: str, also: str) -> bool:
    file, home = _file(module), _file(start)
    if file is None or home is None:
        return False
    own = start.split(".")[0]
    near = own != CORE and (module.split(".")[0] == own or file.parent == home.parent)  # its package, or beside it
    return near or f"{module}.".startswith(f"{also}.")


@cache
def _imports(tree: ast.Module, module: str) -> tuple[str, ...]:
    """Dotted names of what a module imports, anywhere in it; a name may be a module or something inside one."""
    return tuple(_imported(tree, module))


def _imported(tree: ast.Module, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module)
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imported_names(tree: ast.Module, module: str) -> dict[str, str]:
    """Local name -> dotted name, for classes of a module and what it imports."""
    names = {node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{_origin(node, module)}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
            }
    return names


def _origin(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    file = _file(module)
    inside = file is not None and file.name == "__init__.py"  # a package is its own parent
    parent = module if inside and node.level == 1 else module.rsplit(".", node.level - inside)[0]
    return f"{parent}.{node.module}" if node.module else parent
