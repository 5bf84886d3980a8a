"""What cells' pages are made of, without a browser: drawings with their words, and how far records are trusted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic import synthetic

from benchmark.record import Record
from benchmark.results.leaderboard import cells
from benchmark.results.marks import Standing
from benchmark.results.site import boards
from benchmark.results.site.cells import page
from benchmark.results.site.detectors import detectors
from benchmark.results.site.drawings import curve, histogram, roc
from benchmark.results.site.figures import Figures
from benchmark.results.site.heat import heat_map
from benchmark.results.site.pictures import Pictures


def test_drawings_have_known_paths() -> None:
    drawn = roc("<b>", [[(0, 0), (0.5, 1), (1, 1)], []], 0.75)
    assert 'd="M0,0L0.5,1L1,1"' in drawn and 'aria-label="ROC, &lt;b&gt;: AUROC 0.750"' in drawn
    assert "ROC</figcaption>" in roc("x", [[(0, 0)]], None) and roc("x", [[]], 0.5) == ""
    drawn = histogram("<b>", {"edges": [0, 1, 2], "positives": [1, 2], "negatives": [0, 0]})
    assert '<path class="negative" d=""/>' in drawn
    assert 'class="positive" transform="matrix(80 0 0 -40 0 80)" d="M0 0V1h1V2h1V0Z"' in drawn
    assert 'd=""' in histogram("x", {"edges": [0, 1, 2], "positives": [5e-324, 0]})
    assert "&lt;b&gt;: suspicion from 0 to 2" in drawn and histogram("x", {"edges": [0.0]}) == ""
    drawn = curve("<b>", [1, 3, 2])
    assert 'd="M0 80L80 0L160 40"' in drawn and "&lt;b&gt;: 3 values from 1 to 2, between 1 and 3" in drawn
    assert curve("x", [1]) == ""
    for drawn in (curve("x", [0, 5e-324, 0]), histogram("x", {"edges": [0, 1, 2], "positives": [1e308, 1e307]})):
        assert 'd="M' in drawn and "nan" not in drawn and "inf" not in drawn, "no number is too small or too large"


def test_a_heat_map_has_every_number_and_leads_to_the_cells() -> None:
    """All gains are 100 points, and the control obeys on 10 %."""
    left = {"<i>": (0.1, 0.3), "Bad": (0.6, 1.0)}
    records = [
        synthetic(attack, defense, seed, {"defended": {"asr": asr}, "control": {"asr": 0.1}})
        for defense, rates in left.items()
        for attack, asr in zip(("Alpha", "Beta"), rates, strict=True)
        for seed in range(3)
    ]
    found = cells([*records, synthetic("Alpha", "Rare")])
    drawn = heat_map(found, "../")
    rows = [re.findall(r"<td.*?</td>", row) for row in re.findall(r"<tr>.*?</tr>", drawn)[2:]]
    shown = [[re.sub("<[^>]+>", " ", square).split() for square in row] for row in rows]
    assert shown == [[["100"], ["50"], ["0", "preliminary"]], [["80"], ["10"], []]]
    for square, kind in zip(rows[0], ("step10", "step5", "unranked"), strict=True):
        assert f'class="{kind}"' in square
    for cell in found:
        assert f'href="../cells/{Figures(cell).slug}.html"' in drawn
    assert "<span>&lt;i&gt;</span>" in drawn and "<i>" not in drawn
    assert "from 10.0 % (Bad on Beta 5 %) to 100.0 % (&lt;i&gt; on Alpha 5 %) in 4 ranked cells" in drawn
    assert heat_map([], "") == ""


@pytest.mark.parametrize(("most", "drawn"), [(5, "AABBB"), (4, "BBB"), (3, "BBB"), (2, "BB")])
def test_a_board_draws_the_attacks_that_most_met(most: int, drawn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "MOST", most)
    met = {"A": ("Ft", "Fp"), "B": ("Ft", "Fp", "Nc")}
    found = cells([synthetic(attack, defense) for attack, defenses in met.items() for defense in defenses])
    shown = boards.fitting(boards.Board(found[0].board, found))
    assert "".join(cell.label["attack"][0] for cell in shown) == drawn


def test_detectors_are_shown_on_the_attack_that_most_of_them_met() -> None:
    """Each with all its seeds, the largest mean area first; what detects nothing is left out."""
    met = [("Alpha", "Weak", 0.6), ("Alpha", "<i>", 0.9), ("Beta", "<i>", 0.99), ("Alpha", "Repair", None)]
    records = [looking(attack, name, seed, area) for attack, name, area in met for seed in range(2)]
    found = cells(records)
    evidence = {r.key: r.evidence for r in records if r.evidence is not None}
    drawn = detectors(found, lambda keys: {key: evidence[key] for key in keys}, "../")
    assert re.findall(r"<a [^>]*>(.*?)</a>, AUROC ([0-9.]+)", drawn) == [("&lt;i&gt;", "0.900"), ("Weak", "0.600")]
    assert drawn.count('d="M0.0,0.0L0.1,0.9L1.0,1.0"') == 2 and drawn.count("L0.1,0.6L") == 2, "a line a seed"
    assert "On Alpha 5 %" in drawn and "<i>" not in drawn
    for cell in found:
        met_by_most = cell.label["attack"] == "Alpha 5 %" and cell.label["defense"] != "Repair"
        assert (f'href="../cells/{Figures(cell).slug}.html"' in drawn) == met_by_most
    assert detectors(found, lambda keys: {}, "../") == "", "areas without curves"
    assert detectors([cell for cell in found if cell.label["defense"] == "Repair"], lambda keys: {}, "../") == ""


def looking(attack: str, name: str, seed: int, area: float | None) -> Record:
    """A filter's record with an area under its curve, or one that looks at nothing."""
    apart = {"auroc": area, "tpr_at_1": None, "tpr_at_5": None, "positives": 1, "negatives": 1}
    rows = {"separation": apart, "within_target": apart}
    rows |= dict.fromkeys(("precision", "recall", "false_flags", "control_flags"))
    told = {"rows": rows, "inputs": None, "model": None} if area else None
    curve = [(0, 0), (0.1, area), (1, 1)] if area else []
    return synthetic(attack, name, seed, detection=told, evidence__roc={"rows": curve})


def test_a_cell_says_how_far_its_records_are_trusted(tmp_path: Path) -> None:
    records = [synthetic(seed=seed) for seed in range(3)]
    marked: tuple[tuple[Standing, str], ...] = (("reported", "not run again"), ("not reproduced", "something else"))
    for standing, words in marked:
        (cell,) = cells(records, {records[0].key: standing})
        shown = page(Figures(cell), {}, Pictures(tmp_path))
        assert words in shown["meaning"] and shown["standing"] is None, "said once"
    costly = [synthetic(seed=seed, rates={"defended": {"ca": 0.8}}) for seed in range(3)]
    (cell,) = cells(costly, {costly[0].key: "reported"})
    shown = page(Figures(cell), {}, Pictures(tmp_path))
    assert "clean accuracy lost" in shown["meaning"] and "not run again" in shown["standing"]
