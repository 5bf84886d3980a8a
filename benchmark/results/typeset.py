"""Tables for papers, notes and programs: LaTeX with booktabs, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from itertools import groupby

from benchmark.results.grids import Entry, Grid
from benchmark.results.leaderboard import Cell
from benchmark.results.merits import SCORES

BOARD = ("dataset", "architecture", "recipe", "transfer", "environment")
VICTIMS, COUNTS = ("clean", "sham", "backdoored", "defended", "control"), ("ca", "asr", "ra")
PREAMBLE = r"% needs \usepackage{booktabs}"
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": "--",
}
MARKDOWN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{sign: f"\\{sign}" for sign in "\\`*_{}[]#|~"}}
MINUS = re.compile(r"^-(?=[0-9])")
FORMULA = re.compile(r"[=+\-@\t\r]")  # with which a spreadsheet begins to calculate

Words = Callable[[str], str]


def latex(grids: Sequence[Grid]) -> str:
    """A `table` environment for each grid, best in bold and second underlined."""
    return PREAMBLE + "\n" + "\n".join(_latex(grid) for grid in grids)


def markdown(grids: Sequence[Grid]) -> str:
    """A paragraph, a table and notes for each grid, best in bold and second in italics."""
    return "\n".join(_markdown(grid) for grid in grids)


def comma_separated(found: Sequence[Cell], scores: Sequence[str]) -> str:
    """One row a cell at full precision; hits and n of every victim and score, a number a seed, seeds in order."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    counted = [(victim, score) for victim in VICTIMS for score in COUNTS]
    heads = [f"{victim}_{score}_{part}" for victim, score in counted for part in ("hits", "n")]
    rows.writerow([*BOARD, "attack", "defense", "family", "access", "status", *scores, "seeds", *heads])
    for cell in found:
        words = [*(cell.label[part] for part in (*BOARD, "attack", "defense")), cell.family, cell.access, cell.status]
        numbers = [SCORES[name].of(cell) for name in scores]
        counts = [numbers for victim, score in counted for numbers in _counts(cell, victim, score)]
        seeds = " ".join(str(record.seed) for record in cell.records)
        rows.writerow([*map(_inert, words), *("" if n is None else repr(n) for n in numbers), seeds, *counts])
    return file.getvalue()


def _counts(cell: Cell, victim: str, score: str) -> tuple[str, str]:
    """Hits and n of every seed; a record without scores, or without that victim, has `-`."""
    found = [getattr(record.scores, victim) if record.scores else None for record in cell.records]
    counts = [getattr(scores, score) if scores else None for scores in found]
    return (
        " ".join("-" if count is None else str(count.hits) for count in counts),
        " ".join("-" if count is None else str(count.n) for count in counts),
    )


def _inert(text: str) -> str:
    return f"'{text}" if FORMULA.match(text) else text


def _latex(grid: Grid) -> str:
    def words(text: str) -> str:
        return "".join(LATEX.get(sign, sign) for sign in " ".join(text.split()))

    def number(entry: Entry) -> str:
        style = {1: r"\textbf{%s}", 2: r"\underline{%s}"}.get(entry.rank or 0, "%s")
        mark = rf"\textsuperscript{{{entry.mark}}}" if entry.mark and entry.text else ""
        return style % MINUS.sub(r"$-$", words(entry.text)) + mark

    said = "Best in bold, second underlined. "
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{words(grid.caption)}}}",
        rf"\begin{{tabular}}{{{'l' * len(grid.corners)}{'r' * len(grid.columns)}}}",
        r"\toprule",
        *_over(grid, words),
        _line([*grid.corners, *grid.columns], words),
        r"\midrule",
        *(rf"{' & '.join([*map(words, names), *map(number, entries)])} \\" for names, entries in grid.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip",
        rf"{{\footnotesize {said}{words(' '.join(grid.notes))}\par}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(texts: Sequence[str], words: Words) -> str:
    return rf"{' & '.join(map(words, texts))} \\"


def _over(grid: Grid, words: Words) -> list[str]:
    """The line of families, each above its defenses."""
    spans, rules, first = [""] * len(grid.corners), [], len(grid.corners) + 1
    for family, members in groupby(grid.families):
        size = len(list(members))
        spans.append(rf"\multicolumn{{{size}}}{{c}}{{{words(family)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + size - 1}}}")
        first += size
    return [rf"{' & '.join(spans)} \\", " ".join(rules)] if rules else []


def _markdown(grid: Grid) -> str:
    def words(text: str) -> str:
        return "".join(MARKDOWN.get(sign, sign) for sign in " ".join(text.split()))

    def number(entry: Entry) -> str:
        style = {1: "**%s**", 2: "_%s_"}.get(entry.rank or 0, "%s")
        return style % entry.text + (f"<sup>{entry.mark}</sup>" if entry.mark and entry.text else "")

    families = grid.families or ("",) * len(grid.columns)
    heads = [f"{name} ({family})" if family else name for name, family in zip(grid.columns, families, strict=True)]
    rows = [
        [*map(words, (*grid.corners, *heads))],
        [*["---"] * len(grid.corners), *["---:"] * len(grid.columns)],
        *([*map(words, names), *map(number, entries)] for names, entries in grid.rows),
    ]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    said = "Best in bold, second in italics. "
    return "\n".join([words(grid.caption), "", *table, "", said + words(" ".join(grid.notes)), ""])
