"""Fields of records as columns of texts: a value is JSON, and parsed once however many records share it.

Most values are those of other records too, such as a recipe or a clean victim's scores, and are kept once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import GenericAlias
from typing import Annotated, Any, NamedTuple

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from benchmark.record import Cost, Part, Record, Scores, Section, VictimScores, complaint
from benchmark.results.slim import Slim


def _scores(victims: dict[str, VictimScores | None]) -> Scores | None:
    """Of all victims, or of none where the run was not scored."""
    return Scores.model_validate(victims) if victims else None


class Shared(NamedTuple):
    """A field of which members rather than the whole are shared: what a member is, and what is made of them."""

    member: Any
    whole: Callable[[dict[str, Any]], Any] = dict


MEMBERS: Mapping[str, Shared] = {
    "config": Shared(Section),
    "scores": Shared(VictimScores | None, _scores),
    "costs": Shared(Cost),
    "curves": Shared(list[float]),
    "weights": Shared(str),
}
FIELDS = {field.alias or name: field for name, field in Record.model_fields.items() if name != "evidence"}
REQUIRED = {name for name, field in FIELDS.items() if field.is_required()}
TEXTS = pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False))
COLUMNS = pa.schema([(name, TEXTS if name in MEMBERS else pa.string()) for name in (*FIELDS, "evidence")])
ABSENT = object()  # of a field that a record lacks


class Column:
    """The values of one field, each parsed when it is first met, as strictly as in a whole record."""

    def __init__(self, name: str) -> None:
        field = FIELDS[name]
        self.name = name
        self.shared = MEMBERS.get(name)
        kind = self.shared.member if self.shared else Annotated[field.annotation, field.description, *field.metadata]
        alone: Any = GenericAlias(tuple, (kind,))  # a model would refuse the strictness, which it has itself
        self.adapter: TypeAdapter[tuple[Any]] = TypeAdapter(alone, config=Part.model_config)
        self.known: dict[str, Any] = {}  # of the last array: what records share lies near together
        self.names: dict[str, str] = {}
        self.slim = Slim()

    def values(self, array: pa.Array) -> list[Any]:
        """One value a record, or `ABSENT`.

        Raises:
            ValueError: a text is none of this field.
        """
        try:
            return self._joined(array, self.shared.whole) if self.shared else self._parsed(array)
        except ValidationError as error:
            raise ValueError(f"field {self.name}: {complaint(error)}") from error

    def _joined(self, array: pa.MapArray, whole: Callable[[dict[str, Any]], Any]) -> list[Any]:
        members, names = self._parsed(array.items), array.keys.to_pylist()
        names = [self.names.setdefault(name, name) for name in names]
        spans = zip(pairwise(array.offsets.to_pylist()), array.is_valid().to_pylist(), strict=True)
        return [
            whole(dict(zip(names[start:end], members[start:end], strict=True))) if held else ABSENT
            for (start, end), held in spans
        ]

    def _parsed(self, array: pa.Array) -> list[Any]:
        encoded = array.dictionary_encode()
        known = self.known
        self.known = {t: known[t] if t in known else self._value(t) for t in encoded.dictionary.to_pylist()}
        found: dict[int | None, Any] = {None: ABSENT, **dict(enumerate(self.known.values()))}
        return [found[at] for at in encoded.indices.to_pylist()]  # what fills nulls imports pandas

    def _value(self, text: str) -> Any:
        (value,) = self.adapter.validate_json(f"[{text}]")
        return self.slim.part(value) if isinstance(value, Part) else value


def texts(record: Record) -> dict[str, Any]:
    """Field -> text, or member -> text; what an older record lacks, it lacks here too."""
    content = record.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {name: _members(value) if name in MEMBERS else _text(value) for name, value in content.items()}


def _members(values: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, value in (values or {}).items()]


def _text(value: object) -> str:
    return to_json(value).decode()
