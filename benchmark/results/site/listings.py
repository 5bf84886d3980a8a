"""What a run has no picture for: rows, detection, probes, costs, hashes and origin, as titled lists.

They are half of a site, so they are escaped and joined here: a template takes several times as long for each line.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import Any

from benchmark.record import Cost, Part, Record

Line = tuple[str, str]  # a name as text, and its value as HTML

COUNTED = {"hits", "n"}  # fields of a count
WIDE = ("Hashes", "Origin")  # lists that need the page's width


def terms(lines: Iterable[Line], code: bool = False) -> str:
    """Names and values as a definition list.

    Args:
        lines: a name, which is escaped, and its value as HTML each.
        code: whether the values are shown as code.
    """
    opened, closed = ("<code>", "</code></dd></div>") if code else ("", "</dd></div>")
    return f"<dl>{''.join([f'{_named(name)}{opened}{value}{closed}' for name, value in lines])}</dl>"


@lru_cache(maxsize=10_000)  # names come again and again
def _named(name: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>"


def listings(record: Record) -> str:
    """All lists of a run as HTML; what it lacks is left out."""
    found = [_shared("Rows", record.rows)]
    if record.detection is not None:
        found.append(_listing("Detection", _flat(record.detection.model_dump())))
    if record.probes:
        shares = {
            f"{probe}, {victim}": f"{share.hits}/{share.n}"
            for probe, victims in record.probes.items()
            for victim, share in victims.items()
        }
        found.append(_listing("Probes", shares.items()))
    if record.stealth is not None:
        found.append(_shared("Visibility of the trigger", record.stealth))
    weights = [(f"{stage} weights", escape(digest)) for stage, digest in record.weights.items()]
    hashes = [("record", record.key), *weights, ("data", escape(record.provenance.dataset))]
    costs = [(stage, _told(cost)) for stage, cost in record.costs.items()]
    found += [_listing("Costs", costs), _listing("Hashes", hashes, code=True), _listing("Origin", _origin(record))]
    return "\n".join(found)


@lru_cache(maxsize=1000)
def _shared(title: str, part: Part) -> str:
    """The list of a part that all runs of a victim have."""
    return _listing(title, _flat(part.model_dump()))


def _listing(title: str, lines: Iterable[Line], code: bool = False) -> str:
    wide = ' class="wide"' * (title in WIDE)
    return f"<div{wide}><h4>{title}</h4>{terms(lines, code)}</div>"


def _told(cost: Cost) -> str:
    return f"{cost.seconds:.1f} s, {cost.cpu_seconds:.1f} CPU s, {cost.peak_memory / 1e6:.0f} MB"


def _origin(record: Record) -> list[Line]:
    about = record.provenance
    threads = f"{about.threads} thread{'s' * (about.threads > 1)}"
    return [
        ("commit", escape(about.commit or "outside a clone") + " with changes" * bool(about.dirty)),
        ("protocol", str(about.protocol)),
        ("machine", escape(f"{about.machine}, {about.device}, {threads}, {about.runs_per_device} a device")),
        ("versions", escape(", ".join([f"{name} {version}" for name, version in about.versions.items()]))),
    ]


def _flat(content: dict[str, Any], before: str = "") -> list[Line]:
    """Nested values as lines; counts as hits/n, what is absent left out."""
    lines: list[Line] = []
    for name, value in content.items():
        title = f"{before}{name}".replace("_", " ")
        if isinstance(value, dict):
            counted = value.keys() == COUNTED
            lines += [(title, f"{value['hits']}/{value['n']}")] if counted else _flat(value, f"{title}, ")
        elif value is not None:
            lines.append((title, f"{value:.4g}" if isinstance(value, float) else escape(str(value))))
    return lines
