"""What cells' pages are made of, without a browser: drawings with their words, and how far records are trusted."""

from __future__ import annotations

from synthetic import synthetic

from benchmark.results.leaderboard import cells
from benchmark.results.marks import Standing
from benchmark.results.site.cells import page
from benchmark.results.site.drawings import curve, histogram, roc
from benchmark.results.site.figures import Figures


def test_drawings_have_known_paths() -> None:
    drawn = roc("<b>", [(0, 0), (0.5, 1), (1, 1)], 0.75)
    assert 'd="M0 0L0.5 1L1 1"' in drawn and 'aria-label="ROC, &lt;b&gt;: AUROC 0.750"' in drawn
    assert "ROC</figcaption>" in roc("x", [(0, 0)], None) and roc("x", [], 0.5) == ""
    drawn = histogram("<b>", {"edges": [0, 1, 2], "positives": [1, 2], "negatives": [0, 0]})
    assert 'class="negative" d=""' in drawn and 'class="positive" d="M0 80V40h80V0h80V80Z"' in drawn
    assert "&lt;b&gt;: suspicion from 0 to 2" in drawn and histogram("x", {"edges": [0.0]}) == ""
    drawn = curve("<b>", [1, 3, 2])
    assert 'd="M0 80L80 0L160 40"' in drawn and "&lt;b&gt;: 3 values from 1 to 2, between 1 and 3" in drawn
    assert curve("x", [1]) == ""
    for drawn in (curve("x", [0, 5e-324, 0]), histogram("x", {"edges": [0, 1, 2], "positives": [1e308, 1e307]})):
        assert 'd="M' in drawn and "nan" not in drawn and "inf" not in drawn, "no number is too small or too large"


def test_a_cell_says_how_far_its_records_are_trusted() -> None:
    records = [synthetic(seed=seed) for seed in range(3)]
    marked: tuple[tuple[Standing, str], ...] = (("reported", "not run again"), ("not reproduced", "something else"))
    for standing, words in marked:
        (cell,) = cells(records, {records[0].key: standing})
        shown = page(Figures(cell), {})
        assert words in shown["meaning"] and shown["standing"] is None, "said once"
    costly = [synthetic(seed=seed, rates={"defended": {"ca": 0.8}}) for seed in range(3)]
    (cell,) = cells(costly, {costly[0].key: "reported"})
    shown = page(Figures(cell), {})
    assert "clean accuracy lost" in shown["meaning"] and "not run again" in shown["standing"]
