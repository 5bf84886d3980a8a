"""How far a sweep is, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from benchmark.words import counted

STATES = ("done", "running", "failed", "left aside", "waiting")


@dataclass(frozen=True)
class Tally:
    """How far a sweep is.

    Attributes:
        runs: state -> number of runs.
        victims: state -> number of clean, sham and backdoored victims.
        spent: seconds that stages in the store cost when they were made.
        left: seconds that missing stages will take, as far as records tell.
        unknown: missing stages that no record is like.
    """

    runs: Counter[str]
    victims: Counter[str]
    spent: float
    left: float
    unknown: int

    @property
    def finished(self) -> bool:
        """Whether nothing runs or waits."""
        return not self.runs["running"] and not self.runs["waiting"]

    def brief(self) -> str:
        """For the end of a line."""
        others = [f"{self.runs[state]} {state}" for state in ("running", "failed", "left aside") if self.runs[state]]
        return ", ".join([*others, f"{span(self.left)} of work left"] if self.left else others)

    def lines(self) -> list[str]:
        """For people; hours are those of one process, a GPU's or a core's."""
        busy = self.runs["running"]
        soon = f", about {span(self.left / busy)} with the {busy} that run now" if busy and self.left else ""
        unlike = f", and {counted(self.unknown, 'stage')} that no record is like" if self.unknown else ""
        known = f"{span(self.left)} by recorded costs{soon}{unlike}"
        nothing = f"unknown: no record is like the {counted(self.unknown, 'stage')} to make"
        return [
            f"runs     {_counts(self.runs)}",
            f"victims  {_counts(self.victims)}",
            f"spent    {span(self.spent)}",
            f"left     {nothing if self.unknown and not self.left else known}",
        ]


def _counts(states: Counter[str]) -> str:
    shown = [f"{states[state]} {state}" for state in STATES if states[state] or state in ("done", "waiting")]
    return f"{', '.join(shown)} of {states.total()}"


def span(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
