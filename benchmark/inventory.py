"""What a store holds, what its records need of it, and what of it is damaged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from benchmark import keys
from benchmark.errors import BadInput
from benchmark.keys import Keys
from benchmark.record import Record, load
from benchmark.seal import Damaged, facts_of, verified
from benchmark.store import Store

STAGES = ("clean", "sham", "backdoored", "defended", "control")  # of a record's weights
VERIFICATIONS = "verifications"  # stores in which records from elsewhere were run again
PARTS = ("artefacts", "records", "failures", "data", "downloads", "sweeps", VERIFICATIONS)
IMPORTS = "imports"  # where an archive lies until it has been checked
LEFT = (".tmp", ".damaged", ".lease")
MEMBER = re.compile(
    r"records/([0-9a-f]{2})/\1[0-9a-f]{62}\.json|artefacts/([0-9a-f]{2})/\2[0-9a-f]{62}\.safetensors", re.ASCII
)

State = Literal["present", "missing", "damaged", "other tensors"]


@dataclass(frozen=True)
class Need:
    """An artefact that a record was measured on.

    Attributes:
        stage: one of STAGES.
        path: its place; None where that cannot be told and no artefact holds its tensors.
        state: "other tensors" where its place holds an artefact that the record was not measured on.
        bytes: of the file at that place.
    """

    stage: str
    path: Path | None
    state: State
    bytes: int


def files(shelf: Store) -> Iterator[tuple[str, Path]]:
    """Every file of a store with its part, or "leftovers" where an ended process may have left it.

    What lies in downloads is others' to name, and downloading holds no lease, so nothing there is a leftover.
    """
    for part in (*PARTS, IMPORTS):
        for folder, _, names in os.walk(shelf.root / part):
            for name in names:
                left = part == IMPORTS or (part != "downloads" and name.endswith(LEFT))
                yield "leftovers" if left else part, Path(folder, name)


def sizes(shelf: Store) -> dict[str, list[int]]:
    """The bytes of every file of each part, and of leftovers."""
    found: dict[str, list[int]] = {kind: [] for kind in (*PARTS, "leftovers")}
    for kind, path in files(shelf):
        found[kind].append(size(path))
    return found


def size(path: Path) -> int:
    """Bytes of a file, or of a link itself; 0 where another process has just removed it."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def members(shelf: Store, part: Literal["artefacts", "records"]) -> list[Path]:
    """Published artefacts or records, sorted; a file of another name is nobody's."""
    paths = (path for kind, path in files(shelf) if kind == part)
    return sorted(path for path in paths if MEMBER.fullmatch(path.relative_to(shelf.root).as_posix()))


class Holdings:
    """The artefacts of a store, each read once at most.

    A record's artefacts are found by their keys where these come out again, which is with the code and the kind of
    environment that made it. Otherwise the defended artefact alone is found by its key, the record's own, and the
    others by the digests of their tensors.

    Args:
        shelf: the store.
    """

    def __init__(self, shelf: Store) -> None:
        self.shelf = shelf
        self.known: dict[Path, str | None] = {}

    @cached_property
    def paths(self) -> list[Path]:
        """All artefacts."""
        return members(self.shelf, "artefacts")

    def digest(self, path: Path) -> str | None:
        """sha256 of an artefact's tensors; None where it is damaged or gone."""
        if path not in self.known:
            with suppress(Damaged, FileNotFoundError):
                self.known[path] = verified(path).digest
        return self.known.setdefault(path, None)

    def needs(self, record: Record) -> list[Need]:
        """Every artefact that a record was measured on; none where nothing was measured."""
        known, found = places(record, self.shelf), []
        for stage in STAGES:
            if stage in record.weights:
                path = known.get(stage) or self._search(record, stage)
                found.append(Need(stage, path, self._state(path, record.weights[stage]), size(path) if path else 0))
        return found

    def unused(self, records: Iterable[Record]) -> list[Path]:
        """Artefacts that no record needs: neither in a place of one, nor with tensors that one was measured on."""
        every = list(records)
        kept = {path for record in every for path in places(record, self.shelf).values()}
        wanted = {digest for record in every for digest in record.weights.values()}
        return [path for path in self.paths if path not in kept and self.digest(path) not in wanted]

    @cached_property
    def _costs(self) -> dict[Path, object]:
        found: dict[Path, object] = {}
        for path in self.paths:
            with suppress(Damaged, FileNotFoundError, KeyError, TypeError):
                found[path] = facts_of(path)["costs"]
        return found

    def _search(self, record: Record, stage: str) -> Path | None:
        """The artefact with the right tensors; one with the right costs is read first, since it is likely the one."""
        cost = record.costs[stage].model_dump() if stage in record.costs else None
        likely = sorted(self.paths, key=lambda path: self._costs.get(path) != cost)
        return next((path for path in likely if self.digest(path) == record.weights[stage]), None)

    def _state(self, path: Path | None, digest: str) -> State:
        if path is None or not path.exists():
            return "missing"
        found = self.digest(path)
        return "damaged" if found is None else "present" if found == digest else "other tensors"


def places(record: Record, shelf: Store) -> dict[str, Path]:
    """Where a record's artefacts lie, by stage, as far as their keys can be told."""
    plan = planned(record)
    names = {"defended": record.key}
    if plan is not None:
        names |= {"clean": plan.clean, "sham": plan.sham, "backdoored": plan.backdoored, "control": plan.control}
    return {stage: shelf.artefact(key) for stage, key in names.items() if stage in record.weights}


def planned(record: Record) -> Keys | None:
    """The keys of a record's stages; None where its own does not come out again.

    A record may come from anywhere, so no file that its configuration names is opened, but for sources.
    """
    kind = record.provenance.device if record.provenance.device in ("cpu", "mps") else "cuda"
    if _names_a_file({name: part for name, part in record.config.items() if name != "dataset"}):
        return None
    try:
        plan = keys.plan({**record.config, "device": kind}, record.provenance.dataset)
    except (ValueError, LookupError, TypeError, AttributeError, SyntaxError, OSError):  # it may hold anything
        return None
    return plan if plan.run == record.key else None


def _names_a_file(part: object) -> bool:
    if isinstance(part, Mapping):
        return any(_names_a_file(value) or (keys.is_path(name) and value is not None) for name, value in part.items())
    return isinstance(part, list) and any(map(_names_a_file, part))


def problems(shelf: Store) -> Iterator[str]:
    """Read everything, and tell what is damaged or does not match, a line each; what is missing is no problem."""
    holdings = Holdings(shelf)
    for path in holdings.paths:
        if holdings.digest(path) is None and path.exists():
            yield f"{path}: is damaged; the next run that needs it makes it again"
    for path in members(shelf, "records"):
        try:
            record = load(path)
        except BadInput as error:
            yield str(error)
            continue
        if record.key != path.stem:
            yield f"record {path}: its key is {record.key}, which is not its name"
        for stage, place in places(record, shelf).items():
            if holdings.digest(place) not in (None, record.weights[stage]):
                yield f"record {path}: {stage}: {place} holds other tensors than it was measured on"
