"""Postern: a reproducible benchmark suite for model backdoors.

`benchmark.run(config) -> Record` makes a run. What methods need is imported on first use, so that a replay of stored
records imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from benchmark.config import compose as compose
from benchmark.errors import BadInput as BadInput
from benchmark.recipe import Recipe as Recipe
from benchmark.record import Record as Record
from benchmark.run import run as run

if TYPE_CHECKING:
    from benchmark.attack import Attack as Attack
    from benchmark.defense import Defense as Defense
    from benchmark.lab import Lab as Lab
    from benchmark.rejecting import RejectingVictim as RejectingVictim
    from benchmark.types import REJECT as REJECT
    from benchmark.types import Defended as Defended
    from benchmark.types import Inputs as Inputs
    from benchmark.types import Poisoned as Poisoned
    from benchmark.types import Role as Role
    from benchmark.types import Split as Split
    from benchmark.types import State as State
    from benchmark.types import Targets as Targets
    from benchmark.victim import Classifier as Classifier
    from benchmark.victim import Victim as Victim

_HOMES = {
    "attack": ["Attack"],
    "defense": ["Defense"],
    "lab": ["Lab"],
    "rejecting": ["RejectingVictim"],
    "types": ["REJECT", "Defended", "Inputs", "Poisoned", "Role", "Split", "State", "Targets"],
    "victim": ["Classifier", "Victim"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    return getattr(import_module(f"benchmark.{_HOME_OF[name]}"), name)
