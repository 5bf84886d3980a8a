"""Make the leaderboard's pages: python scripts/page.py [--store S | --records FOLDER|FILE.parquet] [--site FOLDER].

With --pictures it also takes the README's pictures of the pages, docs/page.png and docs/page_phone.png; that wants
playwright and Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from benchmark.cli import Parser, guarded
from benchmark.errors import BadInput
from benchmark.results.site.build import build

COMMITTED = Path("leaderboard/records")
SITE = Path("leaderboard/site")
PICTURES = ((Path("docs/page.png"), 1280, 900), (Path("docs/page_phone.png"), 390, 844))  # pixels
BROWSER = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


def main() -> None:
    """Build the site and say where it is."""
    arguments = parsed()
    source = arguments.records or (arguments.store / "records" if arguments.store else COMMITTED)
    count = build(source, arguments.site)
    print(f"{arguments.site / 'index.html'}: {count} cells; it opens from the disk, or copy the folder to any host")
    if arguments.pictures:
        photograph(arguments.site / "index.html")


def photograph(page: Path) -> None:
    """Take a page at the width of a desk and of a phone.

    Raises:
        BadInput: there is no browser.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BadInput("playwright is not installed; make setup installs it") from error
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BadInput("chromium is not installed; as root, apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(BROWSER))
        for file, width, height in PICTURES:
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            tab.goto(page.absolute().as_uri())
            tab.locator("#filters").wait_for()
            tab.screenshot(path=file)
            print(file)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    environment = os.environ.get("POSTERN_STORE")
    parser.add_argument(
        "--store", type=Path, default=environment and Path(environment), help="a store; shows its records"
    )
    parser.add_argument(
        "--records", type=Path, help="a folder of records or a Parquet file (default: what is committed)"
    )
    parser.add_argument("--site", type=Path, default=SITE, help="folder of the pages (default: %(default)s)")
    parser.add_argument("--pictures", action="store_true", help="also take docs/page.png and docs/page_phone.png")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(guarded(main))
