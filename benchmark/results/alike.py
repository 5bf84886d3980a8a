"""Equal parts of many records, kept once: 100,000 records then fit into a gigabyte."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from pydantic_core import to_json

from benchmark.record import Part, Record, VictimScores

ALIKE = ("methods", "rows", "probes", "stealth", "detection", "provenance")  # as a whole, in many records
DIGESTS = ("identity", "weights")  # name -> digest
DIGEST = 32  # bytes; longer texts are told apart by it

PartType = TypeVar("PartType", bound=Part)


class Alike:
    """What the records seen so far are made of."""

    def __init__(self) -> None:
        self.kept: dict[object, Any] = {}
        self.keep = self.kept.setdefault  # the first value of a key

    def light(self, record: Record) -> Record:
        """The record, without its evidence and with what it can share; it must be its reader's own, unseen by others.

        Written into, frozen as it is: to construct it anew would take as long as to parse it.
        """
        values, keep = vars(record), self.keep
        _set_fields(record, keep(frozenset(record.model_fields_set), record.model_fields_set))
        values["evidence"] = None
        for name in ALIKE:
            values[name] = keep((name, _told(values[name])), values[name])
        for name in DIGESTS:
            values[name] = dict(zip(values[name], map(keep, values[name].values(), values[name].values()), strict=True))
        for name, part in record.config.items():
            if isinstance(part, dict):
                record.config[name] = keep(("config", _told(part)), part)
        for stage, curve in record.curves.items():
            key = ("curve", *curve)
            record.curves[stage] = self.kept.get(key) or keep(key, list(map(keep, curve, curve)))
        for stage, cost in record.costs.items():
            record.costs[stage] = self.part(cost, tuple(vars(cost).values()))
        if record.scores is not None:
            _set_fields(record.scores, keep(type(record.scores), record.scores.model_fields_set))
            vars(record.scores).update({name: victim and self.victim(victim) for name, victim in record.scores})
        return record

    def victim(self, scores: VictimScores) -> VictimScores:
        """The first scores like these."""
        ca, asr, ra = scores.ca, scores.asr, scores.ra
        key = (VictimScores, ca.hits, ca.n, asr.hits, asr.n, ra.hits, ra.n)
        found: VictimScores | None = self.kept.get(key)
        if found is not None:
            return found
        vars(scores).update({name: self.part(count, (count.hits, count.n)) for name, count in scores})
        _set_fields(scores, self.keep(VictimScores, scores.model_fields_set))
        self.kept[key] = scores
        return scores

    def part(self, part: PartType, values: object) -> PartType:
        """The first part of its kind with these values; its fields all have to be given."""
        _set_fields(part, self.keep(type(part), part.model_fields_set))
        kept: PartType = self.keep((type(part), values), part)
        return kept


def _set_fields(part: Part, fields: set[str]) -> None:
    object.__setattr__(part, "__pydantic_fields_set__", fields)


def _told(value: object) -> bytes:
    text = b"" if value is None else to_json(value)
    return text if len(text) < DIGEST else hashlib.blake2b(text, digest_size=DIGEST).digest()
