"""How every chart looks: colours for light, dark and colour-blind readers, plain type, no background.

A chart is a Vega-Lite specification in plain dictionaries. Altair's objects would write the same, but carry every
option there is and copy each other at every step, which takes as long as drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmark.results.charts.points import Row

INK = "#767676"  # text and axes; 4.5 to 1 on white and nearly as much on black
UNRANKED = "#9a9a9a"
# Okabe and Ito 2008 without black and yellow, of which each vanishes on one background.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES = ([1, 0], [6, 3], [2, 2])  # tell lines apart once the colours come round again
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down")
FAMILIES = ("repair", "filter", "input detector", "model detector", "training")  # a colour each, on every chart
FONT = "sans-serif"
SIDE = 460  # pixels of a chart's longer side

# Of an axis: the renderer measures each label, and one that has a limit again and again, for milliseconds.
FEW = {"tickCount": 5, "labelLimit": 0}
PERCENT = FEW | {"format": "~%"}

Spec = dict[str, Any]  # of Vega-Lite: a chart, a layer or an encoding


class Key(NamedTuple):
    """What a mark means.

    Attributes:
        label: a family's name, or a defense's.
        colour: as `#rrggbb`.
        shape: of points; empty for a line.
        dash: of a line, as in SVG.
    """

    label: str
    colour: str
    shape: str = ""
    dash: Sequence[int] = ()


class Drawing(NamedTuple):
    """A chart and what belongs beside it: drawn on paper, and text on a page.

    Attributes:
        spec: axes, marks and, if there is one, the legend; without heading and without the house's look.
        title: the heading; empty for none.
        lines: below it.
        words: the text alternative, with the main numbers.
        keys: what the legend says, for pages; without those of charts that no page shows.
    """

    spec: Spec
    title: str
    lines: Sequence[str]
    words: str
    keys: Sequence[Key] = ()


def part(mark: str, encoding: Spec, rows: Sequence[Row] | None = None, keep: str = "", **looks: Any) -> Spec:
    """A layer: rows drawn as marks.

    Args:
        mark: its type.
        encoding: channel -> what it shows.
        rows: one a mark, or one a point of a line; None for those of the whole chart.
        keep: an expression that is true of the rows to be drawn; empty for all.
        looks: options of the mark.
    """
    data: Spec = {} if rows is None else {"data": {"values": rows}}
    transform: Spec = {"transform": [{"filter": keep}]} if keep else {}
    return {**data, **transform, "mark": {"type": mark, **looks}, "encoding": encoding}


def quantity(field: str, **options: Any) -> Spec:
    """A channel that shows a number."""
    return {"field": field, "type": "quantitative", **options}


def nominal(field: str, **options: Any) -> Spec:
    """A channel that shows what has no order but its own."""
    return {"field": field, "type": "nominal", **options}


def families(rows: Sequence[Row]) -> list[Key]:
    """A colour and a shape for each family of those rows that are `ranked`; the others are grey."""
    there = {str(row["family"]) for row in rows if row["ranked"]}
    # Families of outsiders share what is left over: there are more names than colours that can be told apart.
    known = [Key(*look) for look in zip(FAMILIES, COLOURS, SHAPES, strict=False)]
    looks = [*known, *(Key(name, COLOURS[-1], SHAPES[0]) for name in sorted(there - set(FAMILIES)))]
    return [look for look in looks if look.label in there]


def told_by(keys: Sequence[Key]) -> Spec:
    """Colour and shape by family, with one legend."""
    names, colours, shapes = ([key[at] for key in keys] for at in range(3))
    legend = {"title": None, "orient": "bottom", "symbolOpacity": 1, "symbolStrokeWidth": 0} if keys else None
    return {
        "color": nominal("family", scale={"domain": names, "range": colours}, legend=legend),
        "shape": nominal("family", scale={"domain": names, "range": shapes}, legend=legend),
    }


def points(rows: Sequence[Row], axes: Spec) -> list[Spec]:
    """Rows as points: filled in their family's colour and shape where they are `ranked`, grey circles elsewhere."""
    looks = told_by(families(rows))
    return [
        part("point", axes, rows, "!datum.ranked", size=26, color=UNRANKED, strokeWidth=1.2),
        part("point", axes | looks, rows, "datum.ranked", filled=True, size=34, opacity=0.8),
    ]


def line_keys(labels: Sequence[str], plain: bool = False) -> list[Key]:
    """A colour and a dash for each label.

    Args:
        labels: in the legend's order.
        plain: whether the first label is a reference, drawn like text.
    """
    looks = [(COLOURS[at % len(COLOURS)], DASHES[at // len(COLOURS) % len(DASHES)]) for at in range(len(labels))]
    if plain:
        looks = [(INK, DASHES[0]), *looks]
    return [Key(label, colour, dash=dash) for label, (colour, dash) in zip(labels, looks, strict=False)]


def lines(keys: Sequence[Key], field: str) -> Spec:
    """Colour and dash by label, with one legend.

    Args:
        keys: in the legend's order.
        field: of the data that holds the labels, and the legend's title.
    """
    labels, colours = [key.label for key in keys], [key.colour for key in keys]
    legend = {"title": field, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 300, "symbolOpacity": 1}
    return {
        "color": nominal(field, scale={"domain": labels, "range": colours}, legend=legend),
        "strokeDash": nominal(field, scale={"domain": labels, "range": [key.dash for key in keys]}, legend=legend),
    }


def bare(drawing: Drawing) -> Drawing:
    """The same without heading and legend, for a page that sets them as text."""
    return drawing._replace(spec=_unexplained(drawing.spec), title="", lines=())


def _unexplained(part: Any) -> Any:
    """A chart without legends; `config.legend.disable` would not reach those that say something of themselves."""
    if isinstance(part, dict):
        return {k: v if k == "data" else None if k == "legend" else _unexplained(v) for k, v in part.items()}
    return [_unexplained(each) for each in part] if isinstance(part, list) else part


def config() -> Spec:
    """The house's look, in Vega-Lite's terms."""
    text: Spec = {"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": INK}
    plain: Spec = {**text, "titleFontWeight": "normal", "labelLimit": 320}
    return {
        "background": "transparent",
        "font": FONT,
        "padding": 8,
        "aria": False,
        "view": {"stroke": None},
        "axis": plain | {"gridColor": INK, "gridOpacity": 0.2, "domainColor": INK},
        "legend": plain,
        "header": text,
        "title": {
            "font": FONT,
            "color": INK,
            "subtitleColor": INK,
            "subtitleFont": FONT,
            "fontSize": 13,
            "subtitleFontSize": 10,
        },
    }
