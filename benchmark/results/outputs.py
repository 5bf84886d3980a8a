"""Where scripts leave what they make."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from benchmark.errors import BadInput

PICTURES = (".svg", ".png", ".pdf")


def drawable(path: Path) -> str:
    """The suffix of a file that a chart can be left in.

    Raises:
        BadInput: another one, or a folder has that name.
    """
    suffix = path.suffix.lower()
    if suffix not in PICTURES:
        raise BadInput(f"{path}: is no picture that can be drawn; end its name with one of {', '.join(PICTURES)}")
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; give the name of a file")
    return suffix


def writable(path: Path) -> None:
    """Make the folder that something shall be put in, and try whether it takes a file.

    Raises:
        BadInput: it does not.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(f"{path}: cannot be written there ({error.strerror}); give another place") from error
