"""Work shared out among processes: each task once, results in order, and no end that goes unnoticed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmark.errors import BadInput
from benchmark.results.site import cores
from benchmark.results.site.cores import shared_out


@pytest.fixture(params=[1, 2, 5])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: range(request.param))
    return int(request.param)


def noted(folder: Path, number: int) -> tuple[int, int]:
    with (folder / str(number)).open("a") as file:
        file.write("done\n")
    return number, os.getpid()


def test_each_task_is_done_once_and_results_are_in_order(workers: int, tmp_path: Path) -> None:
    held = [object()]  # nothing that could be pickled
    tasks = [partial(lambda number, kept: (*noted(tmp_path, number), len(kept)), number, held) for number in range(23)]
    found = shared_out(tasks)
    assert [number for number, _, _ in found] == list(range(23)) and {kept for *_, kept in found} == {1}
    assert [(tmp_path / str(number)).read_text() for number in range(23)] == ["done\n"] * 23
    assert (os.getpid() in {process for _, process, _ in found}) == (workers == 1)


def test_what_a_task_raises_is_raised_here(workers: int) -> None:
    def refuse(number: int) -> int:
        if number == 3:
            raise BadInput("the fourth is refused")
        return number

    with pytest.raises(BadInput, match="the fourth is refused"):
        shared_out([partial(refuse, number) for number in range(6)])


@pytest.mark.parametrize("end", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(0)])
def test_a_process_that_ends_early_is_noticed(end: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda process: range(2))
    with pytest.raises(RuntimeError, match="ended before its work was done"):
        shared_out([partial(int), end, partial(int)])


def test_no_task_is_no_work() -> None:
    assert shared_out([]) == []
