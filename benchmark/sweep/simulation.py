"""What jobs would take on many GPUs: events in simulated time, some of them deaths; nothing is trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf
from random import Random
from typing import NamedTuple


class Stage(NamedTuple):
    """What is made once and published.

    Attributes:
        key, seconds: of its artefact; of work on a GPU.
        resumes: whether it continues from a checkpoint after its job died.
    """

    key: str
    seconds: float
    resumes: bool


class Job(NamedTuple):
    """Stages on one GPU, in order; without any it is a milestone, which takes no GPU and no time.

    Attributes:
        stages: what it makes.
        after: numbers of the jobs that must be finished before.
    """

    stages: Sequence[Stage]
    after: Sequence[int] = ()


@dataclass(frozen=True)
class Cluster:
    """Where jobs run; all times in seconds.

    Attributes:
        gpus: how many; one job each.
        queue: that a free GPU waits for the next job.
        startup: that a job holds its GPU before it works.
        deaths: of a job, per second of its work; deaths have no memory.
        requeue: until a job that died may begin again.
        checkpoint: between two checkpoints of a training.
        node, lost, back: GPUs that go away together, when, and when they are there again.
    """

    gpus: int
    queue: float = 0.0
    startup: float = 0.0
    deaths: float = 0.0
    requeue: float = 0.0
    checkpoint: float = inf
    node: range = range(0)
    lost: float = inf
    back: float = inf


@dataclass
class Outcome:
    """What came of it; all times in seconds, summed over GPUs but for the makespan.

    Attributes:
        makespan: from the first job's turn to the end of the last.
        work, lost: on stages; and what of it had to be done again.
        held: that jobs held GPUs: start-ups and work.
        starts, deaths: of jobs; a job that died starts again.
        published: keys of stages, in order of time.
    """

    makespan: float = 0.0
    work: float = 0.0
    lost: float = 0.0
    held: float = 0.0
    starts: int = 0
    deaths: int = 0
    published: list[str] = field(default_factory=list)


@dataclass(eq=False)
class _Attempt:
    """A job that holds a GPU from `since` on, and works from `works` on."""

    job: int
    gpu: int
    since: float
    works: float


class Simulation:
    """Runs jobs, first come, first served; of those that come together the first in order.

    Args:
        jobs: what they wait for are places in this sequence.
        cluster: where.
        generator: of deaths.
    """

    def __init__(self, jobs: Sequence[Job], cluster: Cluster, generator: Random) -> None:
        self.jobs, self.cluster, self.generator = jobs, cluster, generator
        self.now, self.left = 0.0, len(jobs)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()  # of events of one time: as they were foreseen
        self.ready: list[tuple[float, int]] = []
        self.free = list(range(cluster.gpus))
        self.running: dict[int, _Attempt] = {}
        self.waits = [len(job.after) for job in jobs]
        self.followers: dict[int, list[int]] = defaultdict(list)
        self.made = [0] * len(jobs)  # stages published
        self.kept = [0.0] * len(jobs)  # seconds in the checkpoint of the stage after them
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Let everything happen, once."""
        for number, job in enumerate(self.jobs):
            for other in job.after:
                self.followers[other].append(number)
        if self.cluster.lost < inf:
            self._foresee(self.cluster.lost, self._lose)
        for number in [number for number, waits in enumerate(self.waits) if not waits]:
            self._enqueue(number)
        while self.left:
            self._dispatch()
            self.now, _, happen = heappop(self.events)
            happen()
        self.outcome.makespan = self.now
        return self.outcome

    def _foresee(self, time: float, event: Callable[[], None]) -> None:
        heappush(self.events, (time, next(self.order), event))

    def _enqueue(self, number: int) -> None:
        if self.jobs[number].stages:
            heappush(self.ready, (self.now, number))
        else:
            self._finish(number)

    def _finish(self, number: int) -> None:
        self.left -= 1
        for follower in self.followers[number]:
            self.waits[follower] -= 1
            if not self.waits[follower]:
                self._enqueue(follower)

    def _dispatch(self) -> None:
        while self.ready and self.free:
            number, gpu, since = heappop(self.ready)[1], heappop(self.free), self.now + self.cluster.queue
            attempt = self.running[gpu] = _Attempt(number, gpu, since, since + self.cluster.startup)
            self.outcome.starts += 1
            left = sum(stage.seconds for stage in self.jobs[number].stages[self.made[number] :]) - self.kept[number]
            death = self.generator.expovariate(self.cluster.deaths) if self.cluster.deaths else inf
            self._foresee(attempt.works + min(death, left), partial(self._end, attempt, death < left))

    def _end(self, attempt: _Attempt, dies: bool) -> None:
        if self.running.get(attempt.gpu) is not attempt:  # it went with its node
            return
        heappush(self.free, attempt.gpu)
        if dies:
            self._interrupt(attempt)
        else:
            self._leave(attempt, inf)
            self._finish(attempt.job)

    def _interrupt(self, attempt: _Attempt) -> None:
        self.outcome.deaths += 1
        self._leave(attempt, max(0.0, self.now - attempt.works))
        self._foresee(self.now + self.cluster.requeue, partial(self._enqueue, attempt.job))

    def _lose(self) -> None:
        self.free = sorted(set(self.free) - set(self.cluster.node))  # a heap too
        for attempt in [self.running[gpu] for gpu in self.cluster.node if gpu in self.running]:
            self._interrupt(attempt)
        for gpu in self.cluster.node:
            self._foresee(self.cluster.back, partial(heappush, self.free, gpu))

    def _leave(self, attempt: _Attempt, worked: float) -> None:
        """Take a job from its GPU, publish what so many seconds finished, keep the checkpoint of the stage after."""
        del self.running[attempt.gpu]
        number, outcome = attempt.job, self.outcome
        outcome.held += max(0.0, self.now - attempt.since)
        for stage in self.jobs[number].stages[self.made[number] :]:
            left = stage.seconds - self.kept[number]
            if worked < left:
                kept = worked - worked % self.cluster.checkpoint if stage.resumes else 0.0
                self.kept[number] += kept
                outcome.work += worked
                outcome.lost += worked - kept
                return
            worked -= left
            outcome.work += left
            outcome.published.append(stage.key)
            self.made[number], self.kept[number] = self.made[number] + 1, 0.0
