"""What makes two computations the same: keys from configs, sources and data, with the standard library alone.

No torch is imported here, so a replay of what exists costs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmark import sources
from benchmark.devices import device_kind
from benchmark.errors import BadInput
from benchmark.recipe import resolved_precision

NOT_DECODED = ("clean", "mirror")  # options of every data set that its decoded rows do not tell
PROTOCOL = 1  # raised by hand when training or scoring changes results

Config = Mapping[str, object]


@dataclass(frozen=True)
class Keys:
    """Identities of the stages of one run; `run` names its record.

    Attributes:
        clean: the victim trained on clean rows.
        sham: the victim of the attack's own loop without the backdoor; equals `clean` where there is none.
        backdoored: the attacked victim and its secret.
        run: the defense on the backdoored victim.
        control: the defense on the sham victim; shared by all attacks whose sham is the clean victim.
    """

    clean: str
    sham: str
    backdoored: str
    run: str
    control: str


def hashed(*parts: object) -> str:
    """sha256 of sorted JSON, hexadecimal."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def plan(config: Config, dataset_digest: str, environment: Config | None = None) -> Keys:
    """The keys of a run.

    Args:
        config: the resolved tree; only dataset, architecture, recipe, attack, transfer, defense, seed, device and
            threads count. Stores, trackers and launchers do not.
        dataset_digest: sha256 of the decoded rows.
        environment: of another machine; None for this one's.

    Raises:
        BadInput: a `_target_` or a path that is not there.
    """
    found = identities(config, dataset_digest, environment)
    same = {part: json.dumps(value, sort_keys=True) for part, value in found.items()}
    attack, defense = _section(config, "attack"), same["defense"]
    victim = [same[part] for part in ("environment", "dataset", "architecture", "recipe")]
    clean = hashed("victim", *victim, config["seed"])
    backdoored = hashed("attack", clean, same["attack"])
    has_sham = sources.defines(str(attack["_target_"]), "sham")
    sham = hashed("sham", clean, same["attack"]) if has_sham else clean
    used = [_transferred(victim, config) for victim in (backdoored, sham)]
    return Keys(clean, sham, backdoored, hashed("defense", used[0], defense), hashed("defense", used[1], defense))


def identities(config: Config, dataset_digest: str, environment: Config | None = None) -> dict[str, object]:
    """What makes each part of a run the same as another's, by the part's name; `environment` for what all share.

    Args:
        config: the resolved tree.
        dataset_digest: sha256 of the decoded rows.
        environment: of another machine; None for this one's.
    """
    rows = _section(config, "dataset")
    if environment is None:
        environment = environment_of(config, PROTOCOL, version("torch"), device_kind(str(config["device"])))
    dataset = {"digest": dataset_digest, **{name: rows.get(name) for name in NOT_DECODED}}
    parts = {part: identity(config[part]) for part in ("architecture", "recipe", "attack", "transfer", "defense")}
    return {"environment": environment, "dataset": dataset, **parts}


def environment_of(config: Config, protocol: int, torch: str, device: str) -> Config:
    """What results depend on besides the configuration's own parts.

    Args:
        config: the resolved tree; its threads and its recipe's precision count.
        protocol: as `PROTOCOL`.
        torch: its version.
        device: kind of device.
    """
    precision = resolved_precision(str(_section(config, "recipe").get("precision", "auto")), device)
    return {
        "protocol": protocol,
        "torch": torch,
        "device": device,
        "threads": config["threads"],
        "precision": precision,
    }


def surrogate(clean: str, method: Config, name: str, uses: Mapping[str, object]) -> str:
    """The key of something made by `Lab.once`: independent of rates and victims, but not of the method's code.

    Args:
        clean: key of the run's clean victim; stands for data, architecture, recipe and seed.
        method: its config, of which only the source counts.
        name: of the thing.
        uses: the options it depends on.
    """
    return hashed("lab", clean, sources.digest(str(method["_target_"])), name, dict(uses))


def identity(component: object) -> object:
    """A config in which every constructor outside the core carries its source's digest and every path its content's."""
    if isinstance(component, Mapping):
        parts = {str(name): _content(name, value) for name, value in component.items()}
        target = component.get("_target_")
        if not isinstance(target, str) or sources.is_core(target):
            return parts
        return {**parts, "_source_": sources.digest(target)}
    if isinstance(component, list | tuple):
        return [identity(item) for item in component]
    return component


def is_path(name: object) -> bool:
    """Whether an option holds a file's path: it is called `path` or ends in `_path`."""
    return str(name) == "path" or str(name).endswith("_path")


def _section(config: Config, name: str) -> Config:
    section = config[name]
    if not isinstance(section, Mapping):
        raise BadInput(f"{name}={section}: must be a group of options; choose {name}=<name>")
    return section


def _content(name: object, value: object) -> object:
    if not (is_path(name) and isinstance(value, str)):
        return identity(value)
    try:
        return {"sha256": hashlib.sha256(Path(value).read_bytes()).hexdigest()}
    except OSError as error:
        raise BadInput(f"{name}={value}: cannot be read ({error.strerror}); give an existing file") from error


def _transferred(victim: str, config: Config) -> str:
    transfer = config["transfer"]
    return hashed("transfer", victim, identity(transfer)) if transfer else victim
