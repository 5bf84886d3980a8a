"""The leaderboard as a table a person reads: in the terminal, as Markdown, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean

from rich.table import Table

from benchmark.record import Detection
from benchmark.results.leaderboard import Cell
from benchmark.results.merits import verdicts
from benchmark.results.standings import Standing

COLUMNS = (
    "attack",
    "defense",
    "CA clean / backdoored / defended",
    "ASR clean / backdoored / defended (each seed)",
    "removed",
    "CA cost to a clean model",
    "detection",
    "seconds",
    "n",
    "status",
)
WORDS = (0, 1, 6, 9)  # columns of words, to the left
TABLE_WIDTH = 160  # characters, where stdout is no terminal

Row = tuple[str, ...]


def row(cell: Cell) -> Row:
    """A cell in words: means over seeds in percent, every seed in brackets behind the defended ASR."""
    shown = ("clean", "backdoored", "defended")
    ca, asr = (" / ".join(_percent(cell.mean(victim, score)) for victim in shown) for score in ("ca", "asr"))
    seeds = " ".join(_percent(rate) for rate in cell.rates("defended", "asr"))
    asr += f" ({seeds})" if len(cell.records) > 1 else ""
    seconds = "-" if cell.seconds is None else f"{cell.seconds:.1f}"
    told = (_percent(cell.removed), _percent(cell.cost("sham", "control")), detection(cell), seconds)
    return (cell.label["attack"], cell.label["defense"], ca, asr, *told, str(len(cell.records)), cell.status)


def board(cell: Cell) -> str:
    """The title of the table a cell belongs to: what is never pooled, and is not `none`."""
    return ", ".join(name for name in cell.board if name != "none")


def detection(cell: Cell) -> str:
    """What a defense detected, over seeds, or "-"."""
    found = [record.detection for record in cell.records if record.detection is not None]
    return "; ".join(part for part in (_rows(found), _inputs(found), _model(cell)) if part) or "-"


def terminal(found: Sequence[Cell]) -> list[Table]:
    """A rich table for each board."""
    tables = []
    for _, members in groupby(sorted(found, key=_board), key=_board):
        group = list(members)
        title = board(group[0])
        table = Table(title=f"{title} (percent, mean over n seeds)", title_justify="left")
        for at, column in enumerate(COLUMNS):
            table.add_column(column, justify="left" if at in WORDS else "right")
        attack = ""
        for cell in group:
            cells = row(cell)
            if attack and cells[0] != attack:
                table.add_section()
            table.add_row(*cells)
            attack = cells[0]
        tables.append(table)
    return tables


def markdown(found: Sequence[Cell], ranks: Sequence[Standing]) -> str:
    """Standings and cells of every board as Markdown tables."""
    parts = []
    for place, cells in groupby(sorted(found, key=_board), key=_board):
        group = list(cells)
        members = [standing for standing in ranks if standing.board[:-2] == place]
        rows = [row(cell) for cell in group]
        parts += [f"## {board(group[0])}", "", *_standing_lines(members), *_lines(COLUMNS, rows), ""]
    return "\n".join(parts)


def _board(cell: Cell) -> tuple[str, ...]:
    return cell.board


def _standing_lines(ranks: Sequence[Standing]) -> list[str]:
    if not ranks:
        return ["No defense is ranked here yet.", ""]
    rows = [(*s.board[-2:], str(s.rank or "-"), s.defense, _percent(s.removed), str(s.attacks)) for s in ranks]
    return [*_lines(("family", "access", "rank", "defense", "removed", "attacks"), rows), ""]


def _lines(header: Row, rows: Sequence[Row]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines]


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f}"


def _rows(found: Sequence[Detection]) -> str:
    areas = [d.rows.separation.auroc for d in found if d.rows is not None and d.rows.separation.auroc is not None]
    return f"rows AUROC {fmean(areas):.3f}" if areas else ""


def _inputs(found: Sequence[Detection]) -> str:
    areas = [d.inputs.separation.auroc for d in found if d.inputs is not None and d.inputs.separation.auroc is not None]
    return f"inputs AUROC {fmean(areas):.3f}" if areas else ""


def _model(cell: Cell) -> str:
    said = verdicts(cell)
    return "" if said is None else f"model {said.right}/{said.n} right, {said.alarms}/{said.n} false"
