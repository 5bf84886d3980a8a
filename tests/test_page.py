"""The pages in a real browser: they sort, filter and lead on, ask nobody, and show whatever records say as text."""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from synthetic import synthetic, write

from benchmark.errors import BadInput
from benchmark.record import Record

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("altair")
api = pytest.importorskip("playwright.sync_api")

from benchmark.results.site.build import build  # noqa: E402
from benchmark.results.site.drawings import histogram, line, picture, roc  # noqa: E402
from benchmark.results.site.templating import embedded  # noqa: E402

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
PATIENCE = 120_000  # milliseconds; a machine may be busy
EVIL = """"><script>window.hacked = 1</script></script>'<img src=x onerror="window.hacked = 1">&lt;b&gt;"""
FAKES = ("data:text/html;base64,PHNjcmlwdD4=", 'data:image/png;base64,AAAA" onerror="window.hacked = 1', EVIL)
RATES = {  # defense -> seed -> attack success that is left
    "FineTuning": (0.9, 1.0, 0.8),
    "FinePruning": (0.5, 0.25, 0.0),
    "NeuralCleanse": (0.1, 0.0, 0.2),
}


def planted() -> Iterator[Record]:
    """Two attacks, one at two rates, met by three defenses, over three seeds; and one attack that failed."""
    for attack, rate in (("BadNets", 0.05), ("BadNets", 0.1), ("Blended", 0.05)):
        for defense, left in RATES.items():
            for seed, asr in enumerate(left):
                rates = {"defended": {"asr": asr, "ra": 0.7}, "control": {"asr": 0.01}}
                yield synthetic(attack, defense, seed, rates, config__attack__rate=rate)
    yield synthetic("Sig", rates={"backdoored": {"asr": 0.2}})


def hostile() -> Record:
    """A record with markup in every text that may hold any."""
    content = json.loads(synthetic("BadNets", "FineTuning").to_json())
    evidence, free = content["evidence"], ("config", "identity", "probes", "costs", "curves", "weights", "provenance")
    content |= {part: poisoned(content[part]) for part in free}
    content["config"]["attack"]["rate"] = EVIL
    content["methods"] = {
        "attack": {"name": f"../../{EVIL}", "ships": "data", "needs": [EVIL]},
        "defense": {"name": EVIL, "family": EVIL, "needs": [EVIL]},
    }
    content["probes"] = {EVIL: {"defended": {"hits": 1, "n": 2}}}
    evidence["clean_inputs"], evidence["triggered_inputs"] = FAKES[:2]
    evidence["pictures"] = {f"{EVIL}{at}": uri for at, uri in enumerate(FAKES)}
    evidence["curves"] = {EVIL: [1.0, 2.0, -1e308]}
    evidence["roc"] = {EVIL: [(0.0, 0.0), (7.0, -3.0)]}
    evidence["histograms"] = {EVIL: {EVIL: [1.0], "edges": [0.0, 1.0], "positives": [-1.0]}}
    content["key"] = "f" * 64
    return Record.model_validate_json(json.dumps(content))


def poisoned(value: Any) -> Any:
    """The same tree with markup instead of every text."""
    if isinstance(value, dict):
        return {name: poisoned(item) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return EVIL if isinstance(value, str) else value


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    write(planted(), folder)
    write(iter([hostile()]), folder)
    return folder


@pytest.fixture(scope="module")
def site(records: Path) -> Path:
    folder = records.parent / "site"
    assert build(records, folder) == 11
    return folder


class Watched:
    """A tab, and what it did that it should not."""

    def __init__(self, context: Any) -> None:
        self.faults: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda message: self.faults.append(f"console {message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self.asked)
        self.page.on("dialog", lambda dialog: self.faults.append("dialog"))

    def asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.faults.append(f"request: {request.url}")

    def open(self, path: Path, anchor: str = "") -> Any:
        self.page.goto(path.as_uri() + anchor)
        return self.page

    def column(self, title: str) -> list[str]:
        """What the shown rows say under a head of the lower row, the first of that name."""
        script = """title => {
            const heads = [...document.querySelectorAll("#table thead tr:last-child th")];
            const at = heads.findIndex(head => head.textContent === title);
            return [...document.querySelectorAll("#table tbody tr")].map(row => row.cells[at].innerText);
        }"""
        found: list[str] = self.page.evaluate(script, title)
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: as root, apt-get install chromium, or make test, which does")
    with api.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET, timeout=PATIENCE)
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    watched = Watched(context)
    yield watched
    context.close()
    assert watched.faults == []


def test_a_head_sorts_by_pointer_and_by_enter(tab: Watched, site: Path) -> None:
    page = tab.open(site / "index.html")
    removed = page.locator("#table thead tr:last-child th", has_text="removed")
    removed.click()
    shown = [float(text) for text in tab.column("removed") if text != "-"]
    assert len(shown) >= 10 and shown == sorted(shown, reverse=True)
    removed.locator("[role=button]").focus()
    page.keyboard.press("Enter")
    assert [float(text) for text in tab.column("removed") if text != "-"] == sorted(shown)


def test_filters_work_by_keyboard_and_stay_in_the_address(tab: Watched, site: Path) -> None:
    page = tab.open(site / "index.html")
    select = page.locator("#facet-defense")
    select.focus()
    page.keyboard.press("ArrowDown")
    assert [text.split()[0] for text in tab.column("Defense")] == ["FinePruning"] * 3
    assert page.locator("#shown").inner_text() == "3 of 11 cells" and "defense=FinePruning" in page.url
    page.locator("#facet-rate").select_option("10")
    assert tab.column("Rate") == ["10"]
    page.reload()
    assert tab.column("Rate") == ["10"], "the address tells the filters"
    page.get_by_role("button", name="Clear filters").click()
    assert len(tab.column("Rate")) == 11
    page.get_by_label("Search").fill("blended")
    page.locator("#shown", has_text="3 of").wait_for()
    assert {text.split()[0] for text in tab.column("Attack")} == {"Blended"}


def test_a_row_leads_to_its_cell_and_on(tab: Watched, site: Path) -> None:
    page = tab.open(site / "index.html", "#attack=Blended&defense=FinePruning")
    page.locator("#table tbody a").click()
    assert page.locator("h1").inner_text() == "FinePruning against Blended 5 %"
    text = page.locator("main").inner_text()
    assert "50.0 [46.9, 53.1] 500/1000" in " ".join(text.split()), "an interval beside its counts"
    assert "python scripts/run.py" in text and "attack.rate" not in text.partition("Settings")[2]
    assert page.locator("img[alt='Clean test inputs']").count() == 3
    page.locator("a[rel=next]").click()
    assert "against" in page.locator("h1").inner_text()
    page.get_by_role("link", name="Blended", exact=True).click()
    words = page.locator("main").inner_text()
    assert page.locator("h1").inner_text() == "Blended" and "Args:" in words and "Options of blended" in words
    page.get_by_role("link", name="Postern").click()
    page.locator("ul.cards a").first.click()
    assert page.locator("figure.chart img").count() >= 3
    for image in page.locator("figure.chart img").all():
        image.scroll_into_view_if_needed()
        assert len(image.get_attribute("alt") or "") > 20
        image.evaluate("image => image.decode()")  # fails where it is no picture


def test_numbers_are_those_of_the_records(tab: Watched, site: Path, records: Path) -> None:
    """Read again without the project: means of hits / n, and what is left of the gain beyond the control."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for path in records.rglob("*.json"):
        run = json.loads(path.read_text())
        attack, defense = run["methods"]["attack"]["name"], run["methods"]["defense"]["name"]
        if path.stem != "f" * 64:
            groups[attack, f"{100 * run['config']['attack']['rate']:g}", defense].append(run["scores"])
    wanted = set()
    for names, runs in groups.items():

        def mean(victim: str, score: str, runs: list[dict[str, Any]] = runs) -> float:
            return fmean(run[victim][score]["hits"] / run[victim][score]["n"] for run in runs)

        left = max(0, mean("defended", "asr") - mean("control", "asr"))
        removed = 1 - left / (mean("backdoored", "asr") - mean("clean", "asr"))
        after = f"{100 * mean('defended', 'ra'):.1f}"
        wanted.add((*names, f"{100 * mean('clean', 'ca'):.1f}", after, f"{100 * removed:.1f}", str(len(runs))))
    page = tab.open(site / "index.html")
    page.locator("#facet-status").wait_for()
    columns = [tab.column(title) for title in ("Attack", "Rate", "Defense", "clean", "removed", "Seeds")]
    robust = page.evaluate(
        """() => [...document.querySelectorAll("#table tbody tr")].map(row => row.cells[11].innerText)"""
    )
    shown = {
        (attack.split()[0], rate, defense.split()[0], clean, ra, removed, seeds)
        for (attack, rate, defense, clean, removed, seeds), ra in zip(zip(*columns, strict=True), robust, strict=True)
        if "hacked" not in attack
    }
    assert shown == wanted
    assert "attack failed" in tab.column("Status"), "shown, and not ranked"


def test_a_hostile_record_is_text(tab: Watched, site: Path) -> None:
    pages = [
        site / "index.html",
        *(path for folder in ("cells", "methods", "boards") for path in (site / folder).iterdir()),
    ]
    evil = [path for path in pages if "window.hacked" in path.read_text(errors="replace")]
    assert {path.parent.name for path in evil} >= {"cells", "methods", "boards"} and len(evil) >= 5
    for path in evil:
        page = tab.open(path)
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("img[onerror], script:not([src]):not([type='application/json'])").count() == 0
        sources = page.locator("main img").evaluate_all("images => images.map(image => image.getAttribute('src'))")
        assert all(
            re.fullmatch(r"(data:image/png;base64,[A-Za-z0-9+/=]+|(\.\./)?charts/[\w.-]+)", one) for one in sources
        )
    page = tab.open(site / "index.html")
    page.get_by_label("Search").fill("window.hacked")
    page.locator("#shown", has_text="1 of").wait_for()
    for box in page.locator("#columns input").all():
        box.evaluate("box => { if (!box.checked) box.click(); }")
    assert "<script>" in page.locator("#table tbody").inner_text()
    assert page.evaluate("window.hacked") is None


class Policies(HTMLParser):
    """What a page's policy is, and what it holds that a policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if held.get("http-equiv") == "Content-Security-Policy":
            self.found.append(held["content"] or "")
        self.wrong += [f"{tag} {name}" for name in held if name == "style" or name.startswith("on")]


def test_every_page_has_a_strict_policy(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for path in pages:
        parser = Policies()
        parser.feed(path.read_text())
        (policy,) = parser.found
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
        assert ("script-src 'self'" in policy) == (path.name == "index.html") and parser.wrong == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_only(browser: Any, site: Path, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    watched = Watched(context)
    chosen = [next((site / folder).iterdir()) for folder in ("cells", "methods", "boards")]
    for path in (site / "index.html", *chosen, *(p for p in (site / "cells").iterdir() if "hacked" in p.read_text())):
        page = watched.open(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    context.close()
    assert watched.faults == []


def test_without_scripts_the_table_is_there(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto((site / "index.html").as_uri())
    assert page.locator("#table tbody tr").count() == 11 and not page.locator("#filters").is_visible()
    assert "Without scripts" in page.locator("main").inner_text()
    context.close()


def test_the_same_site_is_made_again_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(BadInput, match="holds other files"):
        build(tmp_path, tmp_path / "mine")
    with pytest.raises(BadInput, match="holds no record"):
        build(tmp_path / "mine", tmp_path / "new")


@pytest.mark.parametrize("uri", [*FAKES, None, "data:image/png;base64,", "data:image/png;base64,AA==\n", "x.png"])
def test_only_pngs_are_pictures(uri: str | None) -> None:
    assert picture(uri) is None and picture("data:image/png;base64,iVBORw0KGgo=") is not None


def test_drawings_have_known_paths() -> None:
    assert roc([(0, 0), (0.5, 1), (1, 1)]) == "M0 100L50 0L100 0" and roc([]) == ""
    drawn = histogram({"edges": [0, 1, 2], "positives": [1, 2], "negatives": [0, 0]})
    assert drawn is not None and drawn.positives == "M0 80V40h80V0h80V80Z" and drawn.negatives == ""
    curve = line([1, 3, 2])
    assert curve is not None and curve.path == "M0 80L80 0L160 40" and line([1]) is None


def test_embedded_json_ends_no_script() -> None:
    text = embedded([EVIL, "\u2028"])
    assert not set("<>&\u2028") & set(text) and json.loads(text) == [EVIL, "\u2028"]
