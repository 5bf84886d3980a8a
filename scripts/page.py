"""Make the leaderboard's pages: python scripts/page.py [--store S | --records FOLDER|FILE.parquet] [--site FOLDER].

With --pictures it also takes the README's pictures of the pages, docs/page.png and docs/page_phone.png; that wants
playwright and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmark.cli import Parser, guarded
from benchmark.errors import BadInput
from benchmark.results.outputs import writable
from benchmark.results.selecting import add_source, folder
from benchmark.results.site.build import build
from benchmark.words import counted

SITE = Path("leaderboard/site")
PICTURES = ((Path("docs/page.png"), 1280, 900), (Path("docs/page_phone.png"), 390, 844))  # pixels
BROWSER = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


def main() -> None:
    """Build the site and say where it is."""
    arguments = parsed()
    source = folder(arguments)
    if arguments.site.is_file():
        raise BadInput(f"--site {arguments.site}: is a file; give a folder")
    writable(arguments.site)
    count = counted(build(source, arguments.site), "cell")
    print(f"{arguments.site / 'index.html'}: {count}; it opens from the disk, or copy the folder to any host")
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
    add_source(parser)
    parser.add_argument("--site", type=Path, default=SITE, help="folder of the pages (default: %(default)s)")
    parser.add_argument("--pictures", action="store_true", help="also take docs/page.png and docs/page_phone.png")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(guarded(main))
