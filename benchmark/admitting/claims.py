"""Whether a record from elsewhere can be what it says it is; nothing that it names is imported, constructed or opened.

A record is data. What it says of methods is held against their sources, which are parsed; what cannot be told without
running it is left to `benchmark.admitting.rerun`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from benchmark import keys
from benchmark.admitting.counts import check_counts
from benchmark.admitting.facts import STATED, stated
from benchmark.admitting.vetting import SECTIONS, installed, refuse, shown, targets, vet
from benchmark.errors import BadInput
from benchmark.record import Record

DIGEST = re.compile("[0-9a-f]{64}")
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")


def check(record: Record, allowed: Iterable[str] = ()) -> None:
    """Refuse a record that this code, with these settings, cannot have made.

    Args:
        record: read strictly.
        allowed: packages whose methods count besides ours; of one that is not installed the identity, and what the
            record says of it, are taken at their word.

    Raises:
        BadInput: why it is refused, in one line.
    """
    vet(record.config, allowed)
    if type(seed := record.config["seed"]) is not int or seed != record.seed or seed < 0:
        refuse(f"seed {shown(record.seed)}: config.seed is {shown(seed)}")
    check_counts(record)
    _provenance(record)
    _words(record)
    _facts(record)
    _identity(record)


class Residents:
    """Who is at home in which cell: what is not installed cannot be computed again, and could bear another's identity.

    Args:
        records: that are there already; what they say of methods may contradict each other, as of two versions.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.runs: dict[tuple[frozenset[tuple[str, str]], int], str] = {}
        self.targets: dict[tuple[str, str], object] = {}
        self.said: dict[tuple[str, str, str], list[object]] = {}
        for record in records:
            self._compare(record)
            self._seat(record)

    def welcome(self, record: Record) -> None:
        """Count one more; one that is refused leaves no trace.

        Raises:
            BadInput: its identity is of another run, a part of it of another method, or it says of a method that is not
                installed what no record of that method says.
        """
        self._compare(record)
        for (part, target, name), value in _taken_at_their_word(record):
            known = self.said.get((part, target, name), [value])
            if value not in known:
                refuse(
                    f"methods.{part}.{name} is {shown(value)}, other records of {target} say {shown(known[0])}; "
                    "send records of one version of it"
                )
        self._seat(record)

    def _compare(self, record: Record) -> None:
        run = self.runs.get(_run(record), record.key)
        if run != record.key:
            refuse(f"identity: record {run} has the same, with this seed")
        for (part, identity), target in _targets(record):
            found = self.targets.get((part, identity), target)
            if found != target:
                refuse(f"identity.{part}: is that of {shown(found)}")

    def _seat(self, record: Record) -> None:
        self.runs.setdefault(_run(record), record.key)
        for part, target in _targets(record):
            self.targets.setdefault(part, target)
        for about, value in _taken_at_their_word(record):
            known = self.said.setdefault(about, [])
            if value not in known:
                known.append(value)


def _run(record: Record) -> tuple[frozenset[tuple[str, str]], int]:
    return frozenset(record.identity.items()), record.seed


def _targets(record: Record) -> Iterator[tuple[tuple[str, str], object]]:
    """(part, its identity) -> the constructor that the record says it is of."""
    for part, section in record.config.items():
        if isinstance(section, Mapping) and part in record.identity:
            yield (part, record.identity[part]), section.get("_target_")


def _taken_at_their_word(record: Record) -> Iterator[tuple[tuple[str, str, str], object]]:
    """(part, target, attribute) -> what the record says of a method that no source here says."""
    for part, said in record.methods:
        section = record.config.get(part)  # a resident was never vetted
        target = str(section.get("_target_")) if isinstance(section, Mapping) else ""
        told = stated(part, target)
        yield from (((part, target, name), getattr(said, name)) for name in STATED[part] if name not in told)


def _provenance(record: Record) -> None:
    about = record.provenance
    if about.protocol != keys.PROTOCOL:
        refuse(f"protocol {about.protocol}: this version's is {keys.PROTOCOL}, and results of two are never pooled")
    if about.dirty is not False or not COMMIT.fullmatch(about.commit or ""):
        refuse("provenance: was not made from a clean commit; commit, or stash, and run again")
    if about.threads != record.config["threads"]:
        refuse(f"provenance.threads is {about.threads}, config.threads {shown(record.config['threads'])}")
    if (asked := str(record.config["device"])).split(":")[0] not in ("auto", _kind(record)):
        refuse(f"provenance.device is {shown(about.device)}, config.device {shown(asked)}")
    if about.runs_per_device < 1:
        refuse(f"provenance.runs_per_device is {about.runs_per_device}")
    for name, digest in (("dataset", about.dataset), *record.weights.items(), *record.identity.items()):
        if not DIGEST.fullmatch(digest):
            refuse(f"{shown(name)}: {shown(digest)} is no sha256")


def _kind(record: Record) -> str:
    """Of the device that the record was made on."""
    return record.provenance.device if record.provenance.device in ("cpu", "mps") else "cuda"


def _words(record: Record) -> None:
    """Names follow from the configuration, and pictures are pictures."""
    for part, facts in record.methods:
        target = str(record.config[part]["_target_"])
        if facts.name != target.rpartition(".")[2]:
            refuse(f"methods.{part}.name is {shown(facts.name)}, config.{part} calls {shown(target)}")
    evidence = record.evidence
    pictures = [] if evidence is None else [evidence.clean_inputs, evidence.triggered_inputs]
    pictures += [] if evidence is None else list(evidence.pictures.values())
    for picture in pictures:
        if picture is not None and not PICTURE.fullmatch(picture):
            refuse(f"evidence: {shown(picture)} is no PNG")


def _facts(record: Record) -> None:
    """What decides with whom a method is ranked is what its source here says; it comes from a set, and so in order."""
    for part, said in record.methods:
        if sorted(set(said.needs)) != said.needs:
            refuse(f"methods.{part}.needs is {shown(said.needs)}: must be in order, each once; send records as written")
        target = str(record.config[part]["_target_"])
        for name, value in stated(part, target).items():
            if (found := getattr(said, name)) != value:
                refuse(f"methods.{part}.{name} is {shown(found)}, the source of {target} here says {shown(value)}")


def _identity(record: Record) -> None:
    """Identities come out again from the options, the sources here, the data's digest and the environment.

    A part whose constructor is not installed is taken at its word, and then so is the key, which follows from them all;
    a data set counts by its digest alone, so that its source is not asked for.
    """
    about, config = record.provenance, record.config
    absent = {part for part in SECTIONS if part != "dataset" and not all(map(installed, targets(config[part])))}
    torch = about.versions.get("torch", "")
    try:
        environment = keys.environment_of(config, about.protocol, torch, _kind(record))
        found = keys.identities({**config, **{part: {} for part in absent}}, about.dataset, environment)
        run = record.key if absent else keys.plan(config, about.dataset, environment).run
    except (BadInput, ValueError, LookupError, TypeError, AttributeError, SyntaxError, OSError) as error:
        raise BadInput(f"config: its identity cannot be computed ({shown(error)})") from error
    for part, value in found.items():
        if part not in absent and record.identity.get(part) != keys.hashed(value):
            refuse(f"identity.{part}: does not follow from its options and the source here; run this version's code")
    if record.identity.keys() != found.keys():
        refuse("identity: has parts that no run has")
    if run != record.key:
        refuse("key: does not follow from the configuration; run this version's code")
