"""Work shared out among the cores: processes forked from this one, and one beside them that is not."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any, TypeVar

RARELY = 50_000  # objects made before the collector looks at them: pages leave little that goes in circles

Own = TypeVar("Own")
Result = TypeVar("Result")
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Task = Callable[[], Result]


@contextmanager
def beside(ready: Callable[[], Callable[[Question], Answer]]) -> Iterator[Callable[[Question], Answer]]:
    """A process that answers questions, one after another; it gets ready while this one goes on.

    For what takes long to start, or starts threads: those must be in no process that is forked later. It is no fork
    itself, since this one may have such threads already.

    Args:
        ready: makes what answers; called in the other process, and can be pickled.

    Yields:
        What asks and waits for the answer; both can be pickled. It raises what was raised there, and RuntimeError where
        the process is gone.
    """
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(ready, theirs), daemon=True)
    process.start()
    theirs.close()

    def ask(question: Question) -> Answer:
        with suppress(ConnectionError):  # the process is gone, which the answer will tell
            mine.send(question)
        found: Answer = _told(mine)
        return found

    try:
        yield ask
    finally:
        process.terminate()
        process.join()
        mine.close()


def _answer(ready: Callable[[], Callable[[Question], Answer]], pipe: Connection) -> None:
    """The other process, until nobody is left to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the whole group; the first process hears it, and ends this one
    try:
        answer = ready()
        while True:
            pipe.send((answer(pipe.recv()), None))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001  # raised again where it is read
        with suppress(BrokenPipeError):  # nobody is left to be told
            pipe.send((None, error))


def shared_out(own: Callable[[], Own], tasks: Sequence[Task[Result]]) -> tuple[Own, list[Result]]:
    """Do tasks side by side, each once.

    Args:
        own: done here and nowhere else, while others begin with the tasks.
        tasks: see what this process holds, and what they change may stay with them; what they return can be pickled.

    Returns:
        What `own` returns, and the tasks' results in their order.

    Raises:
        Exception: what one of them raised.
        RuntimeError: a process ended without its results, as when it is killed for its memory.
    """
    # Elsewhere than on Linux a process forked from one with threads may hang, whatever it does.
    others = min(len(tasks), len(os.sched_getaffinity(0)) - 1) if sys.platform == "linux" else 0
    context = multiprocessing.get_context("fork" if others else None)
    counter: Synchronized[int] = context.Value("l", 0)
    gc.freeze()  # or the collector would write to what is here, and so copy the memory that processes share
    pipes: list[Connection] = []
    processes = []
    try:
        for _ in range(others):
            mine, theirs = context.Pipe(duplex=False)
            pipes.append(mine)
            arguments = (tasks, counter, theirs, tuple(pipes))
            processes.append(context.Process(target=_work, args=arguments, daemon=True))
            processes[-1].start()
            theirs.close()
        made = own()
        found = dict(_done(tasks, counter))
        for pipe in pipes:
            found |= _told(pipe)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return made, [found[at] for at in range(len(tasks))]


def _done(tasks: Sequence[Task[Result]], counter: Synchronized[int]) -> Iterator[tuple[int, Result]]:
    """Take one task after another until none is left."""
    while True:
        with counter.get_lock():
            at = counter.value
            counter.value += 1
        if at >= len(tasks):
            return
        yield at, tasks[at]()


def _work(
    tasks: Sequence[Task[Result]], counter: Synchronized[int], pipe: Connection, inherited: Sequence[Connection]
) -> None:
    """A forked process: it tells all results at the end, or what went wrong, if there is still somebody to tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for end in inherited:
        end.close()  # or it would wait for ever for a reader that is gone, being one itself
    try:
        told: tuple[object, Exception | None] = (dict(_done(tasks, counter)), None)
    except Exception as error:  # noqa: BLE001  # raised again where it is read
        told = ({}, error)
    with suppress(BrokenPipeError):
        pipe.send(told)


def _told(pipe: Connection) -> Any:
    try:
        found, fault = pipe.recv()
    except (EOFError, ConnectionError) as error:  # the latter where it left something unread
        raise RuntimeError("a process ended before its work was done; is there memory enough?") from error
    if fault is not None:
        raise fault
    return found


@contextmanager
def unwritten() -> Iterator[None]:
    """Keep the collector off what is there, which it would walk and write to, and seldom let it look at what is new."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
