"""What a run has no picture for: rows, detection, probes, costs, hashes and origin, as titled lists.

They are half of a site, so they are escaped and joined here: a template takes several times as long for each line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, NamedTuple

from benchmark.record import Cost, Record

Line = tuple[str, str]


class Listing(NamedTuple):
    """Names and values under a title.

    Attributes:
        title: of the list.
        lines: a name and its value each.
        wide: whether it needs the page's width.
        code: whether the values are digests.
    """

    title: str
    lines: list[Line]
    wide: bool = False
    code: bool = False

    @property
    def html(self) -> str:
        """A definition list; every text is escaped."""
        return terms(self.lines, self.code)


def terms(lines: Iterable[Line], code: bool = False) -> str:
    """Names and values as a definition list; every text is escaped.

    Args:
        lines: a name and its value each.
        code: whether the values are shown as code.
    """
    opened, closed = ("<dd><code>", "</code></dd>") if code else ("<dd>", "</dd>")
    parts = [f"<div><dt>{escape(name)}</dt>{opened}{escape(value)}{closed}</div>" for name, value in lines]
    return f"<dl>{''.join(parts)}</dl>"


def listings(record: Record) -> list[Listing]:
    """All lists of a run; what it lacks is left out."""
    found = [Listing("Rows", _flat(record.rows.model_dump()))]
    if record.detection is not None:
        found.append(Listing("Detection", _flat(record.detection.model_dump())))
    if record.probes:
        shares = {
            f"{probe}, {victim}": f"{share.hits}/{share.n}"
            for probe, victims in record.probes.items()
            for victim, share in victims.items()
        }
        found.append(Listing("Probes", list(shares.items())))
    if record.stealth is not None:
        found.append(Listing("Visibility of the trigger", _flat(record.stealth.model_dump())))
    weights = [(f"{stage} weights", digest) for stage, digest in record.weights.items()]
    hashes = [("record", record.key), *weights, ("data", record.provenance.dataset)]
    return [
        *found,
        Listing("Costs", [(stage, _told(cost)) for stage, cost in record.costs.items()]),
        Listing("Hashes", hashes, wide=True, code=True),
        Listing("Origin", _origin(record), wide=True),
    ]


def _told(cost: Cost) -> str:
    return f"{cost.seconds:.1f} s, {cost.cpu_seconds:.1f} CPU s, {cost.peak_memory / 1e6:.0f} MB"


def _origin(record: Record) -> list[Line]:
    about = record.provenance
    threads = f"{about.threads} thread{'s' * (about.threads > 1)}"
    return [
        ("commit", (about.commit or "outside a clone") + " with changes" * bool(about.dirty)),
        ("protocol", str(about.protocol)),
        ("machine", f"{about.machine}, {about.device}, {threads}, {about.runs_per_device} a device"),
        ("versions", ", ".join(f"{name} {version}" for name, version in about.versions.items())),
    ]


def _flat(content: Mapping[str, Any], before: str = "") -> list[Line]:
    """Nested values as lines; counts as hits/n, what is absent left out."""
    lines: list[Line] = []
    for name, value in content.items():
        title = f"{before}{name}".replace("_", " ")
        if isinstance(value, Mapping) and value.keys() == {"hits", "n"}:
            lines.append((title, f"{value['hits']}/{value['n']}"))
        elif isinstance(value, Mapping):
            lines += _flat(value, f"{title}, ")
        elif value is not None:
            lines.append((title, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return lines
