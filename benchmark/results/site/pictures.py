"""Pictures of records as files beside the pages, each once: most runs show what others show too."""

from __future__ import annotations

import binascii
import hashlib
from functools import lru_cache
from html import escape
from pathlib import Path

PREFIX = "data:image/png;base64,"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
DIGITS = 32  # of a file's name: nobody finds two pictures of one name
REMEMBERED = 1000  # pictures that need not be read again; of neighbouring cells most are the same


class Pictures:
    """The folder of pictures.

    Args:
        folder: is there, beside those of the pages.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._name = lru_cache(REMEMBERED)(self._left)

    def figure(self, uri: str | None, words: str, told: str) -> str:
        """A picture as a figure for a page in a folder of the site; empty for what is no PNG.

        Args:
            uri: as the record holds it, a data URI.
            words: what stands for the picture.
            told: what stands below it.
        """
        name = None if uri is None else self._name(uri)
        if name is None:
            return ""
        image = f'<img src="../{self.folder.name}/{name}" alt="{escape(words)}">'
        return f"<figure>{image}<figcaption>{escape(told)}</figcaption></figure>"

    def _left(self, uri: str) -> str | None:
        """The name of the file, which is written."""
        if not uri.startswith(PREFIX):
            return None
        try:
            data = binascii.a2b_base64(uri[len(PREFIX) :], strict_mode=True)
        except ValueError:  # as binascii's own errors are
            return None
        if not data.startswith(SIGNATURE):
            return None
        name = f"{hashlib.sha256(data).hexdigest()[:DIGITS]}.png"
        (self.folder / name).write_bytes(data)
        return name
