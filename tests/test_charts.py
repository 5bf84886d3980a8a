"""Charts on planted cells whose points are known; as files they hold no script and ask nobody for anything."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from altair import TopLevelSpec
from conftest import ROOT, here, python
from jsonschema import ValidationError
from synthetic import synthetic, write

from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results.charts.cost_and_effect import cost_and_effect
from benchmark.results.charts.detection_curves import Curve, detection_curves, rocs
from benchmark.results.charts.files import spec, svg
from benchmark.results.charts.files import write as write_chart
from benchmark.results.charts.heat_map import heat_map
from benchmark.results.charts.look import Drawing, bare
from benchmark.results.charts.points import attacks, pareto
from benchmark.results.charts.success_over_rate import success_over_rate
from benchmark.results.charts.trade_off import trade_off
from benchmark.results.leaderboard import Cell, cells
from benchmark.results.site.cores import beside
from benchmark.results.site.legend import legend
from benchmark.results.site.renderer import renderer

INSTALLED = "DejaVu Sans Mono"  # comes with Debian's fontconfig, and so with Chromium
HOSTILE = '<script>alert("x")</script>&'


def three(attack: str, defense: str, asr: float, ca: float = 0.94, seeds: int = 3, **changes: Any) -> list[Record]:
    rates = {"defended": {"asr": asr, "ca": ca}}
    return [
        synthetic(attack, defense, seed, rates, **{"config__attack__rate": 0.05, **changes}) for seed in range(seeds)
    ]


def board() -> list[Cell]:
    """Two attacks, defenses of every standing; the first two are ranked."""
    records = three("Alpha", "Good", 0.1) + three("Alpha", "Better", 0.05, 0.93) + three("Beta", "Good", 0.4)
    records += three("Beta", "Better", 0.3, 0.92) + three("Alpha", "Collapsed", 0, 0.3)
    records += three("Alpha", "Degraded", 0, 0.88) + three("Beta", "Young", 0.2, seeds=2)
    records += three("Beta", "Oracle", 0.2, config__defense__oracle_target=1)
    weak = {"backdoored": {"asr": 0.3}, "defended": {"asr": 0.1}}
    records += [synthetic("Weak", "Good", seed, weak, config__attack__rate=0.05) for seed in range(3)]
    return cells(records)


@pytest.fixture(scope="module")
def found() -> list[Cell]:
    return board()


def texts(picture: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(picture).iter() if node.tag.endswith("text")]


def values(drawing: Drawing) -> list[list[dict[str, Any]]]:
    """All rows in a chart, by data set."""
    found = [part["data"]["values"] for part in (drawing.spec, *drawing.spec.get("layer", [])) if "data" in part]
    return [rows for at, rows in enumerate(found) if rows not in found[:at]]


# ---- what is drawn


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([(0.5, 0.5)], [0]),
        ([(0.1, 0.9), (0.2, 0.8)], [0]),  # better in both
        ([(0.2, 0.9), (0.1, 0.8), (0.3, 0.95), (0.3, 0.9)], [1, 0, 2]),
        ([(0.1, 0.9), (0.1, 0.8)], [0]),  # equal in one, better in the other
        ([(0.1, 0.9), (0.2, 0.9)], [0]),
        ([(0.1, 0.9), (0.1, 0.9), (0.05, 0.9)], [2]),
        ([(0.1, 0.9), (0.1, 0.9)], [0, 1]),  # equals do not beat each other
    ],
)
def test_the_front_is_what_no_other_beats(points: list[tuple[float, float]], front: list[int]) -> None:
    assert pareto(points) == front


def test_the_front_agrees_with_its_definition_on_a_grid() -> None:
    points = [((7 * at) % 11 / 10, (5 * at) % 13 / 10) for at in range(60)]

    def beaten(x: float, y: float) -> bool:
        return any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)

    assert sorted(pareto(points)) == [at for at, point in enumerate(points) if not beaten(*point)]


def test_attacks_are_in_order_of_their_numbers() -> None:
    found = cells([synthetic("A", config__attack__rate=rate) for rate in (0.1, 0.02)])
    assert attacks(found) == ["A 2 %", "A 10 %"]


def test_boards_are_never_pooled() -> None:
    records = three("Alpha", "Good", 0.1) + three("Alpha", "Good", 0.1, config__recipe__epochs=99)
    with pytest.raises(ValueError, match="2 boards"):
        heat_map(cells(records))


def test_nothing_to_draw_is_none() -> None:
    undefended = cells(
        [synthetic(defense="NoDefense", methods__defense={"name": "NoDefense", "family": "none", "needs": []})]
    )
    assert undefended[0].status == "no defense"
    for chart in (heat_map, trade_off, cost_and_effect, success_over_rate):
        assert chart([]) is None and chart(undefended) is None
    assert detection_curves([]) is None


def test_the_heat_map_has_every_number_and_names_what_is_not_ranked(found: list[Cell]) -> None:
    chart = heat_map(found)
    assert chart is not None
    shown = texts(svg(chart))
    assert {"90", "95", "60", "70"} <= set(shown)  # removed by Good and Better from Alpha and Beta
    assert {"collapsed", "degraded", "preliminary", "oracle", "failed"} <= set(shown)
    assert chart.words == (
        "Removed share of 3 attacks by 6 defenses: from 60.0 % (Good on Beta 5 %) to 95.0 % (Better on Alpha 5 %) "
        "in 4 ranked cells; not ranked: 1 attack failed, 1 collapsed, 1 degraded, 1 oracle, 1 preliminary."
    )


def test_the_trade_off_numbers_its_front(found: list[Cell]) -> None:
    """Good on Alpha is as accurate as Good on Beta and safer; Better on Alpha is safer still."""
    chart = trade_off(found)
    assert chart is not None
    shown = "".join(texts(svg(chart)))
    assert "1: Better on Alpha 5 %" in shown and "2: Good on Alpha 5 %" in shown
    assert chart.words.endswith(
        "No ranked one beats Better on Alpha 5 % (accuracy 93.0 %, attack success 5.0 %); "
        "Good on Alpha 5 % (accuracy 94.0 %, attack success 10.0 %)."
    )
    assert "On the lower edge: 1 less accurate." in shown  # the collapsed one


def test_numbers_that_would_overlap_are_one() -> None:
    """Three points within a point of percent, two far away, and more of them than are listed."""
    near = [("A", 0.100, 0.900), ("B", 0.105, 0.902), ("C", 0.109, 0.905), ("D", 0.4, 0.93), ("E", 0.402, 0.99)]
    chart = trade_off(cells([record for attack, *rates in near for record in three(attack, "Good", *rates)]))
    assert chart is not None
    (numbers,) = [rows for rows in values(chart) if "name" in rows[0]]
    assert [(row["name"], round(row["x"], 3)) for row in numbers] == [("1-3", 0.109), ("4", 0.4), ("5", 0.402)]
    many = [(f"A{at}", 0.05 * at, 0.9 + 0.005 * at) for at in range(1, 11)]
    chart = trade_off(cells([record for attack, *rates in many for record in three(attack, "Good", *rates)]))
    assert chart is not None
    shown = texts(svg(chart))
    assert {"1", "8"} <= set(shown) and "9" not in shown and "and 2 more" in "".join(shown)


def test_cost_and_effect_shows_standings_and_prices() -> None:
    slow = {"costs__defended": {"seconds": 20.0, "cpu_seconds": 20.0, "peak_memory": 1}}
    fast = {"costs__defended": {"seconds": 2.0, "cpu_seconds": 2.0, "peak_memory": 1}}
    records = three("Alpha", "Fast", 0.5, **fast) + three("Alpha", "Slow", 0.1, **slow)
    chart = cost_and_effect(cells(records))
    assert chart is not None and chart.words == "2 cells. Mean share removed: Fast 50.0 %, Slow 90.0 %."
    (named,) = [rows for rows in values(chart) if "name" in rows[0]]
    assert {row["name"]: (row["x"], row["y"]) for row in named} == {
        "Fast": (pytest.approx(2), pytest.approx(0.5)),
        "Slow": (pytest.approx(20), pytest.approx(0.9)),
    }
    by_accuracy = cost_and_effect(cells(records), "accuracy")
    assert by_accuracy is not None and {row["x"] for rows in values(by_accuracy) for row in rows} == {0}


def test_what_others_reported_is_drawn_and_neither_ranked_nor_on_the_front() -> None:
    """It removes all of the attack at no price, so as a ranked one it would be the only one on the front."""
    records = three("Alpha", "Good", 0.1) + three("Alpha", "Theirs", 0.0, 0.95)
    found = cells(records, {records[-1].key: "reported"})
    effect, front, cost = heat_map(found), trade_off(found), cost_and_effect(found)
    assert effect is not None and front is not None and cost is not None
    assert {"90", "100", "reported"} <= set(texts(svg(effect)))
    assert "(Good on Alpha 5 %) in 1 ranked cell; not ranked: 1 reported." in effect.words
    assert front.words.endswith("No ranked one beats Good on Alpha 5 % (accuracy 94.0 %, attack success 10.0 %).")
    assert cost.words == "2 cells; not ranked: 1 reported. Mean share removed: Good 90.0 %."


def test_detection_shows_every_seed_and_what_is_found_at_few_alarms() -> None:
    curve = [(0.0, 0.0), (0.0, 0.4), (0.04, 0.6), (0.5, 0.9), (1.0, 1.0)]
    records = three("Alpha", "Finds", 0.1, evidence__roc={"rows": curve})
    curves = rocs(cells([*records, *three("Alpha", "Blind", 0.1, evidence__roc={"rows": []})]))
    assert [(one.detector, one.seed) for one in curves] == [("Finds", seed) for seed in range(3)]
    for log in (False, True):
        chart = detection_curves(curves, log)
        assert chart is not None and "Finds 60.0 %" in chart.words
    (drawn,) = [rows for rows in values(chart) if "curve" in rows[0]]
    assert [(row["x"], row["y"]) for row in drawn[:3]] == [(0.001, 0.4), (0.04, 0.6), (0.5, 0.9)]
    assert texts(svg(chart)).count("Finds") == 1  # one name for its three lines


@pytest.mark.parametrize(
    ("detectors", "attacks", "words", "legend"),
    [
        (("One", "Two"), ("A",), "6 curves of 2 detectors on A 5 %. ", {"detector", "One", "Two"}),
        (("One",), ("A", "B"), "6 curves of 1 detector on 2 attacks. ", {"attack", "A 5 %", "B 5 %"}),
        (("One", "Two"), ("A", "B"), "12 curves of 2 detectors on 2 attacks. ", {"detector on attack", "Two on B 5 %"}),
    ],
)
def test_detectors_and_attacks_are_counted_each_once(
    detectors: tuple[str, ...], attacks: tuple[str, ...], words: str, legend: set[str]
) -> None:
    """What has no curve, as a repair on a third attack, is in no count and no name."""
    roc = {"evidence__roc": {"rows": [(0.0, 0.0), (1.0, 1.0)]}}
    records = [record for name in detectors for attack in attacks for record in three(attack, name, 0.1, **roc)]
    chart = detection_curves(rocs(cells([*records, *three("Gamma", "Repair", 0.1)])))
    assert chart is not None and chart.words.startswith(words) and legend <= set(texts(svg(chart)))


def test_success_over_rate_has_a_dot_for_every_seed() -> None:
    records = []
    for rate, backdoored in ((0.01, 0.6), (0.1, 1.0)):
        for seed in range(3):
            asr = {"backdoored": {"asr": backdoored}, "defended": {"asr": backdoored / 2 + seed / 100}}
            records.append(synthetic("Alpha", "Half", seed, asr, config__attack__rate=rate))
    chart = success_over_rate(cells([*records, *three("OneRate", "Half", 0.3)]))
    assert chart is not None
    (rows,) = values(chart)
    dots = [(row["rate"], row["asr"]) for row in rows if row["defense"] == "Half"]
    assert sorted(dots) == [(0.01, 0.3), (0.01, 0.31), (0.01, 0.32), (0.1, 0.5), (0.1, 0.51), (0.1, 0.52)]
    assert {row["attack"] for row in rows} == {"Alpha"}
    assert chart.words.endswith("Without a defense: Alpha 60.0 % at 1 %, 100.0 % at 10 %.")


def legends(drawing: Drawing) -> list[dict[str, tuple[str, str]]]:
    """Family -> colour and shape, as each part of a chart that has families says."""
    parts = [part["encoding"] for part in drawing.spec["layer"] if "shape" in part.get("encoding", {})]
    scales = [(encoding["color"]["scale"], encoding["shape"]["scale"]) for encoding in parts]
    return [
        dict(zip(colour["domain"], zip(colour["range"], shape["range"], strict=True), strict=True))
        for colour, shape in scales
    ]


def test_a_legend_has_the_families_that_are_drawn_and_each_keeps_its_look() -> None:
    """A filter, a repair and an outsider's family are ranked; of model detectors there is a grey point alone."""

    def family(name: str) -> dict[str, Any]:
        return {"methods__defense": {"name": name, "family": name, "needs": []}}

    kinds = {"Tuned": "repair", "Sieve": "filter", "Odd": "ritual"}
    records = {name: three("Alpha", name, 0.1, **family(kind)) for name, kind in kinds.items()}
    grey = three("Alpha", "Judge", 0.1, seeds=1, **family("model detector"))
    looks: dict[str, set[tuple[str, str]]] = {}
    for drawn in (("Tuned", "Sieve", "Odd"), ("Sieve",), ("Odd", "Tuned")):
        found = cells([*grey, *(record for name in drawn for record in records[name])])
        for chart in (trade_off(found), cost_and_effect(found)):
            assert chart is not None
            wanted = {kinds[name] for name in drawn}
            shown = set(texts(svg(chart)))
            assert shown & {*kinds.values(), "input detector", "model detector", "training"} == wanted
            for told in legends(chart):
                assert set(told) == wanted
                for name, look in told.items():
                    looks.setdefault(name, set()).add(look)
    assert all(len(each) == 1 for each in looks.values()) and len(set.union(*looks.values())) == 3
    alone = trade_off(cells(grey))
    assert alone is not None and alone.words.endswith("1 preliminary. None is ranked.")
    assert alone is not None and "model detector" not in texts(svg(alone)), "nothing is ranked"


def test_a_bare_chart_leaves_heading_and_legend_to_the_page(found: list[Cell]) -> None:
    """The page's list has the marks that the chart's own legend has; a hostile name in it is text."""
    rates = cells([record for rate in (0.01, 0.1) for record in three("A", HOSTILE, 0.1, config__attack__rate=rate)])
    for drawing in (trade_off(found), success_over_rate(rates)):
        assert drawing is not None and drawing.keys
        whole, left = texts(svg(drawing)), texts(svg(bare(drawing)))
        beside = {drawing.title, *(key.label for key in drawing.keys)}
        assert beside <= set(whole) and not beside & set(left)
        listed = ET.fromstring(legend(drawing.keys))
        assert [item.text is None and (item[0].tail or "").strip() for item in listed] == [
            k.label for k in drawing.keys
        ]
    assert "currentColor" in legend(drawing.keys) and "<script" not in legend(drawing.keys)
    assert legend([]) == ""


# ---- as files


def shapes(picture: str) -> list[tuple[str, dict[str, str], str | None]]:
    """All that is drawn, in order; the renderer's numbers for names differ from picture to picture."""
    kept = {"d", "transform", "fill", "stroke", "x2", "y2", "stroke-dasharray", "opacity", "width", "height"}
    tags = [(node.tag, node.attrib, node.text) for node in ET.fromstring(picture).iter()]
    return [
        (tag, {k: v for k, v in attributes.items() if k in kept and "url(" not in v}, text)
        for tag, attributes, text in tags
    ]


def test_charts_are_what_the_schema_knows(found: list[Cell]) -> None:
    """Vega-Lite's own, as Altair ships it; the renderer would pass over an option that it does not know."""
    curve = [Curve("Finds", "Alpha", 0, [(0.0, 0.0), (1.0, 1.0)])]
    rates = cells([record for rate in (0.01, 0.1) for record in three("A", "B", 0.1, config__attack__rate=rate)])
    made = [heat_map(found), trade_off(found), cost_and_effect(found), cost_and_effect(found, "accuracy")]
    made += [success_over_rate(rates), detection_curves(curve), detection_curves(curve, log=True)]
    for drawing in made:
        assert drawing is not None
        for each in (drawing, bare(drawing)):
            TopLevelSpec.from_dict(spec(each))
            at_once = vl_convert.vegalite_to_svg(spec(each))
            assert shapes(svg(each)) == shapes(at_once), "compiled without its rows, and drawn with them"
    with pytest.raises(ValidationError):
        TopLevelSpec.from_dict({**spec(drawing), "layr": []})


def test_a_picture_asks_nobody_and_runs_nothing(found: list[Cell]) -> None:
    hostile = cells(three(HOSTILE, "Good", 0.1) + three("Alpha", HOSTILE, 0.2))
    for chart in (heat_map(found), heat_map(hostile), trade_off(hostile)):
        assert chart is not None
        picture = svg(chart)
        tags = {node.tag.rpartition("}")[2] for node in ET.fromstring(picture).iter()}
        assert tags <= {
            "svg",
            "g",
            "path",
            "text",
            "tspan",
            "line",
            "rect",
            "defs",
            "linearGradient",
            "stop",
            "clipPath",
        }
        addresses = set(re.findall(r"https?:[^\"' <]+", picture))
        assert addresses <= {"http://www.w3.org/2000/svg"} and "href" not in picture and "<style" not in picture
        assert not re.search(r"\s(style|class|on\w+)=", picture.partition(">")[2].replace('font-style="italic"', ""))


def test_a_picture_has_words_and_names_of_its_own(found: list[Cell]) -> None:
    chart = heat_map(found)
    assert chart is not None
    root = ET.fromstring(svg(chart))
    assert root.get("role") == "img" and root.get("aria-label") == chart.words
    assert svg(chart) == svg(chart), "the same whenever it is drawn"
    named = set(re.findall(r'\bid="([^"]+)"', svg(chart)))
    assert named and named == set(re.findall(r"url\(#([^)]+)\)", svg(chart)))
    other = heat_map(found[:3])
    assert other is not None and not named & set(re.findall(r'\bid="([^"]+)"', svg(other)))


@pytest.mark.parametrize(("suffix", "begins"), [(".svg", b"<svg"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF")])
def test_the_suffix_says_what_is_written(found: list[Cell], tmp_path: Path, suffix: str, begins: bytes) -> None:
    chart = cost_and_effect(found)
    assert chart is not None
    write_chart(chart, tmp_path / f"chart{suffix}")
    assert (tmp_path / f"chart{suffix}").read_bytes().startswith(begins)


def test_a_place_where_no_picture_can_be_is_bad_input(found: list[Cell], tmp_path: Path) -> None:
    chart = cost_and_effect(found)
    assert chart is not None
    with pytest.raises(BadInput, match=r"one of \.svg, \.png, \.pdf"):
        write_chart(chart, tmp_path / "chart.gif")
    (tmp_path / "taken.svg").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        write_chart(chart, tmp_path / "taken.svg")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written there"):
        write_chart(chart, tmp_path / "file" / "chart.svg")


def test_the_script_draws_a_slice_and_says_what_it_shows(tmp_path: Path) -> None:
    write(iter(three("Alpha", "Good", 0.1) + three("Beta", "Good", 0.4)), tmp_path / "records")
    out = tmp_path / "figure.svg"
    done = python("scripts/figure.py", "heat_map", str(out), f"--records={tmp_path}/records", "--attack", "beta")
    assert done.returncode == 0, done.stderr
    assert "Removed share of 1 attack by 1 defense: from 60.0 %" in done.stdout and out.read_text().startswith("<svg")


def test_the_script_finds_the_curves(tmp_path: Path) -> None:
    write(
        iter(three("Alpha", "Finds", 0.1, evidence__roc={"inputs separation": [(0, 0), (0.02, 0.7), (1, 1)]})), tmp_path
    )
    done = here("scripts/figure.py", "detection_curves", str(tmp_path / "a.svg"), f"--records={tmp_path}", "--log")
    assert (
        "3 curves of 1 detector on Alpha 5 %. Found at 5 % false positives, mean over their curves: Finds 70.0 %"
        in done.stdout
    )


def test_the_script_names_a_mistake_in_one_line(tmp_path: Path) -> None:
    write(iter(three("Alpha", "Good", 0.1) + three("Alpha", "Good", 0.1, config__recipe__epochs=9)), tmp_path)
    done = here("scripts/figure.py", "trade_off", str(tmp_path / "a.svg"), f"--records={tmp_path}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "2 boards are never drawn as one" in done.stderr
    narrowed = ("success_over_rate", str(tmp_path / "a.svg"), f"--records={tmp_path}", "--recipe", "*epochs=9")
    assert "nothing to draw in 1 cell (" in here("scripts/figure.py", *narrowed).stderr


def test_a_process_beside_one_that_has_drawn_draws_the_same_words(found: list[Cell]) -> None:
    drawing = trade_off(found)
    assert drawing is not None
    made = texts(svg(bare(drawing)))
    with beside(renderer) as draw:
        assert made and texts(draw(bare(drawing))) == made


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the renderer always looks for fonts")
def test_a_page_measures_with_no_font_of_the_machine() -> None:
    """One of the machine's is as wide as one that is nowhere; whether the machine has it, its letters are not asked."""
    named = [Drawing({"data": {"values": [{}]}, "mark": written(font)}, "", (), "") for font in (INSTALLED, "Nowhere")]
    with beside(renderer) as draw:
        wide, other = (ET.fromstring(draw(drawing)).get("width") for drawing in named)
    assert wide == other


def written(font: str) -> dict[str, Any]:
    return {"type": "text", "text": "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWiiiiiiiiiiiiiiiiiiii", "font": font}


# ---- what it costs those who draw nothing


def test_only_what_writes_charts_imports_the_renderer() -> None:
    """It starts threads, which no process that a page's build forks may have."""
    sources = [path for folder in ("benchmark", "baselines", "hydra_plugins") for path in (ROOT / folder).rglob("*.py")]
    users = [str(path.relative_to(ROOT)) for path in sources if re.search(r"\b(altair|vl_convert)\b", path.read_text())]
    assert users == ["benchmark/results/charts/files.py"]
    code = "import sys, benchmark.results.site.build; print('vl_convert' in sys.modules)"
    assert python("-c", code).stdout.strip() == "False"
