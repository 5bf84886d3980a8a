"""Work shared out among the cores: processes forked from this one, which need nothing handed over."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from typing import TypeVar, cast

Result = TypeVar("Result")
Task = Callable[[], Result]


def shared_out(tasks: Sequence[Task[Result]]) -> list[Result]:
    """Do tasks side by side, each once; they see what this process holds, and what they change stays with them.

    Args:
        tasks: in the order they are begun, so the longest come first; what they return can be pickled.

    Returns:
        Their results, in their order.

    Raises:
        Exception: what a task raised.
        RuntimeError: a process ended without its results, as when it is killed for its memory.
    """
    workers = min(len(tasks), len(os.sched_getaffinity(0))) if sys.platform == "linux" else 1
    if workers < 2:  # elsewhere a process forked from one with threads may hang
        return [task() for task in tasks]
    context = multiprocessing.get_context("fork")
    counter = context.Value("l", 0)
    gc.collect()
    gc.freeze()  # the collector would write to every object, and so copy the memory that is shared
    pipes, processes = [], []
    try:
        for _ in range(workers):
            mine, theirs = context.Pipe(duplex=False)
            processes.append(context.Process(target=_work, args=(tasks, counter, theirs), daemon=True))
            processes[-1].start()
            theirs.close()
            pipes.append(mine)
        found: dict[int, Result] = _gathered(pipes)
    finally:
        gc.unfreeze()
        for process in processes:
            process.terminate()
            process.join()
    return [found[at] for at in range(len(tasks))]


def _work(tasks: Sequence[Task[Result]], counter: Synchronized[int], pipe: Connection) -> None:
    """Take one task after another until none is left; what goes wrong is the last thing told."""
    try:
        while (at := _next(counter)) < len(tasks):
            pipe.send((at, tasks[at](), None))
        pipe.send(None)
    except Exception as error:  # noqa: BLE001  # raised again where it is read
        pipe.send((-1, None, error))


def _next(counter: Synchronized[int]) -> int:
    with counter.get_lock():
        counter.value += 1
        return counter.value - 1


def _gathered(pipes: Sequence[Connection]) -> dict[int, Result]:
    found: dict[int, Result] = {}
    left = list(pipes)
    while left:
        for ready in wait(left):
            try:
                told = cast(Connection, ready).recv()
            except EOFError as error:
                raise RuntimeError("a process ended before its work was done; is there memory enough?") from error
            if told is None:
                left.remove(cast(Connection, ready))
                continue
            at, result, fault = told
            if fault is not None:
                raise fault
            found[at] = result
    return found
