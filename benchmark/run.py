"""One run, top to bottom: a clean and a backdoored victim, a defense on each, scores, and the record.

Imports no torch until something is missing from the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import keys, store
from benchmark.attempts import attempt
from benchmark.config import checked, construct
from benchmark.data import cache
from benchmark.errors import BadInput
from benchmark.lease import Lease
from benchmark.record import Record, load
from benchmark.store import Store
from benchmark.tracker import Tracker

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from benchmark.keys import Keys
    from benchmark.stages import Progress, Protected, Trained


def run(config: DictConfig | Mapping[str, Any], progress: Progress | None = None) -> Record:
    """Make a run, or read its record if the store has it.

    Args:
        config: as composed by Hydra or `benchmark.compose`.
        progress: told (stage, epochs done, epochs, loss) after every epoch of training.

    Returns:
        The record; it lies at `record_path(config)`.

    Raises:
        BadInput: something in the configuration cannot be used; nothing was trained or written.
        Exception: whatever a method raised; its traceback is in the store's `failures/`.
    """
    tree = checked(config)
    tracker: Tracker = construct(tree, "tracker")  # before hours of training: its options may be wrong
    shelf, plan = planned(tree)
    path = shelf.record(plan.run)
    record = _known(path)
    if record is None:
        with Lease(path.with_suffix(".lease"), done=path.exists) as lease:
            if lease.held and not path.exists():  # another process may have made it since we last looked
                _make(tree, plan, shelf, progress or _silent)
        record = load(path)
    tracker.log(record, path)
    return record


def groundwork(config: DictConfig | Mapping[str, Any], progress: Progress | None = None) -> None:
    """Make what a run shares with the runs of other attacks: the clean victim, surrogates, the defense's control.

    It publishes these and writes no record. Arguments and errors as for `run`.
    """
    from benchmark.parts import Parts
    from benchmark.stages import Stages

    tree = checked(config)
    shelf, plan = planned(tree)
    parts = Parts(tree, shelf)
    stages = Stages(parts, plan, shelf, progress or _silent)
    clean = stages.clean()
    stages.surrogates()
    if plan.sham == plan.clean and parts.inapplicable() is None:
        stages.protected("control", clean.victim, parts.dataset.train)


def planned(tree: Mapping[str, Any]) -> tuple[Store, Keys]:
    """The store and the keys of a checked configuration; decodes the data set if that has never been done.

    Raises:
        BadInput: an unknown constructor, unreadable data.
    """
    shelf = Store(Path(tree["store"]))
    try:
        shelf.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"store={tree['store']}: cannot be made ({error.strerror}); choose another folder") from error
    return shelf, keys.plan(tree, cache.digest(tree["dataset"], shelf))


def record_path(config: DictConfig | Mapping[str, Any]) -> Path:
    """Where the record of a configuration lies, or will lie."""
    shelf, plan = planned(checked(config))
    return shelf.record(plan.run)


def _known(path: Path) -> Record | None:
    """The record at a path; a damaged one is set aside, to be made again."""
    if not path.exists():
        return None
    try:
        return load(path)
    except BadInput as error:
        store.set_aside(path, str(error))
        return None


def _make(tree: Mapping[str, Any], plan: Keys, shelf: Store, progress: Progress) -> None:
    with attempt(shelf.failure(plan.run), plan.run, tree):
        store.publish(shelf.record(plan.run), _execute(tree, plan, shelf, progress).to_json())


def _execute(tree: Mapping[str, Any], plan: Keys, shelf: Store, progress: Progress) -> Record:
    from benchmark.parts import Parts
    from benchmark.report import Report
    from benchmark.stages import Stages

    parts = Parts(tree, shelf)
    report, stages = Report(parts, plan.run), Stages(parts, plan, shelf, progress)
    reason = parts.inapplicable()
    if reason is not None:
        return report.not_applicable(reason)

    clean = stages.clean()
    backdoored = stages.backdoored(clean)
    sham = stages.sham(clean)

    poisoned = stages.poisoned(backdoored.secret)
    defended = stages.protected("defended", backdoored.victim, poisoned.blind())
    control = stages.protected("control", sham.victim, parts.dataset.train)

    # Triggered once, and kept where the victims are.
    challenge = parts.attack.challenge(parts.dataset.test, backdoored.secret).to(parts.device)
    probes = parts.attack.probes(parts.dataset.test, backdoored.secret)
    victims: dict[str, Trained | Protected] = {
        "clean": clean,
        "sham": sham,
        "backdoored": backdoored,
        "defended": defended,
        "control": control,
    }
    return report.complete(victims, poisoned, challenge, probes)


def _silent(stage: str, done: int, epochs: int, loss: float) -> None:
    """Nobody watches."""
