"""What failed is counted and kept; what was only interrupted is not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from benchmark.attempts import PATIENCE, Failure, attempt, last, note
from benchmark.errors import BadInput

KEY = "k" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "failures" / "key.json"


def fail(path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), attempt(path, KEY, {"seed": 1}):
        raise error


def test_failures_add_up_and_keep_the_last_traceback(path: Path) -> None:
    for number in range(1, PATIENCE + 1):
        fail(path, RuntimeError(f"boom {number}\nand more"))
        found = last(path)
        assert found is not None and found.attempts == number and found.left_aside == (number == PATIENCE)
        assert found.reason == f"RuntimeError: boom {number}"
        assert "Traceback" in found.traceback and found.config == {"seed": 1} and found.key == KEY


def test_success_forgets(path: Path) -> None:
    fail(path, RuntimeError("boom"))
    with attempt(path, KEY, {}):
        pass
    assert last(path) is None and not path.exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit("interrupted"), BadInput("seed=x: no")])
def test_interruptions_and_bad_input_do_not_count(path: Path, stop: BaseException) -> None:
    fail(path, stop)
    assert not path.exists()
    fail(path, RuntimeError("boom"))
    fail(path, stop)
    found = last(path)
    assert found is not None and found.attempts == 1 and found.reason == "RuntimeError: boom"


def test_a_killed_process_counts(path: Path) -> None:
    for number in (1, 2):
        child = os.fork()
        if child == 0:
            with attempt(path, KEY, {}):
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        found = last(path)
        assert found is not None and found.attempts == number and "killed" in found.reason


def test_bad_input_is_noted_without_being_counted(path: Path) -> None:
    note(path, KEY, {}, BadInput("attack.size=9: must be 1 to 8"))
    found = last(path)
    assert found is not None and found.bad_input and found.attempts == 0
    assert found.reason == "attack.size=9: must be 1 to 8" and found.traceback == ""


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"key": 1}', b"\xff"])
def test_a_damaged_note_is_no_note(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert last(path) is None
    fail(path, RuntimeError("boom"))
    found = last(path)
    assert isinstance(found, Failure) and found.attempts == 1
