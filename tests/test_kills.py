"""SIGKILL at any moment leaves no partial record or weight, and the same command then completes.

Run as a script, this file is the warm process: it imports torch and makes one undisturbed run, then forks a child for
every run to be killed, so that a run takes half a second, and prints what it saw as JSON. A killed run is started
again in the same store, and maybe killed again; when it completes, the next begins in an empty store.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import config, python, timeless

KILLS = 20
KILLS_PER_STORE = 3  # then it may complete, and the next run starts from nothing
LIMIT = 5 * KILLS  # runs at most, killed and completed ones
RUN = ("attack=badnets", "defense=random_filter", "architecture.network.width=8", "recipe.batch_size=256")


def test_a_killed_run_leaves_nothing_partial_and_completes(tmp_path: Path) -> None:
    told = python(__file__, str(tmp_path))
    assert told.returncode == 0, told.stderr
    seen = json.loads(told.stdout.splitlines()[-1])
    assert len(seen["kills"]) == KILLS
    for kill in seen["kills"]:
        assert kill["unread"] == [], f"a kill after {kill['delay']:.3f} s left a partial file in store {kill['store']}"
    assert len({kill["artefacts"] for kill in seen["kills"]}) >= 3, "the kills were not spread over the stages"
    assert len(seen["completed"]) >= 3
    for done in seen["completed"]:
        assert done["record"] == seen["undisturbed"] and done["unread"] == []


@pytest.mark.parametrize("call", ["open", "fsync", "link", "unlink"])
def test_a_kill_inside_a_publication_leaves_all_or_nothing(call: str, tmp_path: Path) -> None:
    """A child kills itself before its first, second, ... call of the system, until one gets through."""
    from benchmark import store

    for number in range(10):
        path = tmp_path / str(number) / "file"
        code = _forked(lambda path=path, number=number: _publish_and_die(store, path, call, number))
        assert not path.exists() or path.read_bytes() == b"whole" * 1000
        if code == 0:
            break
        assert os.WIFSIGNALED(code)
        store.publish(path, b"whole" * 1000)
        assert path.read_bytes() == b"whole" * 1000
    assert code == 0 and number > 0, f"the {call} was never met"


def _publish_and_die(store: Any, path: Path, call: str, number: int) -> None:
    left = [number]
    real = getattr(os, call)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(*arguments, **named)

    setattr(os, call, deadly)
    store.publish(path, b"whole" * 1000)


def _forked(work: Callable[[], object], delay: float | None = None) -> int:
    """The exit status of a child that does the work, killed after some seconds."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main(folder: Path) -> None:
    import benchmark
    from benchmark import lease

    # A killed holder's lease is waited out: 15 s each would make this test five minutes long.
    lease.HEARTBEAT, lease.STALE, lease.POLL = 0.05, 0.2, 0.02
    composed = dict(config(*RUN, store="unset"))

    def run(name: str) -> None:
        benchmark.run({**composed, "store": str(folder / name)})

    run("warm")
    begun = time.monotonic()
    assert _forked(lambda: run("undisturbed")) == 0
    length = time.monotonic() - begun  # shortened below where it proves too long: the machine may be busy now
    draw, kills, completed = random.Random(0), [], []
    for _ in range(LIMIT):
        name = str(len(completed))
        waits = lease.STALE if list((folder / name).glob("**/*.lease")) else 0.0
        left = length * (1 - len(list((folder / name).glob("artefacts/*/*.safetensors"))) / 5)  # of four stages' work
        delay = waits + left * (len(kills) % 5 + draw.random()) / 5  # in each fifth of it in turn
        spared = len(kills) == KILLS or sum(kill["store"] == name for kill in kills) == KILLS_PER_STORE
        code = _forked(lambda name=name: run(name), None if spared else delay)
        if os.WIFSIGNALED(code):
            kills.append({"delay": delay, "store": name, **_seen(folder / name)})
            continue
        assert code == 0, f"the command failed after {kills[-1:]}"
        completed.append({"record": _record(folder / name), **_seen(folder / name)})
        if len(kills) == KILLS:
            break
        length *= 1.0 if spared else 0.9
    undisturbed = _record(folder / "undisturbed")
    sys.stdout.write(json.dumps({"undisturbed": undisturbed, "kills": kills, "completed": completed}) + "\n")


def _seen(store: Path) -> dict[str, Any]:
    """Files under their final names that cannot be read, and how many artefacts there are."""
    from benchmark.record import load
    from benchmark.seal import verified

    unread, artefacts = [], list(store.glob("artefacts/*/*.safetensors"))
    for read, paths in ((verified, store.glob("**/*.safetensors")), (load, store.glob("records/*/*.json"))):
        for path in paths:
            try:
                read(path)
            except ValueError as error:
                unread.append(f"{path}: {error}")
    strangers = [str(path) for path in store.glob("**/*") if path.is_file() and not _expected(path)]
    return {"unread": unread + strangers, "artefacts": len(artefacts)}


def _expected(path: Path) -> bool:
    return path.suffix in (".safetensors", ".json", ".tmp", ".lease")


def _record(store: Path) -> dict[str, Any]:
    (path,) = store.glob("records/*/*.json")
    return timeless(json.loads(path.read_bytes()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
