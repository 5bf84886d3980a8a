"""Look after a store, e.g. python scripts/store.py size: what it takes, needs, can lose, and has that is damaged."""

from __future__ import annotations

import argparse
import os
import re
import sys
from itertools import chain
from pathlib import Path

from benchmark.cli import Parser, SweepFailed, guarded
from benchmark.errors import BadInput
from benchmark.exchange import pack, unpack
from benchmark.inventory import PARTS, Holdings, members, planned, problems, size, sizes
from benchmark.pruning import prunable, remove
from benchmark.record import Record, load
from benchmark.results.archive import compact
from benchmark.store import Store


class Unsound(SweepFailed):
    """Something in a store is damaged or does not match; shown in one line, like a sweep that failed."""


def main() -> None:
    """Do what the sub-command says."""
    options = parsed()
    actions = {
        "size": show_sizes,
        "needs": show_needs,
        "prune": prune,
        "verify": verify,
        "export": give,
        "import": take,
        "compact": shrink,
    }
    if options.action not in ("import", "compact") and not any((options.store / part).is_dir() for part in PARTS):
        raise BadInput(f"--store {options.store}: holds no store; give the folder that runs were made in")
    actions[options.action](Store(options.store), options)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    common = Parser(add_help=False)
    environment = os.environ.get("POSTERN_STORE", "store")
    common.add_argument("--store", type=Path, default=Path(environment), help="the store's folder")

    def action(name: str, words: str) -> Parser:
        return actions.add_parser(name, parents=[common], help=words, description=words)

    action("size", "files and bytes of each part")
    needs = action("needs", "the artefacts that a record was measured on, and whether they are there")
    needs.add_argument("record", help="a record's key in the store, or a record's path")
    pruned = action("prune", "remove what ended processes left; only lists it without --yes")
    pruned.add_argument(
        "--unused",
        action="store_true",
        help="also artefacts that no record in the store needs, and all that admit.py --verify made",
    )
    pruned.add_argument("--yes", action="store_true", help="remove what is listed")
    action("verify", "read every artefact and record; exit code 1 if one is damaged or two do not match")
    given = action("export", "write records into a new tar file")
    given.add_argument("file", type=Path, help="the tar file")
    given.add_argument("keys", nargs="*", help="of the records; all if left out")
    given.add_argument("--victims", action="store_true", help="also the artefacts that they need")
    taken = action("import", "check a tar file that export wrote, and publish what it holds")
    taken.add_argument("file", type=Path, help="the tar file")
    shrunk = action("compact", "write records into a new Parquet file, which is read faster than many small files")
    shrunk.add_argument("file", type=Path, help="the Parquet file")
    shrunk.add_argument("--records", type=Path, help="a folder of records (default: the store's)")
    return parser.parse_args()


def show_sizes(shelf: Store, options: argparse.Namespace) -> None:
    """A line for each part."""
    print(f"{'part':<15}{'files':>8}{'bytes':>20}")
    found = sizes(shelf)
    for part, each in (*found.items(), ("total", [*chain(*found.values())])):
        print(f"{part:<15}{len(each):>8}{sum(each):>20,}")


def show_needs(shelf: Store, options: argparse.Namespace) -> None:
    """A line for each artefact of a record."""
    record = chosen(shelf, options.record)
    if planned(record) is None:
        print("its key does not come out again here: artefacts are found by the digests of their tensors")
    for need in Holdings(shelf).needs(record):
        print(f"{need.stage:<12}{need.state:<16}{need.bytes:>16,}  {need.path or 'no artefact holds its tensors'}")
    if not record.weights:
        print("none: the run was not applicable")


def chosen(shelf: Store, name: str) -> Record:
    """A record by its key, or by its path, which may lie outside the store.

    Raises:
        BadInput: there is none, or it cannot be read.
    """
    return load(Path(name) if Path(name).is_file() else by_key(shelf, name))


def by_key(shelf: Store, key: str) -> Path:
    """The path of a record in the store.

    Raises:
        BadInput: there is none.
    """
    path = shelf.record(key)
    if not re.fullmatch("[0-9a-f]{64}", key) or not path.exists():
        raise BadInput(f"{key}: no record in {shelf.root} has this key; give the name of a file in records/")
    return path


def prune(shelf: Store, options: argparse.Namespace) -> None:
    """List what can go, and remove it if asked to."""
    paths = prunable(shelf, options.unused)
    total = sum(map(size, paths))
    for path in paths:
        print(f"{size(path):>16,}  {path}")
    if options.yes:
        remove(shelf, paths)
    print(f"{len(paths)} files, {total:,} bytes{' removed' if options.yes else '; --yes removes them'}")


def verify(shelf: Store, options: argparse.Namespace) -> None:
    """Print what is damaged or does not match.

    Raises:
        Unsound: something is.
    """
    count = 0
    for count, problem in enumerate(problems(shelf), start=1):  # noqa: B007  # the last number is how many
        print(problem, flush=True)
    read = f"{len(members(shelf, 'artefacts'))} artefacts and {len(members(shelf, 'records'))} records"
    if count:
        raise Unsound(f"problems found: {count}, in {read}")
    print(f"{read} are sound")


def give(shelf: Store, options: argparse.Namespace) -> None:
    """Write an archive, and print what it lacks."""
    paths = [by_key(shelf, key) for key in options.keys] or members(shelf, "records")
    if not paths:
        raise BadInput(f"--store {shelf.root}: holds no record; run scripts/run.py first")
    records, holdings = [load(path) for path in paths], Holdings(shelf)
    for record in records if options.victims else ():
        for need in holdings.needs(record):
            if need.state == "present" and need.path is not None:
                paths.append(need.path)
            else:
                print(f"left out: {need.stage} of {record.key} ({need.state})")
    pack(shelf, paths, options.file)
    print(f"{len(set(paths))} files, {size(options.file):,} bytes: {options.file}")


def take(shelf: Store, options: argparse.Namespace) -> None:
    """Publish an archive's members, and print those whose place was taken."""
    outcomes = unpack(options.file, shelf)
    different = [name for name, outcome in outcomes.items() if outcome == "different"]
    for name in different:
        print(f"left as it was, the archive's differs: {shelf.root / name}")
    there = list(outcomes.values()).count("same")
    print(f"{len(outcomes) - there - len(different)} files imported, {there} were there, {len(different)} differ")


def shrink(shelf: Store, options: argparse.Namespace) -> None:
    """Write a Parquet file of records."""
    count = compact(options.records or shelf.root / "records", options.file)
    print(f"{count} records, {size(options.file):,} bytes: {options.file}")


if __name__ == "__main__":
    sys.exit(guarded(main))
