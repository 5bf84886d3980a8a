"""A defense that changes nothing, and raises while a file is there."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark import Defended, Defense, Lab, Split, Victim


class Moody(Defense):
    """Environment: POSTERN_TEST_MOOD, the file."""

    family = "repair"
    needs = frozenset({"weights"})

    def apply(self, victim: Victim, clean: Split | None, train: Split | None, lab: Lab) -> Defended:
        if Path(os.environ["POSTERN_TEST_MOOD"]).exists():
            raise ArithmeticError("not in the mood\nfor two lines")
        return Defended(state=victim.state())
