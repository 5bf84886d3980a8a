"""Defenses against each other, attack by attack: how much more one removes, how sure that is, and at what price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from benchmark.errors import BadInput
from benchmark.results.intervals import Interval
from benchmark.results.leaderboard import Cell
from benchmark.results.names import named
from benchmark.results.pairing import Missing, Pair, pairs
from benchmark.results.statistics import RESAMPLES, Array, bootstrap, holm, signed_rank
from benchmark.words import counted

ALPHA = 0.05
CHANCE = 0  # seed of the bootstrap: the same records give the same interval


@dataclass(frozen=True)
class Judgement:
    """What the attacks say about the difference of two defenses.

    Attributes:
        attacks: how many, each on its board.
        mean: removed share of the other less the reference's, mean over attacks.
        interval: of 95 %, by the bootstrap over attacks and seeds; None under two attacks.
        p: of Wilcoxon's signed-rank test; None under six attacks.
        adjusted: the same by Holm, over all comparisons with the reference that have one.
    """

    attacks: int
    mean: float
    interval: Interval | None
    p: float | None
    adjusted: float | None

    @property
    def called(self) -> bool:
        """Whether it is said that there is a difference: the interval leaves out 0 and the adjusted p is at most 5 %.

        Both, since a bootstrap over few attacks is too narrow: over 10 attacks whose differences vary by 15 points a
        plain percentile interval leaves out 0 in 9 of 100 draws without a difference, the widened one in 5. The test
        is exact, adjusted for the number of comparisons, and says nothing under six attacks.
        """
        return (
            self.interval is not None
            and not self.interval.holds(0)
            and self.adjusted is not None
            and self.adjusted <= ALPHA
        )


@dataclass(frozen=True)
class Comparison:
    """A defense against the reference.

    Attributes:
        reference: label of the first-named defense.
        other: label of the one compared with it.
        pairs: all that both met, with those that do not count (`Pair.reason`).
        judgement: None where no pair counts.
        missing: runs that would make more pairs, or complete ones.
        notes: what keeps the two from being ranked together, and what makes attacks less independent than they look.
    """

    reference: str
    other: str
    pairs: Sequence[Pair]
    judgement: Judgement | None
    missing: Sequence[Missing]
    notes: Sequence[str]

    @property
    def used(self) -> list[Pair]:
        """The pairs that count."""
        return [pair for pair in self.pairs if not pair.reason]

    @property
    def left_out(self) -> Mapping[str, int]:
        """Reason -> how many pairs do not count for it."""
        return Counter(pair.reason for pair in self.pairs if pair.reason)

    @property
    def boards(self) -> list[tuple[str, ...]]:
        """Those the pairs that count are on."""
        return list(dict.fromkeys(pair.board for pair in self.used))

    def cost(self, before: str, after: str) -> float | None:
        """Clean accuracy that the other costs beyond the reference, mean over the attacks that count.

        Args:
            before: "backdoored", or "sham" for a model without a backdoor.
            after: "defended", or "control"; attacks mostly share the control, so it has no interval over attacks.
        """
        return fmean(pair.cost(before, after) for pair in self.used) if self.used else None

    def worst(self, defense: str) -> tuple[Pair, float] | None:
        """The pair of which a defense removes least, and that share.

        Args:
            defense: the label of either.
        """
        first = defense == self.reference
        shares = [(pair, (pair.reference if first else pair.other).removed or 0.0) for pair in self.used]
        return min(shares, key=lambda pair: pair[1], default=None)


def compare(found: Sequence[Cell], names: Sequence[str]) -> list[Comparison]:
    """Compare defenses with the first-named, each on the attacks, boards and seeds that both have.

    Args:
        found: cells of one call of `benchmark.results.leaderboard.cells`.
        names: of two or more defenses, as `benchmark.results.names.named` takes them.

    Raises:
        BadInput: fewer than two different defenses, or one that no record has.
    """
    labels = [named(found, name) for name in names]
    if len(set(labels)) < 2 or len(set(labels)) < len(labels):
        raise BadInput(f"{' '.join(names)}: are not two or more different defenses; name each once")
    made = [_compared(found, labels[0], other) for other in labels[1:]]
    judgements = {at: one.judgement for at, one in enumerate(made) if one.judgement is not None}
    tested = {at: judgement.p for at, judgement in judgements.items() if judgement.p is not None}
    for at, p in zip(tested, holm(list(tested.values())), strict=True):
        made[at] = replace(made[at], judgement=replace(judgements[at], adjusted=p))
    return made


def judged(residuals: Mapping[str, Sequence[tuple[float, float]]], resamples: int = RESAMPLES) -> Judgement:
    """A difference's mean, interval and test, of one comparison alone.

    Args:
        residuals: attack -> for each seed what the reference and the other leave of the attack; at least one attack.
        resamples: of the bootstrap.
    """
    differences = [float(_removed(np.mean(seeds, axis=0, keepdims=True))[0]) for seeds in residuals.values()]
    interval = bootstrap(residuals, np.random.default_rng(CHANCE), combine=_removed, resamples=resamples)
    p = signed_rank(differences)
    return Judgement(len(differences), fmean(differences), interval, p, p)


def _removed(means: Array) -> Array:
    """Residuals of the reference and the other, (R, 2), to what the other removes beyond the reference, (R,)."""
    left: Array = np.maximum(means, 0)
    return left[:, 0] - left[:, 1]


def _compared(found: Sequence[Cell], reference: str, other: str) -> Comparison:
    met, missing = pairs(found, reference, other)
    used = {str(at): pair.residuals for at, pair in enumerate(met) if not pair.reason}
    judgement = judged(used) if used else None
    return Comparison(reference, other, met, judgement, missing, list(_notes(found, met, (reference, other))))


def _notes(found: Sequence[Cell], met: Sequence[Pair], labels: tuple[str, str]) -> list[str]:
    kinds = {cell.label["defense"]: (cell.family, cell.access) for cell in found if cell.label["defense"] in labels}
    told = []
    if len(set(kinds.values())) > 1:
        each = ", ".join(f"{name} is {family} with {access}" for name, (family, access) in kinds.items())
        told.append(f"They differ in family or access and are not ranked together: {each}.")
    used = [pair for pair in met if not pair.reason]
    kinds_of_attack = {pair.reference.records[0].methods.attack.name for pair in used}
    if 0 < len(kinds_of_attack) < len(used):
        words = f"{len(used)} units are {counted(len(kinds_of_attack), 'different attack')}"
        told.append(
            f"The {words} in several settings or on several boards, which are less independent than they count."
        )
    return told
