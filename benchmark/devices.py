"""What a `device` setting means, first without torch (for keys), then with it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BadInput

if TYPE_CHECKING:
    import torch


def device_kind(device: str) -> str:
    """The kind of a `device` setting: cpu, cuda or mps; "auto" looks at device files, not at torch.

    Raises:
        BadInput: an unknown kind.
    """
    if device == "auto":
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
        return "cuda" if Path("/dev/nvidia0").exists() and not hidden else "cpu"
    kind = device.split(":")[0]
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise BadInput(f"device={device}: must be auto, cpu, cuda, cuda:<number> or mps; set device")
    return kind


def graphics_cards() -> list[str]:
    """The CUDA devices of this machine, as CUDA_VISIBLE_DEVICES names them; looks at device files, not at torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return sorted((path.name[6:] for path in Path("/dev").glob("nvidia[0-9]*")), key=int)


def torch_device(device: str) -> torch.device:
    """The device of a setting.

    Raises:
        BadInput: it is not there.
    """
    import torch

    kind = device_kind(device)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[kind]
    found = torch.device(kind if device == "auto" else device)
    if not there or (kind == "cuda" and (found.index or 0) >= torch.cuda.device_count()):
        raise BadInput(f"device={device}: there is no such device here; set device=cpu")
    return found
