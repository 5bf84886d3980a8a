"""Weights & Biases as a tracker: the one file that imports wandb, and only when a run is logged."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.errors import BadInput
from benchmark.record import Detection, Record

if TYPE_CHECKING:
    import wandb
    from PIL.Image import Image

Mode = Literal["offline", "online", "disabled"]

MODES: tuple[Mode, ...] = ("offline", "online", "disabled")
FORBIDDEN = "/\\#?%:"  # in a project's name, by wandb's rules
PNG = "data:image/png;base64,"


class WandbTracker:
    """Logs each run to wandb, from its record alone.

    A run's id is its record's key, so a run that is logged again does not appear twice on the server: wandb writes the
    same rows over the old ones (by its documentation; untried, for want of a server). Offline, each log is a new folder
    `<folder>/wandb/offline-run-<time>-<key>`, sent later with `wandb sync <that folder>`.

    Online, wandb is given `timeout` seconds to answer and as many again to take the data; it never asks for a key on
    the terminal. Without a key, without a network or after a timeout, `log` raises a one-line BadInput. The record is
    on disk by then, and the same command with `tracker.mode=offline` logs it without training anything again.

    Args:
        mode: `offline` writes files only, `online` sends, `disabled` does nothing and needs no wandb.
        project: of wandb.
        group: under which wandb's page lists the runs together; null for none.
        folder: holds wandb's own files, in `<folder>/wandb`.
        timeout: seconds, above 0; only used online.

    Raises:
        BadInput: an option that cannot be used, or wandb is not installed.
    """

    def __init__(
        self,
        mode: Mode = "offline",
        project: str = "postern",
        group: str | None = None,
        folder: str = "store",
        timeout: float = 60,
    ) -> None:
        if mode not in MODES:
            raise BadInput(f"tracker.mode={mode}: must be one of {', '.join(MODES)}; set tracker.mode")
        if not isinstance(project, str) or not project or set(project) & set(FORBIDDEN):
            raise BadInput(f"tracker.project={project}: must be a text without any of {FORBIDDEN}; set tracker.project")
        if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 < timeout < float("inf"):
            raise BadInput(f"tracker.timeout={timeout}: must be a number of seconds above 0; set tracker.timeout")
        if mode != "disabled" and not _installed():
            raise BadInput(
                f"tracker.mode={mode}: wandb is not installed; install postern[wandb] or choose tracker=none"
            )
        self.mode: Mode = mode
        self.project = project
        self.group = group
        self.folder = Path(folder)
        self.timeout = float(timeout)

    def log(self, record: Record, path: Path) -> None:
        """Log the config, the loss curves, the final scores, the pictures and the record's file.

        Raises:
            BadInput: the folder cannot be made; online, wandb has no key or cannot be reached in time.
        """
        if self.mode == "disabled":
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"tracker.folder={self.folder}: cannot be made ({error.strerror}); set tracker.folder"
            ) from error
        import wandb

        try:
            wandb.setup(wandb.Settings(silent=True))  # before init, which would otherwise ask for a key on a terminal
            with self._started(record) as run:
                _send(run, record, path)
        except (wandb.errors.Error, TimeoutError) as error:
            reason = (str(error).splitlines() or [""])[0].rstrip(".")
            raise BadInput(
                f"tracker.mode={self.mode}: {type(error).__name__}: {reason}; the record is kept in {path}; "
                "give WANDB_API_KEY and a network, or set tracker.mode=offline"
            ) from error

    def _started(self, record: Record) -> wandb.Run:
        """A run of its own, beside any that the caller may have open; it says of the machine what the record says."""
        import wandb

        settings = wandb.Settings(
            silent=True,  # the last line on stdout is the record's path
            console="off",  # stdout and stderr stay untouched
            init_timeout=self.timeout,
            finish_timeout=self.timeout,
            finish_timeout_raises=True,
            host=record.provenance.machine,  # else the machine's name
            disable_git=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        return wandb.init(
            id=record.key,
            project=self.project,
            group=self.group,
            name=f"{record.methods.attack.name} {record.methods.defense.name} {record.seed}",
            config={**record.config, "provenance": record.provenance.model_dump(mode="json")},
            dir=str(self.folder.resolve()),
            mode=self.mode,
            reinit="create_new",
            settings=settings,
        )


def _installed() -> bool:
    """Whether wandb can be imported; a mere folder of that name, as wandb leaves behind, has no origin."""
    spec = find_spec("wandb")
    return spec is not None and spec.origin is not None


def _send(run: wandb.Run, record: Record, path: Path) -> None:
    import wandb

    run.define_metric("epoch")
    run.define_metric("loss/*", step_metric="epoch")
    for row in history(record):
        run.log(row)
    shown = pictures(record)
    if shown:
        run.log({name: wandb.Image(picture) for name, picture in shown.items()})
    run.summary.update(summary(record))
    artifact = wandb.Artifact(f"record-{record.key}", type="record")
    artifact.add_file(str(path.resolve()), policy="immutable", skip_cache=True)  # a record's file never changes
    run.log_artifact(artifact)


def history(record: Record) -> list[dict[str, float]]:
    """One row an epoch, from 1: `epoch`, and `loss/<stage>` of every stage that trained so long."""
    columns = {f"loss/{stage}": losses for stage, losses in record.curves.items()}
    rows = enumerate(zip_longest(*columns.values()), start=1)
    return [
        {"epoch": epoch, **{name: loss for name, loss in zip(columns, losses, strict=True) if loss is not None}}
        for epoch, losses in rows
    ]


def summary(record: Record) -> dict[str, float | bool | str]:
    """Status, `<score>/<victim>` as shares from 0 to 1, and what was detected; what was not measured is left out."""
    scores: dict[str, float | None] = {}
    for victim, made in record.scores or ():
        if made is not None:
            scores.update({f"{score}/{victim}": count.rate for score, count in made})
    told = {**scores, **(_detected(record.detection) if record.detection else {})}
    return {"status": record.status, **{name: value for name, value in told.items() if value is not None}}


def _detected(detection: Detection) -> dict[str, float | bool | None]:
    rows, inputs, model = detection.rows, detection.inputs, detection.model
    return {
        "auroc/rows": rows.separation.auroc if rows else None,
        "auroc/rows_within_target": rows.within_target.auroc if rows else None,
        "auroc/inputs": inputs.separation.auroc if inputs else None,
        "auroc/inputs_successful": inputs.successful.auroc if inputs else None,
        "detected/backdoored": model.backdoored.detected if model else None,
        "detected/control": model.control.detected if model else None,
    }


def pictures(record: Record) -> dict[str, Image]:
    """The record's PNGs by name: clean and triggered inputs, and what the defense drew; texts are left out."""
    from PIL import Image

    if record.evidence is None:
        return {}
    named = {
        "inputs/clean": record.evidence.clean_inputs,
        "inputs/triggered": record.evidence.triggered_inputs,
        **{f"defense/{name}": uri for name, uri in record.evidence.pictures.items()},
    }
    found = {name: uri.removeprefix(PNG) for name, uri in named.items() if uri is not None and uri.startswith(PNG)}
    return {name: Image.open(io.BytesIO(base64.b64decode(coded))) for name, coded in found.items()}
