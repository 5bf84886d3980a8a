"""The pages in a real browser: they sort, filter and lead on, ask nobody, and show whatever records say as text."""

from __future__ import annotations

import json
import math
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
from benchmark.results.yamls import constructors

pytest.importorskip("jinja2")
pytest.importorskip("itables")
pytest.importorskip("vl_convert")
api = pytest.importorskip("playwright.sync_api")

from benchmark.results.site.build import build  # noqa: E402
from benchmark.results.site.pictures import Pictures  # noqa: E402
from benchmark.results.site.table import COLUMNS  # noqa: E402
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
DETECTED = {"FineTuning": "rows", "FinePruning": "inputs", "NeuralCleanse": "model"}  # on BadNets at 5 %
FIRST = {  # what the first click on a head brings up
    "words": "attack defense family access modality dataset architecture recipe environment status",
    "least": "rate rank asr_defended residual cost_victim cost_control reactivation seconds memory",
    "most": "ca_clean ca_backdoored ca_defended asr_backdoored ra_defended removed n",
}


def planted() -> Iterator[Record]:
    """Two attacks, one at two rates, met by three defenses, over three seeds; and one attack that failed."""
    for attack, rate in (("BadNets", 0.05), ("BadNets", 0.1), ("Blended", 0.05)):
        for defense, left in RATES.items():
            for seed, asr in enumerate(left):
                rates = {victim: {"ca": 0.95 - rate / 10} for victim in ("clean", "backdoored")}
                rates["defended"] = {"asr": asr, "ra": 0.7, "ca": 0.93 + asr / 100}
                rates["control"] = {"asr": 0.01, "ca": 0.94 - asr / 100}
                changes = {"config__attack__rate": rate, "detection": detection("", seed)}
                if (attack, rate) == ("BadNets", 0.05):
                    changes["detection"] = detection(DETECTED[defense], seed)
                price = {"seconds": 10 + 90 * asr, "cpu_seconds": 1.0, "peak_memory": int(1e9 * (1 - asr))}
                yield synthetic(attack, defense, seed, rates, **changes, costs__defended=price)
    yield synthetic("Sig", rates={"backdoored": {"asr": 0.2}})


def detection(kind: str, seed: int) -> dict[str, Any]:
    """An AUROC of 0.7 on rows or of 0.6 on inputs, or verdicts that are right but for an alarm at seed 0."""
    apart = {"auroc": {"rows": 0.7, "inputs": 0.6}.get(kind), "tpr_at_1": None, "tpr_at_5": None}
    apart |= {"positives": 1, "negatives": 1}
    verdict = {"score": None, "detected": True, "suspect": 0, "correct": True}
    found = {
        "rows": {"separation": apart, "within_target": apart},
        "inputs": {"separation": apart, "successful": apart},
        "model": {"backdoored": verdict, "control": {**verdict, "detected": seed == 0, "correct": None}},
    }
    found["rows"] |= dict.fromkeys(("precision", "recall", "false_flags", "control_flags"))
    return {name: part if name == kind else None for name, part in found.items()}


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
    evidence["roc"] = {EVIL: [(0.0, 0.0), (0.7, 1.0)]}
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

    def sorted_by(self, name: str) -> list[str]:
        """First lines of a column after a click on its head, all columns being shown; a dash where there is no value."""
        at = [column.name for column in COLUMNS].index(name)
        self.page.locator("#table thead tr:last-child th").nth(at).click()
        return [text.strip().split("\n")[0] for text in self.shown(at)]

    def column(self, title: str) -> list[str]:
        """What the shown rows say under a head of the lower row, the first of that name."""
        script = """title => [...document.querySelectorAll("#table thead tr:last-child th")]
            .findIndex(head => head.textContent === title)"""
        return self.shown(self.page.evaluate(script, title))

    def shown(self, at: int) -> list[str]:
        """What the shown rows say in a column."""
        script = """async at => {
            await new Promise(done => setTimeout(done)); // rows are sorted a moment after the event
            return [...document.querySelectorAll("#table tbody tr")].map(row => row.cells[at].innerText);
        }"""
        found: list[str] = self.page.evaluate(script, at)
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


def test_the_tab_key_reaches_a_head_and_enter_sorts(tab: Watched, site: Path) -> None:
    page = tab.open(site / "index.html")
    page.locator("[aria-label='Table of cells']").focus()
    reached: list[str] = []
    while "Rank" not in reached and len(reached) < 20:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.closest('th')?.textContent ?? ''"))
    assert reached == ["Attack", "Rate", "Defense", "Data", "Status", "Rank"]
    page.keyboard.press("Enter")
    shown = [text.split()[0] for text in tab.column("Rank")]
    assert shown[0] == "1" and shown == sorted(shown, key=lambda rank: (rank == "-", rank))


def test_the_first_click_brings_up_the_useful_end_and_what_has_no_value_stays_last(tab: Watched, site: Path) -> None:
    page = tab.open(site / "index.html")
    for box in page.locator("#columns input").all():
        box.evaluate("box => { if (!box.checked) box.click(); }")
    known = {name: end for end, names in FIRST.items() for name in names.split()}
    assert known.keys() | {"detection"} == {column.name for column in COLUMNS}
    for name, end in known.items():
        once, twice = tab.sorted_by(name), tab.sorted_by(name)
        there = [text for text in once if text != "-"]
        nothing = ["-"] * (len(once) - len(there))
        assert len(once) == 11 and once == there + nothing and twice[len(there) :] == nothing, name
        if end == "words":
            good = [text for text in there if "hacked" not in text]
            assert good == sorted(good, key=str.lower), name
        else:
            numbers = [float(text) for text in there]
            assert numbers == sorted(numbers, reverse=end == "most"), name
            assert [float(text) for text in twice[: len(there)]] == numbers[::-1], name
            assert len(set(numbers)) > 1 or name == "reactivation", "an order of equals shows nothing"


def test_detection_is_sorted_by_its_number_and_found_by_its_words(tab: Watched, site: Path) -> None:
    page = tab.open(site / "index.html")
    page.locator("#table thead tr:last-child th", has_text="Detection").click()
    best = ["model 3/3 right, 1/3 false", "rows AUROC 0.700", "inputs AUROC 0.600"]  # 5/6, 0.7 and 0.6
    assert tab.column("Detection") == best + ["-"] * 8
    page.locator("#table thead tr:last-child th", has_text="Detection").click()
    assert tab.column("Detection") == best[::-1] + ["-"] * 8
    page.get_by_label("Search").fill("auroc")
    page.locator("#shown", has_text="2 of").wait_for()
    assert tab.column("Detection") == best[:0:-1]


def test_at_1280_pixels_the_table_scrolls_down_only(browser: Any, site: Path) -> None:
    """With a scroll bar of 15 pixels, the longest names and words that the suite has, and a column sorted."""
    context = browser.new_context(viewport={"width": 1280 - 15, "height": 900})
    watched = Watched(context)
    page = watched.open(site / "index.html", "#search=digits")
    longest = [max(names, key=len) for names in (named("attack"), named("defense"))]
    script = """([attack, defense]) => {
        const [row] = document.querySelectorAll("#table tbody tr");
        row.cells[0].querySelector("a").textContent = attack;
        row.cells[2].querySelector("b").textContent = defense;
        row.querySelector(".status").textContent = "preliminary";
        for (const cell of row.cells) if (/^-?[0-9]+[.][0-9]$/.test(cell.innerText)) cell.textContent = "100.0";
        const box = document.querySelector("[aria-label='Table of cells']");
        return [box.scrollWidth - box.clientWidth, document.documentElement.scrollWidth - innerWidth];
    }"""
    assert page.evaluate(script, longest) == [0, 0]
    page.locator("#table thead tr:last-child th", has_text="Seconds").click()
    assert page.evaluate(script, longest) == [0, 0]
    heads = page.locator("#table thead tr:last-child th").all_inner_texts()
    assert not {"MB", "left", "Re-activation"} & set(heads), "hidden until they are asked for"
    page.locator("#columns").evaluate("list => { list.parentElement.open = true; }")
    page.get_by_label("Gain: left").check()
    assert "left" in page.locator("#table thead tr:last-child th").all_inner_texts()
    context.close()
    assert watched.faults == []


def named(group: str) -> list[str]:
    """Classes of the methods that there are."""
    return [target.rpartition(".")[2] for target in constructors(group).values()]


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
    square = page.locator("table.heat td[class^=step] a").first
    row, number = square.locator("xpath=ancestor::tr/th").inner_text().replace("\xa0", " "), square.inner_text()
    square.click()
    assert page.locator("h1").inner_text().endswith(f"against {row}")
    removed = page.locator("dt", has_text="Removed, %").locator("xpath=following-sibling::dd").inner_text()
    assert abs(float(removed) - int(number)) <= 0.55, "one rounded to whole percents, the other to a tenth"


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
    columns = [tab.column(title) for title in ("Attack", "Rate", "Defense", "clean", "removed", "n")]
    robust = tab.shown(11)
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
        assert all(re.fullmatch(r"(\.\./pictures/[0-9a-f]{32}\.png|(\.\./)?charts/[\w.-]+)", one) for one in sources)
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
    heads = page.locator("#table thead tr:first-child th:visible").evaluate_all(
        "heads => heads.map(head => head.colSpan)"
    )
    assert sum(heads) == page.locator("#table thead tr:last-child th:visible").count(), "each column has a head above"
    assert sum(heads) == page.locator("#table tbody tr:first-child > :visible").count() < len(COLUMNS)
    assert "Without scripts" in page.locator("main").inner_text()
    context.close()


def test_the_same_site_is_made_again_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(BadInput, match="holds other files"):
        build(tmp_path, tmp_path / "mine")
    with pytest.raises(BadInput, match="holds no record"):
        build(tmp_path / "mine", tmp_path / "new")


def test_a_site_is_replaced_whole_or_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a link, from within, and not where somebody put a file of theirs beside the pages."""
    records, site, link = (tmp_path / name for name in ("records", "site", "link"))
    write(iter([synthetic(), synthetic(defense="Bare", config={})]), records)
    site.mkdir()
    link.symlink_to(site)
    assert build(records, link) == 2 and link.is_symlink()
    monkeypatch.chdir(site)
    page = next((site / "cells").iterdir())
    page.write_text("old")
    assert build(records, Path()) == 2 and page.read_text() != "old"
    (site / "CNAME").touch()
    page.write_text("mine")
    with pytest.raises(BadInput, match="holds other files"):
        build(records, site)
    assert page.read_text() == "mine" and {path.name for path in tmp_path.iterdir()} == {"records", "site", "link"}


GOOD = "data:image/png;base64,iVBORw0KGgo="
NONE = [
    *FAKES,
    None,
    "",
    "x.png",
    "data:image/png;base64,",
    "data:image/png;base64,é",
    f"{GOOD}\n",
    f"{GOOD}=",
    GOOD[:-1],
]


@pytest.mark.parametrize("uri", [*NONE, GOOD.replace("png", "gif"), "data:image/png;base64,R0lGODlhAQABAAAAACw="])
def test_only_pngs_are_pictures(uri: str | None, tmp_path: Path) -> None:
    """A GIF that calls itself one, or base64 that is cut off or goes on, leaves nothing."""
    assert Pictures(tmp_path).figure(uri, "", "") == "" and not [*tmp_path.iterdir()]


def test_a_picture_is_a_file_that_all_who_show_it_share(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    pictures = Pictures(tmp_path / "pictures")
    first, second = pictures.figure(GOOD, "<", "&"), pictures.figure(GOOD, "other", "words")
    (file,) = (tmp_path / "pictures").iterdir()
    assert file.read_bytes() == b"\x89PNG\r\n\x1a\n"
    assert f'<img src="../pictures/{file.name}" alt="&lt;"><figcaption>&amp;<' in first and file.name in second


def test_embedded_json_ends_no_script() -> None:
    text = embedded([EVIL, "\u2028", 1e300, math.inf])
    assert not set("<>&") & set(text) and json.loads(text) == [EVIL, "\u2028", 1e300, None]
