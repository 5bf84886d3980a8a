"""Make the README's pictures: python scripts/pictures.py [--records DIR].

docs/triggers.png shows clean and triggered digits of every attack in conf/attack; docs/demo.svg the leaderboard table
of `make demo`. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table

import benchmark
from benchmark.cli import Parser, guarded
from benchmark.config import CONF, checked
from benchmark.errors import BadInput
from benchmark.results.leaderboard import cells, read
from benchmark.results.marks import marks
from benchmark.results.tables import terminal
from benchmark.store import replace

TRIGGERS, DEMO = Path("docs/triggers.png"), Path("docs/demo.svg")
VARIANTS = (("attack=badnets", "attack.pattern=checkerboard", "attack.size=3"),)  # worth a row besides the defaults
QUICK = ("defense=none", "recipe.epochs=1", "device=cpu")  # the pictures do not depend on how well a victim learns
ALIKE = ("dataset", "architecture", "recipe", "attack", "transfer")  # what the demo's records have in common

WIDTH, MARGIN, GAP, LINE = 900, 16, 8, 28  # pixels: the page, its edges, between digits, a line of text
SPARE = 17  # characters by which the detection's sentences may exceed their longest word
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # rich names fonts of a server: a picture should ask nobody


class Shown(NamedTuple):
    """An attack's row: what to type for it, what it wants, and its digits."""

    overrides: tuple[str, ...]
    wanted: str
    clean: Image.Image
    triggered: Image.Image


def main() -> None:
    """Both pictures; only the triggers without --records."""
    records = parsed().records
    replace(TRIGGERS, page(list(attacks())))
    print(TRIGGERS)
    if records is not None:
        replace(DEMO, board(records))
        print(DEMO)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--records", type=Path, help="a folder with the demo's records, e.g. leaderboard/records")
    return parser.parse_args()


def attacks() -> Iterator[Shown]:
    """Digits of every attack that has a yaml and works on images, from the evidence of its shortest possible run."""
    names = sorted(path.stem for path in (CONF / "attack").glob("*.yaml") if path.stem != "none")
    with TemporaryDirectory() as store:
        for overrides in sorted([*((f"attack={name}",) for name in names), *VARIANTS]):
            config = benchmark.compose(*overrides, *QUICK, f"store={store}")
            try:
                evidence = benchmark.run(config).evidence
            except BadInput as error:  # an attack on text, or one that needs an option
                sys.stderr.write(f"{' '.join(overrides)} is left out: {error}\n")
                continue
            assert evidence is not None and evidence.clean_inputs and evidence.triggered_inputs
            wanted = (
                "the next class" if config.attack.get("target") == "all" else f"class {config.attack.get('target')}"
            )
            yield Shown(overrides, wanted, picture(evidence.clean_inputs), picture(evidence.triggered_inputs))


def picture(uri: str) -> Image.Image:
    """The picture in a `data:` URI."""
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")


def page(rows: list[Shown]) -> bytes:
    """A PNG with a line of text and a row of digits, clean and triggered side by side, for each attack."""
    half, font = (WIDTH - 3 * MARGIN) // 2, ImageFont.load_default(16)
    strips = [(row, enlarged(row.clean, half), enlarged(row.triggered, half)) for row in rows]
    height = LINE + sum(LINE + clean.height + GAP for _, clean, _ in strips) + 2 * MARGIN
    canvas = Image.new("RGB", (WIDTH, height), "white")
    draw, right, top = ImageDraw.Draw(canvas), 2 * MARGIN + half, MARGIN
    draw.text((MARGIN, top), "clean test digits", "black", font)
    draw.text((right, top), "the same digits with the trigger", "black", font)
    top += LINE
    for row, clean, triggered in strips:
        draw.text((MARGIN, top), f"{' '.join(row.overrides)} (the attacker wants {row.wanted})", "black", font)
        canvas.paste(clean, (MARGIN, top + LINE))
        canvas.paste(triggered, (right, top + LINE))
        top += LINE + clean.height + GAP
    file = io.BytesIO()
    canvas.save(file, "PNG", optimize=True)
    return file.getvalue()


def enlarged(digits: Image.Image, width: int) -> Image.Image:
    """Square pictures that touch, set apart and enlarged by a whole number, so that every pixel becomes a square."""
    side = digits.height
    count = digits.width // side
    larger = (width - (count - 1) * GAP) // count // side * side
    strip = Image.new("RGB", (width, larger), "white")
    for at in range(count):
        tile = digits.crop((at * side, 0, (at + 1) * side, side)).resize((larger, larger), Image.Resampling.NEAREST)
        strip.paste(tile, (at * (larger + GAP), 0))
    return strip


def board(folder: Path) -> bytes:
    """An SVG of the leaderboard of the demo's records.

    Args:
        folder: searched for records; those of other settings are left out.

    Raises:
        BadInput: it holds none of the demo's.
    """
    demo = checked(benchmark.compose("+experiment=demo"))
    found = [record for record in read(folder) if all(record.config[part] == demo[part] for part in ALIKE)]
    if not found:
        raise BadInput(f"{folder}: holds no record of the demo; run make demo and give its store's records")
    tables = terminal(cells(found, marks(folder)))
    for made in tables:
        narrow(made)
    width = max(Console(width=WIDTH).measure(made).maximum for made in tables)
    console = Console(width=width, record=True, file=io.StringIO())
    for made in tables:
        console.print(made)
    return WEB_FONT.sub("", console.export_svg(title="make demo")).encode()


def narrow(table: Table) -> None:
    """Give every column the width of its longest word, without lines between columns; at 900 pixels it can be read."""
    table.box, table.padding, table.show_lines = HORIZONTALS, (0, 1, 0, 0), True
    for column in table.columns:
        texts = [str(cell).replace(" / ", "_/_") for cell in column.cells]  # three rates are one word
        column.width = max(len(word) for text in (str(column.header), *texts) for word in text.split())
        column.width += SPARE if column.header == "detection" else 0


if __name__ == "__main__":
    sys.exit(guarded(main))
