"""Names as people type them: what counts as the same, and which is nearest to one that is not there."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results.leaderboard import SEEDS, Cell
from benchmark.results.reproduce import command, written
from benchmark.results.yamls import constructor, constructors, section


def plain(name: str) -> str:
    """A name without what people leave out: `FineTuning` and `fine_tuning` are one."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def nearest_first(name: str, known: Iterable[str]) -> str:
    """What could have been meant, as a shell takes it, most alike first.

    Args:
        name: as it was typed.
        known: what it could have been.
    """
    wanted = plain(name)
    alike = {other: SequenceMatcher(None, wanted, plain(other)).ratio() for other in known}
    return ", ".join(map(shlex.quote, sorted(alike, key=lambda other: (-alike[other], other)))) or "none"


def named(found: Sequence[Cell], name: str) -> str:
    """The label of the defense that a person means.

    Args:
        found: all cells there are.
        name: a label; the name of a yaml in conf/defense, which stands for that yaml's options and no others; or the
            name of a class. Both in any case, with or without underscores.

    Raises:
        BadInput: no record has it, or several versions answer to it.
    """
    known = {cell.label["defense"]: cell.records[0] for cell in found}
    if name in known:
        return name
    yaml = {plain(file): file for file in constructors("defense")}.get(plain(name))
    answering = [label for label, record in known.items() if _answers(record, name, yaml)]
    if len(answering) > 1:
        quoted = ", ".join(f"'{label}'" for label in sorted(answering))
        raise BadInput(f"{name}: stands for {len(answering)} versions; name one of {quoted}")
    if not answering:
        offered = f"give some of these, nearest first: {nearest_first(name, _shortest(known))}"
        raise BadInput(f"{name}: {_absent(known, yaml) if yaml else 'no record has this defense'}; {offered}")
    return answering[0]


def _answers(record: Record, name: str, yaml: str | None) -> bool:
    """Several yamls may share a class, so a yaml's class alone does not make a record the yaml's."""
    config = record.config["defense"]
    if yaml and constructor(config) == constructors("defense")[yaml]:
        return written("defense", config) == yaml
    return plain(name) in (plain(constructor(config).rpartition(".")[2]), plain(record.methods.defense.name))


def _shortest(known: Mapping[str, Record]) -> list[str]:
    """The shortest that `named` takes for each label: its yaml's name, where no other version has that."""
    files = {label: written("defense", record.config["defense"]) for label, record in known.items()}
    versions = Counter(files.values())
    return [file if file and versions[file] == 1 else label for label, file in files.items()]


def _absent(known: Mapping[str, Record], yaml: str) -> str:
    """That a yaml has no record, and a command for some under the conditions of one that is there."""
    making = command(next(iter(known.values())), defense=section("defense", yaml), seed=range(SEEDS))
    return f"no record has the options of conf/defense/{yaml}.yaml; make some, such as {making}"
