"""Whether a record from elsewhere can be what it says it is; nothing that it names is imported, constructed or opened.

A record is data. What it says of methods is held against their sources, which are parsed; what cannot be told without
running it is left to `benchmark.admitting.rerun`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from benchmark import keys
from benchmark.admitting.vetting import MOST, installed, refuse, shown, targets, vet
from benchmark.errors import BadInput
from benchmark.record import Record

DIGEST = re.compile("[0-9a-f]{64}")
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")


def check(record: Record, allowed: Iterable[str] = ()) -> None:
    """Refuse a record that this code, with these settings, cannot have made.

    Args:
        record: read strictly.
        allowed: packages whose methods count besides ours; one that is not installed is taken at its word.

    Raises:
        BadInput: why it is refused, in one line.
    """
    vet(record.config, allowed)
    if type(seed := record.config["seed"]) is not int or seed != record.seed or seed < 0:
        refuse(f"seed {shown(record.seed)}: config.seed is {shown(seed)}")
    _counts(record)
    _provenance(record)
    _words(record)
    if all(installed(target) for target in targets(record.config)):
        _identity(record)


class Residents:
    """Who is at home in which cell: what is not installed cannot be computed again, and could bear another's identity.

    Args:
        records: that are there already.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.runs: dict[tuple[frozenset[tuple[str, str]], int], str] = {}
        self.targets: dict[tuple[str, str], object] = {}
        for record in records:
            self.welcome(record)

    def welcome(self, record: Record) -> None:
        """Count one more; raises BadInput where its identity is of another run, or a part of it of another method."""
        run = self.runs.setdefault((frozenset(record.identity.items()), record.seed), record.key)
        if run != record.key:
            refuse(f"identity: record {run} has the same, with this seed")
        for part, section in record.config.items():
            if isinstance(section, Mapping) and part in record.identity:
                target = section.get("_target_")
                found = self.targets.setdefault((part, record.identity[part]), target)
                if found != target:
                    refuse(f"identity.{part}: is that of {shown(found)}")


def _counts(record: Record) -> None:
    """Every score is of the rows that it is a score on."""
    rows, scores = record.rows, record.scores
    for name, value in _numbers(record.model_dump()):
        if abs(value) > MOST:
            refuse(f"{shown(name)}: {shown(value)} is too large a number")
    if (record.status == "complete") != (scores is not None) or (record.reason is None) != (scores is not None):
        refuse(f"status is {record.status!r}, which its scores or its reason contradict")
    victims = {name: victim for name, victim in scores or () if victim is not None}
    for name, victim in victims.items():
        for score, n in (("ca", rows.test), ("asr", rows.challenge), ("ra", rows.challenge)):
            if (found := getattr(victim, score).n) != n:
                refuse(f"scores.{name}.{score}: has n={found}, the record's rows say {n}")
    for field in ("weights", "costs"):
        if set(getattr(record, field)) != set(victims):
            refuse(f"{field}: are of other victims than the scores")
    for probe, found in record.probes.items():
        if set(found) != set(victims) or len({count.n for count in found.values()}) != 1:
            refuse(f"probes.{shown(probe)}: not every victim was asked the same rows")


def _provenance(record: Record) -> None:
    about = record.provenance
    if about.protocol != keys.PROTOCOL:
        refuse(f"protocol {about.protocol}: this version's is {keys.PROTOCOL}, and results of two are never pooled")
    if about.dirty is not False or not COMMIT.fullmatch(about.commit or ""):
        refuse("provenance: was not made from a clean commit; commit, or stash, and run again")
    if about.threads != record.config["threads"]:
        refuse(f"provenance.threads is {about.threads}, config.threads {shown(record.config['threads'])}")
    if about.runs_per_device < 1:
        refuse(f"provenance.runs_per_device is {about.runs_per_device}")
    for name, digest in (("dataset", about.dataset), *record.weights.items(), *record.identity.items()):
        if not DIGEST.fullmatch(digest):
            refuse(f"{shown(name)}: {shown(digest)} is no sha256")


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


def _identity(record: Record) -> None:
    """Identity and key come out again from the configuration, the installed sources and the data's digest."""
    about, config = record.provenance, record.config
    device = about.device if about.device in ("cpu", "mps") else "cuda"
    torch = about.versions.get("torch", "")
    try:
        environment = keys.environment_of(config, about.protocol, torch, device)
        found = keys.identities(config, about.dataset, environment)
        plan = keys.plan(config, about.dataset, environment)
    except (BadInput, ValueError, LookupError, TypeError, AttributeError, SyntaxError, OSError) as error:
        raise BadInput(f"config: its identity cannot be computed ({shown(error)})") from error
    for part, value in found.items():
        if record.identity.get(part) != keys.hashed(value):
            refuse(f"identity.{part}: does not follow from its options and the source here; run this version's code")
    if record.identity.keys() != found.keys():
        refuse("identity: has parts that no run has")
    if plan.run != record.key:
        refuse("key: does not follow from the configuration; run this version's code")


def _numbers(value: object, name: str = "") -> Iterator[tuple[str, int | float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item, name)
    elif isinstance(value, int | float):
        yield name, value
