"""Composing and checking a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.errors import BadInput, bad_input_behind

CONF = Path(__file__).parents[1] / "conf"
GROUPS = ("dataset", "architecture", "recipe", "attack", "defense", "tracker")
KNOWN = {*GROUPS, "transfer", "seed", "store", "device", "threads", "retry"}
OUTSIDE = ("store", "tracker", "retry")  # settings that change no result and stay out of records


def compose(*overrides: str) -> DictConfig:
    """The configuration `scripts/run.py` would use with these overrides.

    Args:
        overrides: e.g. "attack=blended", "seed=3".
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    from benchmark.cli import explained

    running = GlobalHydra.instance().hydra  # of scripts/run.py, where a run wants to know what a yaml says
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra_compose("config", list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(explained(error)) from error
    finally:
        if running is not None:
            GlobalHydra.instance().initialize(running)


def checked(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The resolved tree as plain dictionaries, its plain values checked.

    Raises:
        BadInput: a value that is not what it must be, or a missing one.
    """
    tree = cast(
        "dict[str, Any]", OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True, throw_on_missing=True)
    )
    for name in tree.keys() ^ KNOWN:
        raise BadInput(
            f"{name}: {'is missing' if name in KNOWN else 'no such setting'}; settings: {', '.join(sorted(KNOWN))}"
        )
    for name, least in (("seed", 0), ("threads", 1)):
        value = tree[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise BadInput(f"{name}={value}: must be an integer of at least {least}; set {name}")
    if not isinstance(tree["retry"], bool):
        raise BadInput(f"retry={tree['retry']}: must be true or false; set retry")
    if tree["transfer"]:
        raise BadInput(f"transfer={tree['transfer']}: victims are not transferred yet; choose transfer=none")
    for name in ("store", "device"):
        if not isinstance(tree[name], str) or not tree[name]:
            raise BadInput(f"{name}={tree[name]}: must be a text; set {name}")
    for name in GROUPS:
        if not isinstance(tree[name], dict) or "_target_" not in tree[name]:
            raise BadInput(f"{name}={tree[name]}: must name a constructor (_target_); choose {name}=<name>")
    return tree


def construct(tree: Mapping[str, Any], name: str) -> Any:
    """Call the constructor a section of the configuration names.

    Args:
        tree: the resolved configuration.
        name: of the section.

    Raises:
        BadInput: from the constructor, or because it does not take these options.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(tree[name])
    except InstantiationException as error:
        bad = bad_input_behind(error)
        if bad is not None:
            raise bad from None
        reason = " ".join(str(error.__cause__ or error).split())
        raise BadInput(f"{name}={tree[name]['_target_']}: {reason}; correct the options of {name}") from error
