"""Make the leaderboard's pages: python scripts/page.py [--store S | --records FOLDER|FILE.parquet] [--site FOLDER]."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmark.cli import guarded
from benchmark.site.build import build

COMMITTED = Path("leaderboard/records")
SITE = Path("leaderboard/site")


def main() -> None:
    """Build the site and say where it is."""
    arguments = parsed()
    source = arguments.records or (arguments.store / "records" if arguments.store else COMMITTED)
    count = build(source, arguments.site)
    print(f"{arguments.site / 'index.html'}: {count} cells; it opens from the disk, or copy the folder to any host")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    environment = os.environ.get("POSTERN_STORE")
    parser.add_argument(
        "--store", type=Path, default=environment and Path(environment), help="a store; shows its records"
    )
    parser.add_argument(
        "--records", type=Path, help="a folder of records or a Parquet file (default: what is committed)"
    )
    parser.add_argument("--site", type=Path, default=SITE, help="folder of the pages (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(guarded(main))
