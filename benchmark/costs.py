"""What a stage cost: wall and processor seconds, and the peak of memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import torch

RESET_PEAK = "5"  # proc(5), clear_refs


@contextmanager
def measured(device: torch.device) -> Iterator[dict[str, float]]:
    """Fill a dictionary when the block ends: `seconds`, `cpu_seconds`, `peak_memory` (bytes, of the device if CUDA)."""
    costs: dict[str, float] = {}
    _reset_peak(device)
    wall, processor = time.perf_counter(), time.process_time()
    yield costs
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    costs["seconds"] = round(time.perf_counter() - wall, 3)
    costs["cpu_seconds"] = round(time.process_time() - processor, 3)
    costs["peak_memory"] = _peak(device)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # not Linux, or not allowed: the peak is then that of the process so far
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return getrusage(RUSAGE_SELF).ru_maxrss * unit
