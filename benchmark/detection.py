"""How well a defense finds what it looks for: training rows, inputs, or the model itself.

Marks and test data are used here, after the defense has spoken, and nowhere before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.parts import Parts
from benchmark.stages import Protected, Trained
from benchmark.types import Defended, Poisoned, Role, Split

CURVE_POINTS = 100
BINS = 32


@dataclass(frozen=True)
class Separation:
    """How well a suspicion separates marked rows from others; None where one side is empty or a value not finite."""

    auroc: float | None
    tpr_at_1: float | None  # true positive rate at 1 % false positives
    tpr_at_5: float | None
    positives: int
    negatives: int


@dataclass
class Found:
    """What a record says on detection: its table, and the curves and histograms behind it."""

    table: dict[str, Any]
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    histograms: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def separate(self, name: str, suspicion: Tensor, marked: Tensor) -> dict[str, Any]:
        """Measure one separation and keep its curve and histogram under a name."""
        values, truth = suspicion.double().cpu().numpy(), marked.cpu().numpy()
        if truth.any() and not truth.all() and np.isfinite(values).all():
            self.curves[name] = _roc(values, truth)
            self.histograms[name] = _histogram(values, truth)
        return asdict(separation(suspicion, marked))


def measured(
    parts: Parts, victims: Mapping[str, Trained | Protected], poisoned: Poisoned, challenge: Poisoned
) -> Found:
    """Compare what the defense found with the marks.

    Args:
        parts: what the run is made of.
        victims: with "backdoored", "defended" and "control".
        poisoned: the training rows with their marks.
        challenge: the triggered test rows.
    """
    defended, control = victims["defended"], victims["control"]
    assert isinstance(defended, Protected) and isinstance(control, Protected)
    found = Found({})
    found.table["rows"] = _rows(found, defended.found, control.found, poisoned)
    found.table["inputs"] = _inputs(found, parts, victims["backdoored"], defended, challenge)
    found.table["model"] = _model(defended.found, control.found, challenge)
    return found


def separation(suspicion: Tensor, marked: Tensor) -> Separation:
    """AUROC and true positive rates at 1 and 5 % false positives.

    Args:
        suspicion: float (N,), higher is likelier marked.
        marked: bool (N,), what should be found.
    Source: scikit-learn's roc_curve and auc.
    """
    from sklearn.metrics import auc, roc_curve  # 1 s to import, and only detectors need it

    values, truth = suspicion.double().cpu().numpy(), marked.cpu().numpy()
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives or not np.isfinite(values).all():
        return Separation(None, None, None, positives, negatives)
    fpr, tpr, _ = roc_curve(truth, values)
    at_1, at_5 = (float(tpr[fpr <= limit].max()) for limit in (0.01, 0.05))
    return Separation(float(auc(fpr, tpr)), at_1, at_5, positives, negatives)


def _roc(values: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[tuple[float, float]]:
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(truth, values)
    shown = np.unique(np.linspace(0, len(fpr) - 1, CURVE_POINTS).astype(int))
    return [(round(float(fpr[i]), 4), round(float(tpr[i]), 4)) for i in shown]


def _histogram(values: NDArray[np.float64], truth: NDArray[np.bool_]) -> dict[str, list[float]]:
    edges = np.histogram_bin_edges(values, bins=BINS)
    parts = {"positives": values[truth], "negatives": values[~truth]}
    counts = {name: np.histogram(part, bins=edges)[0].tolist() for name, part in parts.items()}
    return {"edges": [float(f"{edge:.5g}") for edge in edges], **counts}


def _rows(found: Found, defended: Defended, control: Defended, poisoned: Poisoned) -> dict[str, Any] | None:
    """Training rows; covers count as neither poisoned nor clean."""
    suspicion, flagged = defended.suspicion, defended.flagged
    if suspicion is None and flagged is None:
        return None
    poison, clean = poisoned.role == int(Role.POISON), poisoned.role == int(Role.CLEAN)
    judged = poison | clean
    assert isinstance(poisoned.targets, Tensor)
    target = judged & torch.isin(poisoned.targets, poisoned.targets[poison].unique())
    # A method that flags rows without ranking them is judged by its flags alone.
    ranked = torch.full((len(poison),), math.nan) if suspicion is None else suspicion
    return {
        "separation": found.separate("rows", ranked[judged], poison[judged]),
        "within_target": found.separate("rows within target", ranked[target], poison[target]),
        "precision": None if flagged is None else _share(poison, among=flagged & judged),
        "recall": None if flagged is None else _share(flagged, among=poison),
        "false_flags": None if flagged is None else _share(flagged, among=clean),
        "control_flags": None if control.flagged is None else _share(control.flagged, torch.ones_like(control.flagged)),
    }


def _inputs(
    found: Found, parts: Parts, backdoored: Trained | Protected, defended: Protected, challenge: Poisoned
) -> dict[str, Any] | None:
    """Inputs: every triggered row, and apart from it only those that succeed, since the latter flatters."""
    usual = defended.victim.suspicion(parts.dataset.test.inputs)
    triggered = defended.victim.suspicion(challenge.inputs) if len(challenge) else torch.zeros(0)
    if usual is None or triggered is None:
        return None
    success = parts.dataset.match(backdoored.victim.predict(challenge.inputs), challenge.targets)
    both = {"separation": triggered, "successful": triggered[success]}
    return {
        name: found.separate(
            f"inputs {name}", torch.cat([usual, shown]), torch.arange(len(usual) + len(shown)) >= len(usual)
        )
        for name, shown in both.items()
    }


def _model(defended: Defended, control: Defended, challenge: Split) -> dict[str, Any] | None:
    if defended.verdict is None or control.verdict is None:
        return None
    wanted = (
        set(torch.as_tensor(challenge.targets).tolist())
        if isinstance(challenge.targets, Tensor)
        else set(challenge.targets)
    )
    correct = defended.suspect in wanted if wanted else None
    return {"backdoored": _verdict(defended, correct), "control": _verdict(control, None)}


def _verdict(found: Defended, correct: bool | None) -> dict[str, Any]:
    score = found.verdict if found.verdict is not None and math.isfinite(found.verdict) else None
    return {"score": score, "detected": bool(found.detected), "suspect": found.suspect, "correct": correct}


def _share(hits: Tensor, among: Tensor) -> dict[str, int]:
    """Counts of `hits` among chosen rows, both bool (N,)."""
    return {"hits": int((hits & among).sum()), "n": int(among.sum())}
