"""What a job does: the runs of a chain one after another; what fails is written down, and the rest goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.attempts import note
from benchmark.errors import BadInput
from benchmark.run import groundwork, planned, run
from benchmark.sweep.chains import read

log = logging.getLogger(__name__)

Step = Callable[[Mapping[str, Any]], object]


class VictimFailed(RuntimeError):
    """A run's victim could not be trained in this job, so the run was not tried."""


def work(path: Path) -> None:
    """Do what a chain's file asks for; its log lies beside it.

    Args:
        path: of the chain.
    """
    kind, configs = read(path)
    with _logged(log_of(path)):
        failed: dict[str, str] = {}  # victim -> why it could not be trained
        for number, config in enumerate(configs, start=1):
            log.info("%s %d of %d: %s", kind, number, len(configs), _title(config))
            if kind == "clean":
                _prepare(config)
            else:
                _run(config, failed)


def log_of(chain: Path) -> Path:
    """Where the log of a chain lies: errors with their tracebacks, and when each run began."""
    return chain.with_suffix(".log")


def _prepare(config: Mapping[str, Any]) -> None:
    """Make what is shared; the run that fails for want of it tells the user."""
    try:
        groundwork(config)
    except Exception:
        log.exception("%s", _title(config))


def _run(config: Mapping[str, Any], failed: dict[str, str]) -> None:
    shelf, plan = planned(config)
    failure = shelf.failure(plan.run)
    try:
        if plan.backdoored in failed:
            raise VictimFailed(failed[plan.backdoored])
        run(config)
    except VictimFailed as error:
        note(failure, plan.run, config, error)
        log.error("%s: %s", _title(config), error)
    except BadInput as error:  # `run` leaves this to whoever shows it to the user; here nobody is watching
        note(failure, plan.run, config, error)
        log.error("%s: %s", _title(config), error)
    except Exception as error:
        log.exception("%s", _title(config))
        if not shelf.artefact(plan.backdoored).exists():
            failed[plan.backdoored] = f"{type(error).__name__}: {error}"


def _title(config: Mapping[str, Any]) -> str:
    names = (str(config[part]["_target_"]).rpartition(".")[2] for part in ("attack", "defense"))
    return f"{' '.join(names)} seed {config['seed']}"


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what the whole process logs to a file too."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
