"""Where a record comes from: versions, commit, device."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from benchmark.keys import PROTOCOL

PACKAGES = ("postern", "torch", "torchvision", "numpy", "scikit-learn", "hydra-core", "safetensors")


SHARING = "POSTERN_RUNS_PER_DEVICE"  # set by launchers that put several runs on one device


def provenance(device: torch.device, threads: int, dataset_digest: str) -> dict[str, object]:
    """The `provenance` field of a record.

    Args:
        device: where the run was made.
        threads: of torch.
        dataset_digest: sha256 of the decoded rows.
    """
    commit, dirty = _git()
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "protocol": PROTOCOL,
        "commit": commit,
        "dirty": dirty,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "runs_per_device": int(os.environ.get(SHARING, "1")),
        "dataset": dataset_digest,
    }


def _git() -> tuple[str | None, bool | None]:
    """Commit of the code and whether it was changed since; None outside a clone."""
    commit, status = (_output("rev-parse", "HEAD"), _output("status", "--porcelain", "--untracked-files=no"))
    return (commit, None if status is None else bool(status))


def _output(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
