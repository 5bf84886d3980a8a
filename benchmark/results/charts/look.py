"""How every chart looks: colours for light, dark and colour-blind readers, plain type, no background.

Axes, scales and legends are plain dictionaries throughout: Altair's own objects carry every option there is, and each
layer copies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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

Axes = tuple[alt.X, alt.Y]


def data(rows: Sequence[Row]) -> alt.InlineData:
    """Rows inside the chart: no data frame, no limit on rows, no file; a tuple, since lists are copied deeply."""
    return alt.InlineData(values=tuple(rows))


def families(rows: Sequence[Row]) -> tuple[alt.Color, alt.Shape]:
    """A colour and a shape for each family, told by one legend.

    Args:
        rows: of the chart; the legend has the families of those that are `ranked`, since the others are grey.
    """
    there = {str(row["family"]) for row in rows if row["ranked"]}
    # Families of outsiders share what is left over: there are more names than colours that can be told apart.
    known = list(zip(FAMILIES, COLOURS, SHAPES, strict=False))
    looks = [*known, *((name, COLOURS[-1], SHAPES[0]) for name in sorted(there - set(FAMILIES)))]
    shown = [look for look in looks if look[0] in there]
    names, colours, shapes = ([look[at] for look in shown] for at in range(3))
    legend = {"title": None, "orient": "bottom", "symbolOpacity": 1, "symbolStrokeWidth": 0} if shown else None
    return (
        alt.Color("family:N", scale={"domain": names, "range": colours}, legend=legend),
        alt.Shape("family:N", scale={"domain": names, "range": shapes}, legend=legend),
    )


def points(rows: Sequence[Row], axes: Axes) -> list[alt.Chart]:
    """Rows as points: filled in their family's colour and shape where they are `ranked`, grey circles elsewhere."""
    base = alt.Chart(data(rows)).encode(*axes)
    others = base.transform_filter("!datum.ranked").mark_point(size=26, color=UNRANKED, strokeWidth=1.2)
    ranked = base.transform_filter("datum.ranked").mark_point(filled=True, size=34, opacity=0.8)
    return [others, ranked.encode(*families(rows))]


def lines(labels: Sequence[str], field: str, plain: bool = False) -> tuple[alt.Color, alt.StrokeDash]:
    """A colour and a dash for each label, told by one legend.

    Args:
        labels: in the legend's order.
        field: of the data that holds them, and the legend's title.
        plain: whether the first label is a reference, drawn like text.
    """
    count = len(labels) - plain
    colours = [COLOURS[at % len(COLOURS)] for at in range(count)]
    dashes = [DASHES[at // len(COLOURS) % len(DASHES)] for at in range(count)]
    if plain:
        colours, dashes = [INK, *colours], [DASHES[0], *dashes]
    legend = {"title": field, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 300, "symbolOpacity": 1}
    return (
        alt.Color(f"{field}:N", scale={"domain": labels, "range": colours}, legend=legend),
        alt.StrokeDash(f"{field}:N", scale={"domain": labels, "range": dashes}, legend=legend),
    )


def finished(chart: ChartType, title: str, subtitle: Sequence[str], description: str) -> ChartType:
    """A chart with its heading, its text alternative and the house's look."""
    heading = {"text": title, "subtitle": list(subtitle), "anchor": "start", "frame": "group", "offset": 12}
    text: dict[str, Any] = {"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": INK}
    plain: dict[str, Any] = {**text, "titleFontWeight": "normal", "labelLimit": 320}
    dressed: ChartType = chart.properties(title=heading, description=description).configure(  # all at once: each copies
        background="transparent",
        font=FONT,
        padding=8,
        aria=False,
        view={"stroke": None},
        axis=plain | {"gridColor": INK, "gridOpacity": 0.2, "domainColor": INK},
        legend=plain,
        header=text,
        title={
            "font": FONT,
            "color": INK,
            "subtitleColor": INK,
            "subtitleFont": FONT,
            "fontSize": 13,
            "subtitleFontSize": 10,
        },
    )
    return dressed
