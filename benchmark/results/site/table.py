"""The table of cells: its columns, and a cell as a row of plain values for the script that sorts and filters."""

from __future__ import annotations

from typing import NamedTuple

from benchmark.results.site.figures import Figures, Score

PERCENT, POINTS = "percent", "points"


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: for scripts, and for filters in an address.
        title: what its head says.
        kind: how a value is shown and sorted; page.js knows each.
        group: the head above it.
        hidden: whether it is shown only when asked for.
        hint: what it means, where the title does not say it all.
        low: whether the low end is what one looks for, so that the first click on the head brings it up.
    """

    name: str
    title: str
    kind: str
    group: str = ""
    hidden: bool = False
    hint: str = ""
    low: bool = False


COLUMNS = (
    Column("attack", "Attack", "name"),
    Column("rate", "Rate", "rate", hint="share of the training rows that are poisoned, percent", low=True),
    Column("defense", "Defense", "name"),
    Column("family", "Family", "text", hidden=True),
    Column("access", "Access", "text", hidden=True),
    Column("modality", "Modality", "text", hidden=True),
    Column("dataset", "Data", "name"),
    Column("architecture", "Architecture", "text", hidden=True),
    Column("recipe", "Recipe", "text", hidden=True),
    Column("environment", "Environment", "text", hidden=True),
    Column("status", "Status", "status"),
    Column("rank", "Rank", "rank", hint="among defenses of one family with the same access, data and recipe", low=True),
    Column("ca_clean", "clean", "score", "Clean accuracy %", hint="of a model trained on clean rows"),
    Column("ca_backdoored", "before", "score", "Clean accuracy %", hint="of the backdoored model"),
    Column("ca_defended", "after", "score", "Clean accuracy %", hint="of the backdoored model after the defense"),
    Column("asr_backdoored", "before", "score", "Attack success %", hint="of the backdoored model"),
    Column("asr_defended", "after", "seeds", "Attack success %", hint="after the defense; below: each seed", low=True),
    Column("ra_defended", "after", "score", "Robust %", hint="triggered rows, true labels, after the defense"),
    Column("removed", "removed", PERCENT, "Gain %", hint="share of the attack's gain that the defense took away"),
    Column("residual", "left", PERCENT, "Gain %", True, "residual: share of the attack's gain that is left", low=True),
    Column("cost_victim", "victim", POINTS, "Accuracy cost", hint="clean accuracy the defense costs, points", low=True),
    Column("cost_control", "control", POINTS, "Accuracy cost", hint="the same on a model without backdoor", low=True),
    Column("detection", "Detection", "detection", hint="sorted by AUROC, and verdicts by (1 + right - false) / 2"),
    Column("reactivation", "Re-activation", "probe", "", True, "the strongest probe after the defense, %", low=True),
    Column("seconds", "Seconds", "seconds", hint="wall seconds of the defense", low=True),
    Column("memory", "MB", "whole", hidden=True, hint="peak memory of the defense, megabytes", low=True),
    Column("n", "n", "whole", hint="seeds"),
)  # fmt: skip
FACETS = (
    "modality", "dataset", "architecture", "recipe", "attack", "rate", "defense", "family", "access", "status",
)  # fmt: skip


def row(figures: Figures) -> list[object]:
    """The values of `COLUMNS` for one cell, and last the name of its page; JSON can hold them."""
    cell, effect, label = figures.cell, figures.effect, figures.cell.label
    strongest = max(figures.probes.items(), key=lambda probe: probe[1], default=None)
    return [
        figures.attack,
        _rounded(figures.rate, 4),
        label["defense"],
        cell.family,
        cell.access,
        figures.modality,
        *(label[part] for part in ("dataset", "architecture", "recipe", "environment")),
        figures.status,
        figures.rank,
        *(_score(figures.score(victim, "ca")) for victim in ("clean", "backdoored", "defended")),
        *(_score(figures.score(victim, "asr")) for victim in ("backdoored", "defended")),
        _score(figures.score("defended", "ra")),
        *(_rounded(effect[name], 3) for name in ("removed", "residual", "victim", "control")),
        None if figures.detected is None else [_rounded(figures.detected, 6), figures.detection],
        None if strongest is None else [_rounded(strongest[1], 3), strongest[0]],
        _rounded(cell.seconds, 3),
        _rounded(figures.memory, 1),
        len(cell.records),
        figures.slug,
    ]


def heads() -> list[tuple[str, list[Column]]]:
    """Columns under their common head, in order; hidden ones have a head of their own, which can be hidden too."""
    found: list[tuple[str, list[Column]]] = []
    for column in COLUMNS:
        group, members = found[-1] if found else ("", [])
        if group and (group, members[-1].hidden) == (column.group, column.hidden):
            members.append(column)
        else:
            found.append((column.group, [column]))
    return found


def _score(score: Score) -> list[object] | None:
    """Mean, then seed, hits, n and the interval of each seed."""
    if score.mean is None:
        return None
    return [round(score.mean, 3), *([s.seed, s.hits, s.n, round(s.low, 1), round(s.high, 1)] for s in score.seeds)]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
