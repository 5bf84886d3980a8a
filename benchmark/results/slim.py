"""Parts of records that take as little room as their numbers need."""

from __future__ import annotations

from typing import Any

from benchmark.record import Part


class Slim:
    """Parts seen so far; what comes later and is equal becomes one of them."""

    def __init__(self) -> None:
        self.parts: dict[tuple[Any, ...], Part] = {}
        self.fields: dict[tuple[Any, ...], set[str]] = {}

    def part(self, part: Part) -> Part:
        """An equal part; the one given must be its reader's own, and is written into, frozen as it is.

        Pydantic keeps a set of names beside each part, which takes more room than most parts themselves.
        """
        values = vars(part)
        values.update({name: self.part(value) for name, value in values.items() if isinstance(value, Part)})
        given = self.fields.setdefault((type(part), *sorted(part.model_fields_set)), part.model_fields_set)
        object.__setattr__(part, "__pydantic_fields_set__", given)
        try:
            return self.parts.setdefault((type(part), *values.values()), part)
        except TypeError:  # it holds a list
            return part
