"""Parts of records that take as little room as their numbers need."""

from __future__ import annotations

from typing import Any

from benchmark.record import Part

PLAIN = {int, float, str, bool, type(None)}  # no parts, which is told sooner than by asking whether they are one


class Slim:
    """Parts seen so far; what comes later and is equal becomes one of them, if it holds plain values alone."""

    def __init__(self) -> None:
        self.parts: dict[tuple[Any, ...], Part] = {}
        self.whole: dict[type[Part], set[str]] = {}
        self.some: dict[tuple[type[Part], frozenset[str]], set[str]] = {}

    def part(self, part: Part) -> Part:
        """An equal part; the one given must be its reader's own, and is written into, frozen as it is.

        Pydantic keeps a set of names beside each part, which takes more room than most parts themselves.
        """
        values = vars(part)
        if PLAIN.issuperset(map(type, values.values())):
            key = (type(part), *values.values())
            known = self.parts.get(key)
            if known is None:
                known = self.parts[key] = self._slimmed(part)
            return known
        for name, value in values.items():
            if isinstance(value, Part):
                values[name] = self.part(value)
        return self._slimmed(part)

    def _slimmed(self, part: Part) -> Part:
        """The part, with one set of names for all that have the same fields, most often all."""
        given, kind = part.model_fields_set, type(part)
        whole = self.whole.get(kind)
        if whole is None:
            whole = self.whole[kind] = set(kind.model_fields)
        shared = whole if len(given) == len(whole) else self.some.setdefault((kind, frozenset(given)), given)
        object.__setattr__(part, "__pydantic_fields_set__", shared)
        return part
