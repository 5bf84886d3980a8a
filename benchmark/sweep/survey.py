"""A look at a sweep, at the disk alone: no scheduler is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from benchmark import store
from benchmark.attempts import last
from benchmark.lease import Pulse
from benchmark.seal import Damaged, facts_of
from benchmark.store import Store
from benchmark.sweep.announcement import Planned
from benchmark.sweep.estimates import TRAININGS, Estimates, recorded
from benchmark.sweep.tally import Tally, span

COMMITTED = Path(__file__).parents[2] / "leaderboard" / "records"  # a new store guesses costs from these


class Survey:
    """Looks at the runs of one sweep, again and again.

    Args:
        runs: of the sweep.
        shelf: their store.
    """

    def __init__(self, runs: Sequence[Planned], shelf: Store) -> None:
        self.runs, self.shelf = runs, shelf
        self.pulse = Pulse()
        self.costs: dict[str, float] = {}

    @cached_property
    def estimates(self) -> Estimates:
        """From the store's own records, else from committed ones: another machine's, but better than nothing."""
        return Estimates(list(recorded(self.shelf.root / "records")) or recorded(COMMITTED))

    @cached_property
    def stages(self) -> dict[str, tuple[str, Planned]]:
        """Key -> (stage, a run that needs it): each is made once, whoever shares it."""
        return {key: (stage, run) for run in self.runs for stage, key in run.stages.items()}

    def expected(self, key: str) -> float | None:
        """Seconds that a stage will take, or None where no record is like it."""
        stage, run = self.stages[key]
        return self.estimates.seconds(stage, run.about)

    def look(self) -> Tally:
        """The state of every run and victim at this moment."""
        records, artefacts, failures = (
            store.listed(self.shelf.root / part) for part in ("records", "artefacts", "failures")
        )
        runs = Counter(self._run_state(run, records, failures) for run in self.runs)
        victims = [key for key, (stage, _) in self.stages.items() if stage in TRAININGS]
        states = Counter(self._victim_state(key, artefacts) for key in victims)
        made = [key for key in self.stages if f"{key}.safetensors" in artefacts]
        guesses = [self.expected(key) for key in self.stages.keys() - set(made)]
        known = [guess for guess in guesses if guess is not None]
        return Tally(runs, states, sum(map(self._cost, made)), sum(known), len(guesses) - len(known))

    def _run_state(self, run: Planned, records: set[str], failures: set[str]) -> str:
        key = run.keys.run
        if f"{key}.json" in records:
            return "done"
        if f"{key}.lease" in records and self.pulse.beats(self.shelf.record(key).with_suffix(".lease")):
            return "running"
        failure = last(self.shelf.failure(key)) if f"{key}.json" in failures else None
        if failure is None:
            return "waiting"
        return "left aside" if failure.left_aside else "failed"

    def _victim_state(self, key: str, artefacts: set[str]) -> str:
        if f"{key}.safetensors" in artefacts:
            return "done"
        living = f"{key}.lease" in artefacts and self.pulse.beats(self.shelf.artefact(key).with_suffix(".lease"))
        return "running" if living else "waiting"

    def _cost(self, key: str) -> float:
        if key not in self.costs:
            try:
                self.costs[key] = float(facts_of(self.shelf.artefact(key))["costs"]["seconds"])
            except (FileNotFoundError, Damaged, KeyError):  # pruned or damaged meanwhile
                return 0.0
        return self.costs[key]


def agenda(survey: Survey) -> Iterator[str]:
    """What a grid means, stage by stage: how many, how many the store has, and what the rest will cost."""
    yield f"{'stage':<12}{'wanted':>8}{'stored':>8}{'to make':>9}  estimate"
    stored = store.listed(survey.shelf.root / "artefacts")
    for stage in (*TRAININGS, "control", "defended"):
        wanted = [key for key, (which, _) in survey.stages.items() if which == stage]
        new = [key for key in wanted if f"{key}.safetensors" not in stored]
        guesses = [survey.expected(key) for key in new]
        known = [guess for guess in guesses if guess is not None]
        cost = span(sum(known)) if known or not guesses else "unknown"
        unlike = f" ({guesses.count(None)} like nothing recorded)" if None in guesses else ""
        if wanted:
            yield f"{stage:<12}{len(wanted):>8}{len(wanted) - len(new):>8}{len(new):>9}  {cost}{unlike}"
    yield from survey.look().lines()
