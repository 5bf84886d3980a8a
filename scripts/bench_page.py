"""Measure how long the pages of many records take: python scripts/bench_page.py [--records 10000] [--boards 6].

The records are those of the repository, again and again: other poison rates and recipes, other numbers. With --keep
their Parquet file and the pages are left in a folder.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from benchmark.cli import Parser, guarded, whole
from benchmark.errors import BadInput
from benchmark.keys import hashed
from benchmark.record import Cost, Count, Detection, Record, VictimScores, load
from benchmark.results.archive import place
from benchmark.results.columnar import write
from benchmark.results.marks import COMMITTED

ROOT = Path(__file__).parents[1]
BETWEEN = 2.0  # seconds from one look at the memory to the next, which halts what it looks at


def main() -> None:
    """Make records, then their pages, and print one line of JSON."""
    arguments = parsed()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=not arguments.keep)
        file = folder / "records.parquet"
        write(varied(arguments.records, arguments.boards), file)
        print(json.dumps({"records": arguments.records, "boards": arguments.boards, **built(file, folder / "site")}))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--records", type=whole, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--boards", type=whole, default=6, help="recipes among them (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="a new folder for records and pages (default: they are removed)")
    arguments = parser.parse_args()
    if not 1 <= arguments.boards <= arguments.records:
        raise BadInput(f"--boards {arguments.boards} of --records {arguments.records}: must be at least 1 and no more")
    if arguments.keep and arguments.keep.exists():
        raise BadInput(f"--keep {arguments.keep}: is there already; give a new folder")
    return arguments


def varied(count: int, boards: int) -> Iterator[Record]:
    """Records of so many recipes, in the order in which `compact` leaves them."""
    chance = random.Random(0)
    patterns = _patterns()
    made = []
    for board in range(boards):
        wanted = count * (board + 1) // boards - count * board // boards
        made += [_elsewhere(patterns[at % len(patterns)], board, at // len(patterns)) for at in range(wanted)]
    return (_measured_anew(record, chance) for record in sorted(made, key=place))


def _patterns() -> list[Record]:
    """The committed records of attacks with a rate, whole; the seeds of a cell side by side."""
    found = [record for record in map(load, COMMITTED.rglob("*.json")) if "rate" in record.config["attack"]]
    return sorted(found, key=place)


def _elsewhere(pattern: Record, board: int, turn: int) -> Record:
    """A record of another recipe and another poison rate."""
    recipe = pattern.config["recipe"] | {"epochs": 1 + board}
    attack = pattern.config["attack"] | {"rate": round(pattern.config["attack"]["rate"] + turn / 1000, 6)}
    identity = {"recipe": hashed(recipe), "attack": hashed([pattern.identity["attack"], turn])}
    return pattern.model_copy(
        update={
            "key": hashed([pattern.key, board, turn]),
            "config": pattern.config | {"recipe": recipe, "attack": attack},
            "identity": pattern.identity | identity,
        }
    )


def _measured_anew(record: Record, chance: random.Random) -> Record:
    """A record whose numbers are near those of another."""
    scores = record.scores and record.scores.model_copy(
        update={name: _near(getattr(record.scores, name), chance) for name in ("defended", "control")}
    )
    return record.model_copy(
        update={
            "scores": scores,
            "detection": record.detection and _seen(record.detection, chance),
            "costs": record.costs | {"defended": _dearer(record.costs["defended"], chance)},
            "curves": record.curves | {"defended": [chance.random() for _ in range(10)]},
            "weights": record.weights | {"defended": record.key},
        }
    )


def _near(scores: VictimScores, chance: random.Random) -> VictimScores:
    return VictimScores(**{name: _nudged(count, chance) for name, count in scores})


def _nudged(count: Count, chance: random.Random) -> Count:
    return Count(hits=min(count.n, count.hits + chance.randrange(10)), n=count.n)


def _seen(detection: Detection, chance: random.Random) -> Detection:
    """With another area under the curve where rows were ranked."""
    if detection.rows is None:
        return detection
    separation = detection.rows.separation.model_copy(update={"auroc": chance.random()})
    return detection.model_copy(update={"rows": detection.rows.model_copy(update={"separation": separation})})


def _dearer(cost: Cost, chance: random.Random) -> Cost:
    return cost.model_copy(update={"seconds": cost.seconds * (1 + chance.random())})


def built(file: Path, site: Path) -> dict[str, float]:
    """Make the pages in a process of their own, and tell what that took."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0
    command = [sys.executable, "scripts/page.py", "--records", str(file.absolute()), "--site", str(site.absolute())]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        ended = False
        while not ended:
            peak = max(peak, _memory(process.pid))
            ended = _ended(process)
    if process.returncode:
        raise BadInput("the pages were not made; see above")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(time.perf_counter() - start, 1), "cpu_seconds": round(cpu, 1), "peak_memory": peak}


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ends before the next look at its memory is due; told as soon as it does."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(BETWEEN)
    return process.returncode is not None


def _memory(process: int) -> int:
    """Bytes of a process and its children, what they share counted once; 0 elsewhere than on Linux."""
    found = 0
    place = Path("/proc", str(process))
    for children in place.glob("task/*/children"):
        found += sum(map(_memory, map(int, _read(children).split())))
    lines = _read(place / "smaps_rollup").splitlines()
    return found + sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _read(file: Path) -> str:
    """A file of the kernel; empty for a process that is gone."""
    try:
        return file.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(guarded(main))
