"""Work shared out among processes: each task once, results in order, and no end that goes unnoticed."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmark.errors import BadInput
from benchmark.results.site import cores
from benchmark.results.site.cores import beside, shared_out, unwritten


@pytest.fixture(params=[1, 2, 5])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: range(request.param))
    return int(request.param)


def noted(folder: Path, number: int) -> tuple[int, int]:
    with (folder / str(number)).open("a") as file:
        file.write("done\n")
    time.sleep(0.05)  # so that nobody has them all
    return number, os.getpid()


def test_each_task_is_done_once_and_results_are_in_order(workers: int, tmp_path: Path) -> None:
    held = [object()]  # nothing that could be pickled
    tasks = [partial(lambda number, kept: (*noted(tmp_path, number), len(kept)), number, held) for number in range(23)]
    mine, found = shared_out(os.getpid, tasks)
    assert [number for number, _, _ in found] == list(range(23)) and {kept for *_, kept in found} == {1}
    assert [(tmp_path / str(number)).read_text() for number in range(23)] == ["done\n"] * 23
    processes = {process for _, process, _ in found}
    assert mine == os.getpid() and (len(processes) > 1) == (workers > 1)


def test_what_takes_no_pipe_at_once_is_told(workers: int) -> None:
    """Others wait for no reader while this process has work of its own."""
    _, found = shared_out(lambda: time.sleep(0.5), [partial(bytes, 2**20)] * 4)
    assert found == [bytes(2**20)] * 4


@pytest.mark.parametrize("where", ["own", "task"])
def test_what_a_task_raises_is_raised_here(where: str, workers: int) -> None:
    def refuse() -> int:
        raise BadInput("one is refused")

    with pytest.raises(BadInput, match="one is refused"):
        shared_out(refuse if where == "own" else int, [int, int, refuse if where == "task" else int, int])


@pytest.mark.parametrize("end", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(0)])
def test_a_process_that_ends_early_is_noticed(end: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: range(2))
    with pytest.raises(RuntimeError, match="ended before its work was done"):
        shared_out(lambda: time.sleep(0.5), [end])


def test_the_collector_is_as_it_was_behind_an_error() -> None:
    before = gc.get_threshold()
    with pytest.raises(BadInput), unwritten():
        assert gc.get_freeze_count() > 0 and gc.get_threshold() != before
        shared_out(int, [int])
        raise BadInput("stops")
    assert gc.get_freeze_count() == 0 and gc.get_threshold() == before


def test_no_task_is_no_work() -> None:
    assert shared_out(int, []) == (0, [])


# ---- a process beside this one


def answers() -> Callable[[object], object]:
    """Says who answers; the word "refuse" it refuses, and on "end" it ends."""

    def answer(question: object) -> object:
        if question == "refuse":
            raise BadInput("one is refused")
        if question == "end":
            os._exit(0)
        return os.getpid(), question

    return answer


def never_ready() -> Callable[[object], object]:
    raise BadInput("not ready")


def gone_before() -> Callable[[object], object]:
    time.sleep(0.3)
    os._exit(0)


@pytest.fixture
def answering() -> Iterator[Callable[[object], object]]:
    with beside(answers) as ask:
        yield ask


def test_another_process_answers_one_question_after_another(answering: Callable[[object], object]) -> None:
    large = "x" * 2**20
    answers = [answering(question) for question in (1, large, [3])]
    assert [said for _, said in answers] == [1, large, [3]]
    (process,) = {process for process, _ in answers}
    assert process != os.getpid()


def test_what_it_raises_is_raised_here(answering: Callable[[object], object]) -> None:
    with pytest.raises(BadInput, match="one is refused"):
        answering("refuse")


def test_what_it_raises_while_it_gets_ready_is_raised_at_the_first_question() -> None:
    with beside(never_ready) as ask, pytest.raises(BadInput, match="not ready"):
        ask(1)


def test_its_end_is_noticed_at_once_and_at_every_question(answering: Callable[[object], object]) -> None:
    for question in ("end", 1, 2):
        with pytest.raises(RuntimeError, match="ended before its work was done"):
            answering(question)


def test_its_end_with_a_question_unread_is_noticed() -> None:
    with beside(gone_before) as ask, pytest.raises(RuntimeError, match="ended before its work was done"):
        ask(bytes(1000))


def test_it_is_gone_behind_an_error() -> None:
    with pytest.raises(BadInput), beside(answers) as ask:
        process, _ = ask(None)
        raise BadInput("stops")
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
