"""Comparisons as tables: one row a comparison, one row an attack; for a terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table

from benchmark.results.comparison import Comparison
from benchmark.results.leaderboard import Cell
from benchmark.results.pairing import Pair
from benchmark.results.tables import board
from benchmark.results.typeset import FORMULA, LATEX, MARKDOWN, PREAMBLE
from benchmark.results.verdicts import remarks, verdict

SUMMARY = (
    "defense",
    "reference",
    "removed more",
    "95 % interval",
    "attacks",
    "CA cost more: victim",
    "CA cost more: no backdoor",
    "p (Holm)",
    "called",
)
WORDS = 4  # first columns of `BY_ATTACK` that are words, to the left
BY_ATTACK = (
    "board",
    "attack",
    "defense",
    "counts",
    "ASR reference (each seed)",
    "ASR defense (each seed)",
    "removed reference",
    "removed defense",
    "difference",
    "CA cost more: victim",
    "CA cost more: no backdoor",
    "seeds",
)
FILE = (
    "board",
    "attack",
    "defense",
    "reference",
    "counts",
    "seeds",
    "asr_reference",
    "asr_defense",
    "removed_reference",
    "removed_defense",
    "difference",
    "ca_cost_more_victim",
    "ca_cost_more_no_backdoor",
)


class Sheet(NamedTuple):
    """A table before it has a form."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: int  # leading columns to the left


def sheets(made: Sequence[Comparison]) -> list[Sheet]:
    """The summary and the attacks of all comparisons; percent and points, every seed shown."""
    summary = [_summary(one) for one in made]
    attacks = [_by_attack(one, pair) for one in made for pair in one.pairs]
    title = f"Against {made[0].reference} (percent and points; positive: more than the reference)"
    return [Sheet(title, SUMMARY, summary, 2), Sheet("Attack by attack", BY_ATTACK, attacks, WORDS)]


def terminal(made: Sequence[Comparison]) -> list[Table]:
    """Rich tables of the attacks; the board stands in the rows where there are several."""
    sheet = sheets(made)[1]
    boards = {row[0] for row in sheet.rows}
    first = 0 if len(boards) > 1 else 1
    table = Table(title=f"{sheet.title} (percent and points)", title_justify="left")
    for at, column in enumerate(sheet.columns[first:], start=first):
        table.add_column(column, justify="left" if at < sheet.words else "right")
    for row in sheet.rows:
        table.add_row(*map(escape, row[first:]))
    return [table] if sheet.rows else []


def markdown(made: Sequence[Comparison]) -> str:
    """Verdicts, remarks and both tables."""
    parts = []
    for one in made:
        said = [_words(text, MARKDOWN) for text in (verdict(one, len(made)), *remarks(one))]
        parts += [said[0], "", *(f"- {remark}" for remark in said[1:]), ""]
    for sheet in sheets(made):
        ruler = " | ".join(":---" if at < sheet.words else "---:" for at in range(len(sheet.columns)))
        rows = [" | ".join(_words(text, MARKDOWN) for text in row) for row in (sheet.columns, *sheet.rows)]
        parts += [_words(sheet.title, MARKDOWN), "", *(f"| {row} |" for row in (rows[0], ruler, *rows[1:])), ""]
    return "\n".join(parts)


def latex(made: Sequence[Comparison]) -> str:
    """Both tables for the package booktabs; verdicts and remarks as comments."""
    parts = [PREAMBLE]
    for one in made:
        parts += [f"% {_words(text, {})}" for text in (verdict(one, len(made)), *remarks(one))]
    for sheet in sheets(made):
        form = "l" * sheet.words + "r" * (len(sheet.columns) - sheet.words)
        lines = [" & ".join(_words(text, LATEX) for text in row) + r" \\" for row in (sheet.columns, *sheet.rows)]
        parts += [f"% {sheet.title}", rf"\begin{{tabular}}{{{form}}}", r"\toprule", lines[0], r"\midrule"]
        parts += [*lines[1:], r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(parts)


def comma_separated(made: Sequence[Comparison]) -> str:
    """One row an attack at full precision, as shares; rates a number a seed, seeds in order."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(FILE)
    rows.writerows(_for_programs(one, pair) for one in made for pair in one.pairs)
    return stream.getvalue()


def _for_programs(one: Comparison, pair: Pair) -> list[str]:
    known = not pair.reason
    costs = [pair.cost("backdoored", "defended"), pair.cost("sham", "control")] if known else [None, None]
    numbers = [pair.reference.removed, pair.other.removed, pair.removed if known else None, *costs]
    words = (board(pair.reference), pair.attack, one.other, one.reference, pair.reason or "yes")
    seeds = " ".join(map(str, pair.seeds))
    rates = [" ".join(map(repr, cell.rates("defended", "asr"))) for cell in (pair.reference, pair.other)]
    safe = [f"'{text}" if FORMULA.match(text) else text for text in words]
    return [*safe, seeds, *rates, *("" if number is None else repr(number) for number in numbers)]


def _summary(one: Comparison) -> tuple[str, ...]:
    judgement = one.judgement
    if judgement is None:
        return (one.other, one.reference, "-", "-", "0", "-", "-", "-", "no")
    interval = judgement.interval
    bounds = "-" if interval is None else f"[{_points(interval.low)}, {_points(interval.high)}]"
    costs = (_points(one.cost("backdoored", "defended")), _points(one.cost("sham", "control")))
    p = "-" if judgement.adjusted is None else f"{judgement.adjusted:.2g}"
    called = "yes" if judgement.called else "no"
    shown = (_points(judgement.mean), bounds, str(judgement.attacks), *costs, p, called)
    return (one.other, one.reference, *shown)


def _by_attack(one: Comparison, pair: Pair) -> tuple[str, ...]:
    counts, known = pair.reason or "yes", not pair.reason
    costs = [pair.cost("backdoored", "defended"), pair.cost("sham", "control")] if known else [None, None]
    return (
        board(pair.reference),
        pair.attack,
        one.other,
        counts if known else f"no: {counts}",
        _seeds(pair.reference),
        _seeds(pair.other),
        _points(pair.reference.removed),
        _points(pair.other.removed),
        _points(pair.removed if known else None),
        *map(_points, costs),
        " ".join(map(str, pair.seeds)),
    )


def _seeds(cell: Cell) -> str:
    mean = _points(cell.mean("defended", "asr"))
    return f"{mean} ({' '.join(_points(rate) for rate in cell.rates('defended', 'asr'))})"


def _points(share: float | None) -> str:
    if share is None:
        return "-"
    text = f"{100 * share:.1f}"
    return "0.0" if text == "-0.0" else text


def _words(text: str, marks: Mapping[str, str]) -> str:
    """A text on one line, its special characters written out."""
    return "".join(marks.get(sign, sign) for sign in " ".join(text.split()))
