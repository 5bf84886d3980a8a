"""One question for every victim and split: on how many rows is the output what the split's labels say?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from benchmark.types import Poisoned, Split, Targets
from benchmark.victim import Victim

Match = Callable[[Targets, Targets], Tensor]


class Score(NamedTuple):
    """A share, kept as its counts."""

    hits: int
    n: int


class ChallengeScore(NamedTuple):
    """Attack success and robust accuracy on the same triggered rows."""

    asr: Score
    ra: Score


def same_class(outputs: Targets, targets: Targets) -> Tensor:
    """Whether each predicted class is the label, bool (N,); REJECT equals no label."""
    assert isinstance(outputs, Tensor) and isinstance(targets, Tensor)
    return outputs.cpu() == targets.cpu()


def score(victim: Victim, split: Split, match: Match) -> Score:
    """Accuracy on the split's own labels: clean accuracy on a test split, attack success on a challenge.

    Args:
        victim: any; a rejected row counts as a miss.
        split: rows; may be empty.
        match: the data set's (outputs, targets) -> bool (N,).
    """
    return _count(match, victim.predict(split.inputs), split.targets) if len(split) else Score(0, 0)


def score_challenge(victim: Victim, challenge: Poisoned, match: Match) -> ChallengeScore:
    """ASR against the attacker's labels and RA against the true ones, from one pass."""
    if len(challenge) == 0:
        return ChallengeScore(Score(0, 0), Score(0, 0))
    outputs = victim.predict(challenge.inputs)
    return ChallengeScore(_count(match, outputs, challenge.targets), _count(match, outputs, challenge.truth))


def _count(match: Match, outputs: Targets, targets: Targets) -> Score:
    hits = match(outputs, targets)
    return Score(int(hits.sum()), len(hits))
