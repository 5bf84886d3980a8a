"""Pictures of records as files beside the pages, each once: most runs show what others show too."""

from __future__ import annotations

import binascii
import hashlib
from html import escape
from pathlib import Path

PREFIX = "data:image/png;base64,"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
DIGITS = 32  # of a file's name: nobody finds two pictures of one name


class Pictures:
    """The folder of pictures.

    Args:
        folder: is there, beside those of the pages.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left: dict[str, bool] = {}  # name of a file -> whether there is one

    def figure(self, uri: str | None, words: str, told: str) -> str:
        """A picture as a figure for a page in a folder of the site; empty for what does not begin as a PNG.

        Args:
            uri: as the record holds it, a data URI.
            words: what stands for the picture.
            told: what stands below it.
        """
        if uri is None:
            return ""
        name = f"{hashlib.sha256(uri.encode()).hexdigest()[:DIGITS]}.png"
        if name not in self.left:
            self.left[name] = self._leave(name, uri)
        if not self.left[name]:
            return ""
        image = f'<img src="../{self.folder.name}/{name}" alt="{escape(words)}">'
        return f"<figure>{image}<figcaption>{escape(told)}</figcaption></figure>"

    def _leave(self, name: str, uri: str) -> bool:
        """Write the file, unless the URI is something else."""
        if not uri.startswith(PREFIX):
            return False
        try:
            data = binascii.a2b_base64(uri[len(PREFIX) :], strict_mode=True)
        except ValueError:  # as binascii's own errors are
            return False
        if not data.startswith(SIGNATURE):
            return False
        (self.folder / name).write_bytes(data)
        return True
