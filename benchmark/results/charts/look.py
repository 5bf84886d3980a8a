"""How every chart looks: colours for light, dark and colour-blind readers, plain type, no background.

Axes, scales and legends are plain dictionaries throughout: Altair's own objects carry every option there is, and each
layer copies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt
from altair.typing import ChartType

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
PERCENT = {"format": "~%", "tickCount": 5, "labelLimit": 0}

Axes = tuple[alt.X, alt.Y]


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
        chart: axes, marks and, if there is one, the legend; without heading and without the house's look.
        title: the heading.
        lines: below it.
        words: the text alternative, with the main numbers.
        keys: what the legend says.
    """

    chart: ChartType
    title: str
    lines: Sequence[str]
    words: str
    keys: Sequence[Key] = ()


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Rows inside the chart: no data frame, no limit on rows, no file; a tuple, since lists are copied deeply."""
    return alt.InlineData(values=tuple(rows))


def families(rows: Sequence[Row]) -> list[Key]:
    """A colour and a shape for each family of those rows that are `ranked`; the others are grey."""
    there = {str(row["family"]) for row in rows if row["ranked"]}
    # Families of outsiders share what is left over: there are more names than colours that can be told apart.
    known = [Key(*look) for look in zip(FAMILIES, COLOURS, SHAPES, strict=False)]
    looks = [*known, *(Key(name, COLOURS[-1], SHAPES[0]) for name in sorted(there - set(FAMILIES)))]
    return [look for look in looks if look.label in there]


def told_by(keys: Sequence[Key]) -> tuple[alt.Color, alt.Shape]:
    """Colour and shape by family, with one legend."""
    names, colours, shapes = ([key[at] for key in keys] for at in range(3))
    legend = {"title": None, "orient": "bottom", "symbolOpacity": 1, "symbolStrokeWidth": 0} if keys else None
    return (
        alt.Color("family:N", scale={"domain": names, "range": colours}, legend=legend),
        alt.Shape("family:N", scale={"domain": names, "range": shapes}, legend=legend),
    )


def points(rows: Sequence[Row], axes: Axes) -> list[alt.Chart]:
    """Rows as points: filled in their family's colour and shape where they are `ranked`, grey circles elsewhere."""
    base = alt.Chart(data(rows)).encode(*axes)
    others = base.transform_filter("!datum.ranked").mark_point(size=26, color=UNRANKED, strokeWidth=1.2)
    ranked = base.transform_filter("datum.ranked").mark_point(filled=True, size=34, opacity=0.8)
    return [others, ranked.encode(*told_by(families(rows)))]


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


def lines(keys: Sequence[Key], field: str) -> tuple[alt.Color, alt.StrokeDash]:
    """Colour and dash by label, with one legend.

    Args:
        keys: in the legend's order.
        field: of the data that holds the labels, and the legend's title.
    """
    labels = [key.label for key in keys]
    legend = {"title": field, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 300, "symbolOpacity": 1}
    return (
        alt.Color(f"{field}:N", scale={"domain": labels, "range": [key.colour for key in keys]}, legend=legend),
        alt.StrokeDash(
            f"{field}:N", scale={"domain": labels, "range": [list(key.dash) for key in keys]}, legend=legend
        ),
    )


def config() -> dict[str, Any]:
    """The house's look, in Vega-Lite's terms."""
    text: dict[str, Any] = {"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": INK}
    plain: dict[str, Any] = {**text, "titleFontWeight": "normal", "labelLimit": 320}
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
