"""Failed attempts at a run: counted and kept beside the records, so that nothing is tried for ever."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark import store
from benchmark.errors import BadInput

PATIENCE = 3  # failed attempts after which a sweep leaves a run aside


@dataclass(frozen=True)
class Failure:
    """The last failed attempt at a run.

    Attributes:
        key: of the run.
        attempts: how many failed so far; configurations that cannot be used are not counted.
        bad_input: whether the user's configuration is to blame.
        error: type and message, or that the process was killed.
        traceback: empty where there is none.
        config: the resolved configuration.
    """

    key: str
    attempts: int
    bad_input: bool
    error: str
    traceback: str
    config: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """The error's first line."""
        return (self.error.splitlines() or ["?"])[0]

    @property
    def left_aside(self) -> bool:
        """Whether a sweep tries it again only when asked to."""
        return self.attempts >= PATIENCE


def last(path: Path) -> Failure | None:
    """The failure at a path, or None where there is none that can be read."""
    try:
        return Failure(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def note(path: Path, key: str, config: Mapping[str, Any], error: BaseException) -> None:
    """Write what an attempt failed of over what is there."""
    before = last(path)
    bad = isinstance(error, BadInput)
    count = (before.attempts if before else 0) + (not bad)
    told = str(error) if bad else f"{type(error).__name__}: {error}"
    _write(path, Failure(key, count, bad, told, "" if bad else "".join(traceback.format_exception(error)), config))


@contextmanager
def attempt(path: Path, key: str, config: Mapping[str, Any]) -> Iterator[None]:
    """Count an attempt from its beginning, so that one whose process is killed counts too.

    Success removes the file; what is raised is kept in it. An interruption and a configuration that cannot be used
    leave it as it was.

    Args:
        path: of the failure.
        key: of the run.
        config: the resolved configuration.
    """
    before = last(path)
    count = before.attempts if before else 0
    _write(path, Failure(key, count + 1, False, "the process that ran it was killed", "", config))
    try:
        yield
    except BaseException as error:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            _write(path, before)
        if isinstance(error, Exception) and not isinstance(error, BadInput):
            note(path, key, config, error)
        raise
    path.unlink(missing_ok=True)


def _write(path: Path, failure: Failure) -> None:
    store.replace(path, json.dumps(asdict(failure), indent=1).encode())
