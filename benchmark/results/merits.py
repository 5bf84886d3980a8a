"""Numbers of a cell by name: what they are, how they are printed, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import NamedTuple

from benchmark.results.leaderboard import Cell
from benchmark.words import rounded

NO_NUMBER = "–"  # was run, and has no such score


@dataclass(frozen=True)
class Score:
    """A number of a cell.

    Attributes:
        title: what it is, with its unit.
        of: the number, or None where the cell has none.
        better: 1 if more is better, -1 if less is, 0 if it is no merit of a defense.
        factor: from the number to what is printed.
        decimals: places printed.
    """

    title: str
    of: Callable[[Cell], float | None]
    better: int
    factor: float = 100
    decimals: int = 1

    def text(self, cell: Cell) -> str:
        """The number as printed."""
        value = self.of(cell)
        return NO_NUMBER if value is None else rounded(self.factor * value, self.decimals)


def _victims_score(victim: str, score: str) -> Callable[[Cell], float | None]:
    return lambda cell: cell.mean(victim, score)


def _removed(cell: Cell) -> float | None:
    return None if cell.status == "attack failed" else cell.removed


def auroc(cell: Cell) -> float | None:
    """Of a filter on training rows or an input detector on inputs, mean over seeds; None for other defenses."""
    looked = [part for r in cell.records if r.detection for part in (r.detection.rows, r.detection.inputs) if part]
    areas = [part.separation.auroc for part in looked if part.separation.auroc is not None]
    return fmean(areas) if areas else None


class Verdicts(NamedTuple):
    """A model detector's words on the victims of a cell and on as many controls."""

    right: int  # backdoored, and by the right label
    alarms: int  # on controls
    n: int


def verdicts(cell: Cell) -> Verdicts | None:
    """Counts over seeds; None for defenses that say nothing on models."""
    found = [record.detection.model for record in cell.records if record.detection and record.detection.model]
    right = sum(said.backdoored.detected and bool(said.backdoored.correct) for said in found)
    return Verdicts(right, sum(said.control.detected for said in found), len(found)) if found else None


def detected(cell: Cell) -> float | None:
    """How well a defense tells what is backdoored from what is not, in [0, 1] and 0.5 by chance; None if it does not.

    It is the AUROC, or, where there are verdicts alone, the area under the ROC through the one point that they are:
    (1 + share right - share of false alarms) / 2. To order by, not to show: that takes more models than a cell has.
    """
    measured, said = auroc(cell), verdicts(cell)
    return measured if measured is not None or said is None else (1 + (said.right - said.alarms) / said.n) / 2


NAMES = {"ca": "clean accuracy", "asr": "attack success", "ra": "robust accuracy"}
MERIT = {"ca": 1, "asr": -1, "ra": 1}
SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "removed": Score("Share of the attack removed, percent", _removed, 1),
        **{
            name: Score(f"{title.capitalize()} of the defended victim, percent", _victims_score("defended", name), m)
            for (name, title), m in zip(NAMES.items(), MERIT.values(), strict=True)
        },
        "cost": Score(
            "Clean accuracy lost by the victim, points", lambda cell: cell.cost("backdoored", "defended"), -1
        ),
        "control-cost": Score(
            "Clean accuracy lost by a model without a backdoor, points", lambda cell: cell.cost("sham", "control"), -1
        ),
        "auroc": Score("Area under the detector's ROC curve", auroc, 1, 1, 3),
        "seconds": Score("Seconds of the defense", lambda cell: cell.seconds, -1, 1),
        **{
            f"{victim}-{name}": Score(
                f"{title.capitalize()} of the {victim} victim, percent", _victims_score(victim, name), 0
            )
            for victim in ("clean", "sham", "backdoored", "control")
            for name, title in NAMES.items()
        },
    }
)
