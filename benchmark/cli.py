"""What scripts share: errors a user can mend become one line and exit code 2."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, OmegaConfBaseException

from benchmark.errors import BadInput, bad_input_behind

DONE, FAILED, BAD_INPUT = 0, 1, 2  # exit codes
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"  # as the user set it


class SweepFailed(RuntimeError):
    """Some runs of a sweep have no record; the message lists them."""


def whole(text: str) -> int:
    """A whole number from 0, as an argument's type."""
    if not re.fullmatch("[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 0")
    return int(text)


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are one line, as all others are; its sub-commands are parsers of the same kind."""

    def error(self, message: str) -> NoReturn:
        """Leave the line to `guarded`, where argparse would print its usage and end the process."""
        raise BadInput(f"{message}; see {self.prog} --help")


def guarded(main: Callable[[], None]) -> int:
    """Run a script's main function and return its exit code; `HYDRA_FULL_ERROR=1` lets tracebacks through."""
    if TRACEBACKS:
        main()
        return DONE
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its own errors instead of printing them and leaving
    try:
        main()
    except BadInput as error:
        return _complain(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command continues", FAILED)
    except SweepFailed as error:
        return _complain(str(error), FAILED)
    except Exception as error:  # noqa: BLE001  # the last stop before the shell
        if _of_configurations(error):
            return _complain(str(bad_input_behind(error) or explained(error)), BAD_INPUT)
        first = (str(error).splitlines() or [""])[0]
        return _complain(f"{type(error).__name__}: {first} (HYDRA_FULL_ERROR=1 shows the traceback)", FAILED)
    return DONE


def _of_configurations(error: Exception) -> bool:
    """Whether Hydra or OmegaConf raised it; most scripts need no Hydra, and to import it takes longer than they do."""
    hydra = sys.modules.get("hydra.errors")
    return isinstance(error, OmegaConfBaseException) or (hydra is not None and isinstance(error, hydra.HydraException))


def explained(error: Exception) -> str:
    """One line for an error of Hydra's, with the nearest right name where one was misspelt."""
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        near = _nearest(name, list(error.options))
        return f"{group}={name}: no such {group}{near}; choose one of {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: is no override; write name=value"
    if "Ambiguous value" in str(error):
        return f"{str(error).splitlines()[0].partition('argument ')[2].strip(chr(39))}: several values; add -m to sweep"
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, ConfigAttributeError) and cause.full_key is not None:
        known = [str(name) for name in cause.parent_node] if isinstance(cause.parent_node, DictConfig) else []
        section = cause.full_key.rpartition(".")[0]
        where = f" in {section}" if section else ""
        return f"{cause.full_key}: no such option{_nearest(str(cause.key), known)}; options{where}: {', '.join(known)}"
    named = re.search(r"Could not override '([^']+)'", str(error))
    first = str(error).splitlines()[0].rstrip(".")
    what = f"{named[1]}: no such group or option" if named else first
    return f"{what}; see scripts/run.py --help"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f", the nearest is {near[0]}" if near else ""


def _complain(line: str, code: int) -> int:
    sys.stderr.write(f"postern: {line}\n")
    return code
