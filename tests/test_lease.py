"""Leases save work: a dead holder is replaced, a living one waited for, by the observer's own clock alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark import lease as leases
from benchmark.lease import HEARTBEAT, POLL, STALE, Lease, Pulse


class Hands:
    """A clock that moves only while somebody sleeps, and what happens meanwhile.

    Args:
        meanwhile: told the time after every sleep.
    """

    def __init__(self, meanwhile: Callable[[float], object] = lambda now: None) -> None:
        self.now = 1000.0
        self.meanwhile = meanwhile

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        assert self.now < 2000, "waits for ever"
        self.meanwhile(self.now - 1000.0)

    @property
    def waited(self) -> float:
        return self.now - 1000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "victim.lease"


def never() -> bool:
    return False


def lease(path: Path, hands: Hands, done: Callable[[], bool] = never) -> Lease:
    return Lease(path, done, hands.clock, hands.sleep)


def soon(condition: Callable[[], bool]) -> bool:
    """Whether something comes true within ten real seconds; heartbeats are beaten by a thread."""
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(leases, "HEARTBEAT", 0.01)
    yield


def test_a_free_lease_is_taken_at_once_and_given_back(path: Path) -> None:
    hands = Hands()
    with lease(path, hands) as held:
        assert held.held and path.read_text() == f"{held.name} 0"
    assert not path.exists() and hands.waited == 0


def test_the_folder_is_made(tmp_path: Path) -> None:
    with lease(tmp_path / "a" / "b" / "x.lease", Hands()) as held:
        assert held.held


def test_a_lease_is_given_back_after_an_error(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lease(path, Hands()):
        raise ZeroDivisionError
    assert not path.exists()


def test_a_dead_holders_lease_is_taken_over(path: Path) -> None:
    path.write_text("dead 3")
    hands = Hands()
    with lease(path, hands) as held:
        assert held.held and path.read_text().startswith(held.name)
    assert STALE < hands.waited <= STALE + 2 * POLL


@pytest.mark.parametrize("content", ["", "\n", "x" * 5000])
def test_whatever_a_lease_holds_it_is_taken_over_when_it_stays_the_same(content: str, path: Path) -> None:
    path.write_text(content)
    hands = Hands()
    with lease(path, hands) as held:
        assert held.held
    assert STALE < hands.waited <= STALE + 2 * POLL


def test_a_living_holder_is_waited_for(path: Path) -> None:
    """It beats for two minutes of the observer's clock, then gives the lease back."""

    def beat(now: float) -> None:
        if now < 120:
            path.write_text(f"alive {int(now / HEARTBEAT)}")
        else:
            path.unlink(missing_ok=True)

    path.write_text("alive 0")
    hands = Hands(beat)
    with lease(path, hands) as held:
        assert held.held
    assert 120 <= hands.waited <= 120 + 2 * POLL


def test_a_holder_that_beats_just_in_time_lives(path: Path) -> None:
    def beat(now: float) -> None:
        path.write_text(f"slow {int(now / (STALE - 1))}")

    path.write_text("slow 0")
    hands, looks = Hands(beat), iter(range(1000))
    with lease(path, hands, done=lambda: next(looks) > 900) as held:
        assert not held.held and path.read_text().startswith("slow")
    assert hands.waited > 5 * STALE


@pytest.mark.parametrize("changed", [0.0, 4e9], ids=["in 1970", "in 2096"])
def test_wall_clocks_do_not_matter(changed: float, path: Path) -> None:
    """The holder's machine may believe it is another year: only the content is compared, by our own clock."""
    path.write_text("skewed 1")
    os.utime(path, (changed, changed))
    hands = Hands()
    with lease(path, hands) as held:
        assert held.held
    assert STALE < hands.waited <= STALE + 2 * POLL


def test_waiting_ends_when_the_work_is_done(path: Path) -> None:
    def beat(now: float) -> None:
        path.write_text(f"alive {now}")

    path.write_text("alive")
    hands = Hands(beat)
    with lease(path, hands, done=lambda: hands.waited > 7) as waited:
        assert not waited.held
    assert path.read_text().startswith("alive"), "the holder's lease is not ours to delete"
    assert 7 < hands.waited <= 7 + 2 * POLL


def test_done_work_takes_no_lease(path: Path) -> None:
    with lease(path, Hands(), done=lambda: True) as waited:
        assert not waited.held and not path.exists()


def test_a_holder_that_lost_its_lease_does_not_delete_the_new_one(path: Path) -> None:
    with lease(path, Hands()):
        path.write_text("another 0")
    assert path.read_text() == "another 0"


def test_a_holder_that_lost_its_lease_stops_beating(path: Path, quick: None) -> None:
    with lease(path, Hands()) as held:
        path.write_text("another 0")
        assert held.heart is not None and soon(lambda: held.heart is not None and not held.heart.is_alive())
        assert path.read_text() == "another 0"


def test_a_holder_whose_lease_was_deleted_does_not_bring_it_back(path: Path, quick: None) -> None:
    with lease(path, Hands()) as held:
        path.unlink()
        assert held.heart is not None and soon(lambda: held.heart is not None and not held.heart.is_alive())
    assert not path.exists()


def test_a_holder_beats(path: Path, quick: None) -> None:
    with lease(path, Hands()) as held:
        first = path.read_text()
        assert soon(lambda: path.read_text() not in ("", first) and path.read_text().startswith(held.name))


def test_two_observers_of_one_dead_holder_do_not_both_take_over(path: Path) -> None:
    """The other observer takes over between our look at the clock and our last look at the lease."""

    class Late(Hands):
        def clock(self) -> float:
            if self.waited > STALE and path.read_text() == "dead 3":
                path.write_text("other 0")
            return self.now

    path.write_text("dead 3")
    hands = Late()
    with lease(path, hands, done=lambda: hands.waited > STALE + 5) as waited:
        assert not waited.held
    assert path.read_text() == "other 0"


def test_the_margins_make_sense() -> None:
    assert STALE > 5 * HEARTBEAT and POLL < HEARTBEAT


# ---- a holder on this machine


def test_a_killed_process_of_this_machine_is_replaced_at_once(path: Path) -> None:
    child = os.fork()
    if child == 0:
        lease(path, Hands())._take()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, os.WNOHANG)  # maybe not reaped yet: a zombie holds nothing
    soon(lambda: path.exists() and " " in path.read_text())
    soon(lambda: leases._started(child) == "")
    hands = Hands()
    with lease(path, hands) as held:
        assert held.held and hands.waited == 0


def test_another_machines_process_is_not_looked_up(path: Path) -> None:
    """Its number may be that of somebody else here, or of nobody: only its silence counts."""
    hands = Hands()
    path.write_text("uuid/another-boot:pid:[1]/999999999/1 3")
    with lease(path, hands) as held:
        assert held.held and hands.waited > STALE


def test_a_process_number_that_was_given_again_holds_nothing(path: Path) -> None:
    own = lease(path, Hands()).name.split("/")
    hands = Hands()
    path.write_text("/".join([*own[:3], "1"]) + " 0")  # this process, had it started with the machine
    with lease(path, hands) as held:
        assert held.held and hands.waited == 0


def test_a_living_process_of_this_machine_is_waited_for(path: Path) -> None:
    hands = Hands()
    with lease(path, Hands()), lease(path, hands, done=lambda: hands.waited > STALE - 1) as waited:
        assert not waited.held


def test_a_pulse_forgets_what_was_given_back(path: Path) -> None:
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    path.write_text("a 0")
    assert pulse.beats(path)
    now[0] = STALE + 1
    assert not pulse.beats(path)
    path.unlink()
    assert pulse.beats(path)
    path.write_text("a 0")
    assert pulse.beats(path)
