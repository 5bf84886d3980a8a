"""The record of a run: one JSON file with every number and what is needed to trust it (docs/records.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import BadInput

# More than 200 lines: the schema is one thing, and is read in one piece.
SCHEMA = 1
SHOWN = 100  # characters of a wrong name or value in an error


def _finite(value: Any) -> Any:
    """Refuse what is no finite number where anything goes: 1e999 is JSON."""
    json.dumps(value, allow_nan=False)
    return value


Section = Annotated[Any, AfterValidator(_finite)]  # of a config
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """Strict: no field may be missing, none may be unknown, NaN is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, populate_by_name=True)


class Count(Part):
    """A score, as its counts."""

    hits: int = Field(ge=0, description="rows on which the output matched")
    n: int = Field(ge=0, description="rows asked")

    @model_validator(mode="after")
    def _no_more_hits_than_rows(self) -> Self:
        if self.hits > self.n:
            raise ValueError(f"{self.hits} hits of {self.n} rows")
        return self

    @property
    def rate(self) -> float | None:
        """Hits / n, or None where nothing was asked."""
        return self.hits / self.n if self.n else None


class VictimScores(Part):
    """One victim on test rows and on the attack's challenge."""

    ca: Count = Field(description="clean accuracy: test rows, true labels")
    asr: Count = Field(description="attack success: triggered rows, the attacker's labels")
    ra: Count = Field(description="robust accuracy: triggered rows, true labels")


class Scores(Part):
    """The victims of a run."""

    clean: VictimScores = Field(description="trained on clean rows")
    sham: VictimScores | None = Field(
        description="the attack's own loop without the backdoor; null where that is `clean`"
    )
    backdoored: VictimScores = Field(description="attacked")
    defended: VictimScores = Field(description="attacked, then defended")
    control: VictimScores = Field(description="the sham (or clean) victim, then defended")


class Separation(Part):
    """How well a suspicion separates what should be found from the rest."""

    auroc: float | None = Field(description="area under the ROC curve; null where one side is empty")
    tpr_at_1: float | None = Field(description="true positive rate at 1 % false positives")
    tpr_at_5: float | None = Field(description="true positive rate at 5 % false positives")
    positives: int = Field(description="rows to be found")
    negatives: int = Field(description="other rows")


class RowDetection(Part):
    """A filter's view of the training rows against the marks; cover rows count as neither."""

    separation: Separation = Field(description="poisoned against clean training rows")
    within_target: Separation = Field(description="the same among rows that carry the attacker's labels")
    precision: Count | None = Field(
        description="poisoned rows among flagged ones; null where nothing is flagged by design"
    )
    recall: Count | None = Field(description="flagged rows among poisoned ones")
    false_flags: Count | None = Field(description="flagged rows among clean ones")
    control_flags: Count | None = Field(description="flagged rows when the training rows were all clean")


class InputDetection(Part):
    """An input detector's suspicion of triggered against clean test rows."""

    separation: Separation = Field(description="all triggered rows against all clean test rows")
    successful: Separation = Field(description="only triggered rows that succeed on the backdoored victim")


class Verdict(Part):
    """A model detector's word on one victim."""

    score: float | None = Field(description="higher is likelier backdoored; null where it is not finite")
    detected: bool = Field(description="the method's own decision")
    suspect: int | str | None = Field(description="the label it thinks the attacker wants")
    correct: bool | None = Field(
        description="whether the suspect is one of the attacker's labels; null for the control"
    )


class ModelDetection(Part):
    """Verdicts on the attacked victim and on its control; an AUROC needs 20 models of each and is not in a record."""

    backdoored: Verdict = Field(description="on the attacked victim")
    control: Verdict = Field(description="on the sham (or clean) victim")


class Detection(Part):
    """What a defense detected, by what it looked at; null where it does not look there."""

    rows: RowDetection | None = Field(description="a filter, on the training rows")
    inputs: InputDetection | None = Field(description="an input detector, on the test rows")
    model: ModelDetection | None = Field(description="a model detector, on the victim itself")


class Cost(Part):
    """What making a stage cost, once, on the machine that made it."""

    seconds: float = Field(description="wall seconds")
    cpu_seconds: float = Field(description="processor seconds of the process")
    peak_memory: int = Field(description="bytes; of the device on CUDA, else resident")


class AttackFacts(Part):
    """Of the attack's class."""

    name: str = Field(description="of the class")
    ships: Literal["data", "model"] = Field(description="what reaches the user: poisoned rows or a trained model")
    needs: list[str] = Field(description="what it was given: `victim`, the clean one; `train`, the training rows")


class DefenseFacts(Part):
    """Of the defense's class: what it is compared within."""

    name: str = Field(description="of the class")
    family: str = Field(description="kind of defense, such as `repair`, `filter` or `input detector`")
    needs: list[str] = Field(
        description="what it was given: `clean`, `train`; of the victim its `labels`, `scores` or `weights`"
    )


class Methods(Part):
    """The methods of the run, by the names of their classes."""

    attack: AttackFacts = Field(description="the attack")
    defense: DefenseFacts = Field(description="the defense")


class RowCounts(Part):
    """How many rows played which part."""

    train: int = Field(description="rows the victims learnt from")
    clean: int = Field(description="the defender's trusted rows, disjoint from `train`")
    test: int = Field(description="rows that all victims are scored on")
    challenge: int = Field(description="triggered test rows")
    poisoned: int = Field(description="training rows poisoned")
    covers: int = Field(description="training rows triggered with their label kept")
    target_share: float | None = Field(description="poisoned rows among those that carry the attacker's labels")
    classes: int | None = Field(description="classes of the data; null where the targets are texts")
    largest_class: float | None = Field(description="share of the test rows in their largest class")


class Visibility(Part):
    """How much pictures differ from what an attack made of them: means over at most 200 rows."""

    n: int = Field(description="rows compared")
    unchanged: int = Field(description="of these, rows whose pictures are equal")
    psnr: float | None = Field(description="peak signal-to-noise ratio in dB, over the rows that changed")
    ssim: float | None = Field(description="structural similarity, at most 1; null for pictures too small")
    window: int | None = Field(description="side of its windows in pixels")
    colour_difference: float | None = Field(description="CIEDE2000; 0 is equality, 100 black against white")


class Stealth(Part):
    """What somebody who looks could see of the trigger."""

    train: Visibility = Field(description="poisoned training rows beside their originals")
    test: Visibility = Field(description="triggered test rows beside their originals")


class Evidence(Part):
    """Pictures, curves and histograms for the page; at most 20 kB as JSON."""

    clean_inputs: str | None = Field(description="data URI of some clean test inputs")
    triggered_inputs: str | None = Field(description="the same inputs with the trigger")
    pictures: dict[str, str] = Field(description="data URIs from the defense, such as an inverted trigger")
    curves: dict[str, list[float]] = Field(description="curves from the defense, such as mask norms of all classes")
    roc: dict[str, list[tuple[Share, Share]]] = Field(
        description="(false, true positive rate), at most 100 points a curve"
    )
    histograms: dict[str, dict[str, list[float]]] = Field(description="32 bins: edges, positives, negatives")


class Provenance(Part):
    """Where the record comes from."""

    versions: dict[str, str] = Field(description="package -> version")
    protocol: int = Field(description="raised by hand when training or scoring changes results")
    commit: str | None = Field(description="git commit of the code; null outside a clone")
    dirty: bool | None = Field(description="whether tracked files differed from the commit; null outside a clone")
    device: str = Field(description="`cpu`, or the name of the graphics card")
    machine: str = Field(description="operating system and processor family")
    threads: int = Field(description="of torch; sums depend on it")
    runs_per_device: int = Field(
        default=1, description="runs that shared the device, by the launcher's word: costs are those of a share"
    )
    dataset: str = Field(description="sha256 of the decoded rows")


class Record(Part):
    """One run."""

    schema_: Literal[1] = Field(alias="schema", description="version of this format")
    key: str = Field(pattern="^[0-9a-f]{64}$", description="identity of the run; the file's name")
    status: Literal["complete", "not applicable"] = Field(
        description="`not applicable`: these methods do not meet, and nothing was scored"
    )
    reason: str | None = Field(description="why it is not applicable, else null")
    config: dict[str, Section] = Field(description="the resolved config, constructors by `_target_`")
    identity: dict[str, str] = Field(
        description="part -> sha256 of what makes it the same: options, source code, contents of files; "
        "`environment` stands for protocol, torch, kind of device, threads and precision"
    )
    seed: int = Field(description="everything random derives from it")
    methods: Methods = Field(description="facts of the attack and the defense")
    rows: RowCounts = Field(description="sizes of the splits")
    scores: Scores | None = Field(description="null where the run is not applicable")
    probes: dict[str, dict[str, Count]] = Field(
        description="further triggered rows: probe -> victim -> share that obey"
    )
    stealth: Stealth | None = Field(
        default=None, description="of the trigger; null where the run is not applicable, and in older records"
    )
    detection: Detection | None = Field(description="what the defense found; null where the run is not applicable")
    costs: dict[str, Cost] = Field(description="stage -> what making it cost")
    curves: dict[str, list[float]] = Field(description="stage -> mean training loss of each epoch")
    weights: dict[str, str] = Field(description="stage -> sha256 of its tensors in the store")
    evidence: Evidence | None = Field(description="for the page; null where the run is not applicable")
    provenance: Provenance = Field(description="code, packages, machine and data")

    def to_json(self) -> bytes:
        """The file's bytes: sorted, indented, NaN refused."""
        content = self.model_dump(mode="json", by_alias=True)
        return (json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def load(path: Path) -> Record:
    """Read a record, strictly.

    Raises:
        BadInput: no JSON, an unknown schema, a missing or unknown field; one line with the file's name.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"record {path}: is no JSON of finite numbers ({error}); remove it or restore it") from error
    return parsed(data, f"record {path}")


def parsed(data: bytes | str, name: str) -> Record:
    """A record out of a file's bytes or their text, as strictly as `load`.

    Args:
        data: the JSON.
        name: where it comes from, for the error.

    Raises:
        BadInput: as for `load`.
    """
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        raise BadInput(f"{name}: {_explained(data, error)}") from error


def _explained(data: bytes | str, error: ValidationError) -> str:
    """Why a record is refused; read again for it, which only refused ones cost."""
    try:
        content = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as fault:
        return f"is no JSON of finite numbers ({fault}); remove it or restore it"
    found = content.get("schema") if isinstance(content, dict) else None
    if type(found) is not int or found != SCHEMA:
        shown = repr(found)[:SHOWN]
        return f"schema {shown} is unknown, this version reads {SCHEMA}; update postern"
    found_at = error.errors()[0]["loc"]
    where = ".".join(repr(part).strip("'")[:SHOWN] for part in found_at)  # repr: hostile names stay in the line
    return f"field {where}: {complaint(error)}; remove it or restore it"


def complaint(error: ValidationError) -> str:
    """What is wrong first, in a line."""
    return " ".join(error.errors()[0]["msg"].lower().split())


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")
