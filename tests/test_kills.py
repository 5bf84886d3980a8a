"""SIGKILL at any moment leaves no partial record or weight, and the same command then completes.

Run as a script, this file is the warm process: it imports torch and makes one undisturbed run, then forks a child for
every run to be killed, so that a run takes half a second, and prints what it saw as JSON.
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
LIMIT = 3 * KILLS  # runs: one that ends before its kill does not count
RUN = ("attack=badnets", "defense=random_filter", "architecture.network.width=8", "recipe.batch_size=256")


def test_a_killed_run_leaves_nothing_partial_and_completes(tmp_path: Path) -> None:
    done = python(__file__, str(tmp_path))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(seen["tries"]) == KILLS
    for tried in seen["tries"]:
        assert tried["unread"] == [], f"a kill after {tried['delay']:.3f} s left a partial file"
        assert tried["record"] == seen["undisturbed"] and tried["unread_after"] == []
    assert len({tried["artefacts"] for tried in seen["tries"]}) >= 3, "the kills were not spread over the stages"


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
    draw, tries = random.Random(0), []
    for number in range(LIMIT):
        name, delay = str(number), length * (len(tries) + draw.random()) / KILLS  # one in each twentieth of the run
        code = _forked(lambda name=name: run(name), delay)
        if not os.WIFSIGNALED(code):
            length *= 0.9
            continue
        seen = _seen(folder / name)
        assert _forked(lambda name=name: run(name)) == 0, f"after a kill at {delay:.3f} s the same command failed"
        after = {"record": _record(folder / name), "unread_after": _seen(folder / name)["unread"]}
        tries.append({"delay": delay, **seen, **after})
        if len(tries) == KILLS:
            break
    sys.stdout.write(json.dumps({"undisturbed": _record(folder / "undisturbed"), "tries": tries}) + "\n")


def _seen(store: Path) -> dict[str, Any]:
    """Files under their final names that cannot be read, and how many artefacts there are."""
    from benchmark.record import load
    from benchmark.store import verified

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
