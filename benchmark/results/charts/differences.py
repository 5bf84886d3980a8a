"""Two defenses on the same attacks: what each removes, with every seed, and the difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import BadInput
from benchmark.results.charts.look import COLOURS, INK, SHAPES, SIDE, Drawing, Spec, nominal, part, quantity
from benchmark.results.charts.points import Row
from benchmark.results.comparison import Comparison, Judgement
from benchmark.results.pairing import Pair
from benchmark.results.verdicts import verdict

MEAN = "mean"
ROW = 26  # pixels of height for an attack


def differences(made: Sequence[Comparison]) -> Drawing:
    """A row an attack: paired dots on the left, the difference on the right, and under them the mean.

    Args:
        made: comparisons with one reference; each becomes a panel of its own.

    Raises:
        BadInput: in none of them does a pair count.
    """
    drawn = [one for one in made if one.judgement is not None]
    if not drawn:
        raise BadInput("figure: no attack counts in any comparison, so there is nothing to draw; run what is missing")
    panels = [_panel(one, judgement) for one in drawn if (judgement := one.judgement) is not None]
    said = [verdict(one, len(made)) for one in drawn]
    chart = {"vconcat": panels, "spacing": 28, "resolve": {"scale": {"color": "independent", "shape": "independent"}}}
    subtitle = ["large: mean over seeds, small: each seed; bar: 95 % interval over attacks and seeds"]
    return Drawing(chart, "Share of the attack that is removed", subtitle, " ".join(said))


def _panel(one: Comparison, judgement: Judgement) -> Spec:
    names = [_name(one, pair) for pair in one.used]
    order = [name for _, name in sorted(zip((pair.removed for pair in one.used), names, strict=True), reverse=True)]
    return {"hconcat": [_shares(one, names, order), _changes(one, judgement, names, order)], "spacing": 18}


def _shares(one: Comparison, names: Sequence[str], order: Sequence[str]) -> Spec:
    """What each defense removes of each attack."""
    rows: list[Row] = []
    for name, pair in zip(names, one.used, strict=True):
        seeds = list(zip(*pair.residuals, strict=True))
        for at, (label, cell) in enumerate(((one.reference, pair.reference), (one.other, pair.other))):
            rows.append({"attack": name, "defense": label, "removed": 100 * (cell.removed or 0.0), "seed": False})
            rows += [
                {"attack": name, "defense": label, "removed": 100 * (1 - max(0.0, left)), "seed": True}
                for left in seeds[at]
            ]
    both = [one.reference, one.other]
    legend = {"title": None, "orient": "top", "symbolOpacity": 1}
    axes = {"x": quantity("removed", title="removed, % of the attack"), "y": _attacks([*order, MEAN])}
    looks = {
        "color": nominal("defense", scale={"domain": both, "range": COLOURS[:2]}, legend=legend),
        "shape": nominal("defense", scale={"domain": both, "range": SHAPES[:2]}, legend=legend),
    }
    joined = axes | {"detail": nominal("attack")}
    layers = [
        part("line", joined, rows, "!datum.seed", strokeWidth=1.5, color=INK),
        part("point", axes | looks, rows, "datum.seed", filled=True, size=14, opacity=0.45),
        part("point", axes | looks, rows, "!datum.seed", filled=True, size=70, opacity=1),
    ]
    return _sized(layers, order, SIDE)


def _changes(one: Comparison, judgement: Judgement, names: Sequence[str], order: Sequence[str]) -> Spec:
    """The other's removed share less the reference's, and the mean with its interval."""
    rows: list[Row] = [
        {"attack": name, "difference": 100 * pair.removed} for name, pair in zip(names, one.used, strict=True)
    ]
    title = f"{one.other} less {one.reference}, points"
    y = _attacks([*order, MEAN], labels=False)
    places = {"x": quantity("difference", title=title), "y": y}
    layers = [
        part("rule", {"x": quantity("zero")}, [{"zero": 0.0}], color=INK, strokeDash=[3, 3]),
        part("point", places, rows, filled=True, size=50, color=INK, opacity=1),
    ]
    mean: Row = {"attack": MEAN, "difference": 100 * judgement.mean}
    if judgement.interval is not None:
        span: Row = {**mean, "low": 100 * judgement.interval.low, "high": 100 * judgement.interval.high}
        ends = {"x": quantity("low", title=title), "x2": {"field": "high"}, "y": y}
        layers.append(part("rule", ends, [span], color=COLOURS[1], strokeWidth=3))
    diamond: Spec = {"filled": True, "size": 90, "shape": "diamond", "color": COLOURS[1], "opacity": 1}
    layers.append(part("point", places, [mean], **diamond))
    return _sized(layers, order, SIDE // 2)


def _sized(layers: Sequence[Spec], order: Sequence[str], width: int) -> Spec:
    return {"width": width, "height": ROW * (len(order) + 1), "layer": layers}


def _attacks(order: Sequence[str], labels: bool = True) -> Spec:
    axis = {"labels": labels, "ticks": False, "domain": False, "grid": True}
    return nominal("attack", title=None, scale={"domain": list(order)}, axis=axis)


def _name(one: Comparison, pair: Pair) -> str:
    """An attack's label, with what tells its board from the others where there are several."""
    if len(one.boards) < 2:
        return pair.attack
    telling = [part for at, part in enumerate(pair.board) if len({board[at] for board in one.boards}) > 1]
    return f"{pair.attack}, {', '.join(telling)}"
