"""The page in a real browser: selecting, drawing, filtering, keys, and an empty console."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.report.page import Page, write_page
from naslib_ecnas.space import Space

LABELS = {"input": "input", "output": "output", "maxpool3x3": "max-pool 3\u00d73"}
LABELS |= {f"conv{n}x{n}-bn-relu": f"conv {n}\u00d7{n}" for n in (1, 3)}


class Browser:
    """A browser without a window."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def js(self, script: str, *arguments: object) -> Any:
        """What the body of a function returns; `report` is `window.ecnasReport`."""
        script = f"const report = window.ecnasReport; {script}"
        return self.driver.execute_script(script, *arguments)

    def js_async(self, script: str) -> Any:
        """What a script passes to `done`."""
        script = f"const done = arguments[0], report = window.ecnasReport; {script}"
        return self.driver.execute_async_script(script)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> Any:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.one(selector).text)

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.one(selector)).select_by_value(value)

    def log(self) -> Any:
        return self.driver.get_log("browser")

    def open(self, address: str, width: int = 1300, *, dark: bool = False) -> Any:
        """Open a page; returns whether it could be drawn."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(address)
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => done(drawn)))"
        return self.js_async(f"report.ready.then((drawn) => {frames})")

    def place(self, row: int) -> Any:
        """Position of a cell on the canvas."""
        return self.js("return report.plot.point(arguments[0])", row)

    def click(self, x: float, y: float) -> None:
        from selenium.webdriver import ActionChains

        canvas = self.one("#scatter")
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
        size = canvas.size
        chain = ActionChains(self.driver, duration=0)
        # Selenium counts from the middle.
        chain.move_to_element_with_offset(canvas, x - size["width"] / 2, y - size["height"] / 2)
        chain.click().perform()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    service = shutil.which("chromedriver")
    if program is None or service is None:
        pytest.skip("no chromium or no chromedriver on PATH: install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    driver.set_script_timeout(60)
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="module")
def address(page: Page, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(page, path)
    return path.as_uri()


@pytest.fixture
def shown(browser: Browser, address: str) -> Iterator[Browser]:
    """The page at desktop size; the console is empty after the test."""
    assert browser.open(address) is True, browser.log()
    yield browser
    assert browser.log() == []


def front_rows(page: Page, objectives: tuple[str, str], epochs: int) -> np.ndarray:
    fronts = {(front.objectives, front.epochs): front.rows for front in page.fronts}
    return fronts[objectives, epochs]


def test_a_click_selects_a_cell_and_draws_it(shown: Browser, page: Page) -> None:
    rows = front_rows(page, ("energy_kwh", "validation_accuracy"), 12)
    row = int(rows[len(rows) // 2])
    shown.js("report.pick(0)")
    shown.click(*shown.place(row))
    assert shown.text("#picked-title") == f"Cell {row:,}"
    cell = Cell.from_row(row)
    nodes = shown.all("#drawing svg .node")
    nodes = sorted(nodes, key=lambda node: int(node.get_attribute("data-vertex")))
    assert [node.text for node in nodes] == [LABELS[op] for op in cell.ops]
    assert len(shown.all("#drawing svg .edge")) == cell.edges
    assert shown.text("#costs .cell-text") == str(cell)


def test_metrics_at_all_budgets_are_the_tables(shown: Browser, six: Benchmark) -> None:
    row = 31_000
    shown.js("report.pick(arguments[0])", row)
    lines = {}
    for line in shown.all("#costs tbody tr"):
        head, *values = (td.text for td in line.find_elements("css selector", "td"))
        lines[head.split("\n")[0]] = values
    energy = next(v for k, v in lines.items() if k.startswith("Training energy"))
    for got, epochs in zip(energy, six.budgets, strict=True):
        expected = six.values("energy_kwh", epochs)[row] * 1000
        assert got.startswith("≈")  # an ordinary cell is rounded, and marked so
        assert float(got[1:]) == pytest.approx(expected, rel=1e-3)
    parameters = next(v for k, v in lines.items() if k.startswith("Trainable"))
    assert parameters == [f"{int(six.values('parameters')[row]):,}"]


def test_the_browser_decodes_what_was_encoded(shown: Browser, page: Page) -> None:
    rows = np.random.default_rng(1).integers(0, page.n_cells, 400).tolist()
    rows += [0, 7, 5000, page.n_cells - 1, *page.exact_rows[:20].tolist()]
    got = shown.js(
        "return arguments[0].map((row) => report.table.columns.map((c, i) => {"
        "const { value, exact } = report.table.value(row, i);"
        "return [Number.isNaN(value) ? null : value, exact]; }))",
        rows,
    )
    exact = set(page.exact_rows.tolist())
    for i, column in enumerate(page.columns):
        packed = column.coded
        for row, cells in zip(rows, got, strict=True):
            (value, said_exact), truth = cells[i], column.values[row]
            if np.isnan(truth):
                assert value is None
            elif row in exact or packed.error == 0:
                assert said_exact
                assert value == truth
            else:
                assert not said_exact
                assert abs(value - truth) <= packed.error * (truth if packed.log else 1)


def test_cells_follow_from_their_rows_and_are_drawn_without_overlap(
    shown: Browser, page: Page
) -> None:
    rows = np.random.default_rng(2).integers(0, page.n_cells, 500).tolist()
    rows += [*range(100), page.n_cells - 1]
    got = shown.js("return arguments[0].map((r) => cellText(report.table.cellOf(r)))", rows)
    assert got == [str(Cell.from_row(row)) for row in rows]
    overlaps = shown.js(
        "return arguments[0].filter((row) => {"
        " const all = [...drawCell(report.table.cellOf(row)).querySelectorAll('rect')];"
        " const box = (r) => ['x','y','width','height'].map((k) => Number(r.getAttribute(k)));"
        " return all.some((a, i) => all.slice(i + 1).some((b) => {"
        "  const [ax, ay, aw, ah] = box(a), [bx, by, bw, bh] = box(b);"
        "  return ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah; })); })",
        rows[:300],
    )
    assert overlaps == []


def test_filters_change_what_is_shown(shown: Browser, page: Page) -> None:
    _, labels = Space(6).matrices(np.arange(page.n_cells))
    vertices = (labels >= 0).sum(axis=1) + 2
    held = ~np.isnan(page.columns[0].values)
    whole = f"{held.sum():,} of {held.sum():,} cells shown"
    assert shown.text("#shown").startswith(whole)
    shown.one("#filters summary").click()
    shown.choose("[data-operator=maxpool3x3]", "with")
    pool = (labels == 2).any(axis=1)
    assert shown.text("#shown").startswith(f"{(held & pool).sum():,} of")
    shown.choose("[data-operator=conv3x3-bn-relu]", "without")
    shown.one("#filter-vertices input[value='6']").click()
    kept = held & pool & ~(labels == 0).any(axis=1) & (vertices != 6)
    assert shown.text("#shown").startswith(f"{kept.sum():,} of")
    assert shown.js("return report.plot.rows.length") == kept.sum()
    shown.one("#filter-reset").click()
    assert shown.text("#shown").startswith(whole)


def test_axes_and_budget_change_the_front_and_the_place(shown: Browser, page: Page) -> None:
    shown.choose("#axis-x", "parameters")
    shown.choose("#epochs", "4")
    rows = front_rows(page, ("validation_accuracy", "parameters"), 4)
    assert {b.text for b in shown.all("#front-table button")} == {str(row) for row in rows}
    # Choosing the other axis' metric swaps the two.
    shown.choose("#axis-x", "validation_accuracy")
    chosen = shown.js("return [report.chosen.x, report.chosen.y]")
    assert chosen == ["validation_accuracy", "parameters"]
    # Stretching moves no cell past another.
    order = "const p = report.plot.y.place; return [p[10] < p[2000], p[40] < p[9000]]"
    before, first = shown.js(order), shown.place(2000)
    shown.one("#stretch").click()
    assert shown.js(order) == before
    assert shown.place(2000) != first


def test_keys_move_select_and_zoom_and_a_row_can_be_typed(shown: Browser) -> None:
    from selenium.webdriver import Keys

    shown.js("report.pick(0)")
    canvas = shown.one("#scatter")
    shown.js("arguments[0].focus()", canvas)
    canvas.send_keys(Keys.ARROW_UP)
    first = shown.text("#picked-title")
    assert first != "Cell 0"
    for _ in range(8):
        canvas.send_keys(Keys.ARROW_LEFT)
    assert shown.text("#picked-title") != first
    said = shown.js("return document.getElementById('picked-says').textContent")
    assert "training energy" in said
    width = "return report.plot.x.span"
    whole = shown.js(width)
    canvas.send_keys("+")
    assert shown.js(width) == pytest.approx(whole / 1.4)
    canvas.send_keys("0")
    assert shown.js(width) == pytest.approx(whole)
    field = shown.one("#go-row")
    for typed, said in (("1,234", ""), ("99999999", "rows go from 0 to")):
        field.clear()
        field.send_keys(f"{typed}\n")
        assert said in shown.text("#go-says")
        assert shown.text("#picked-title") == "Cell 1,234"


def test_zoom_is_limited_and_panning_draws_a_frame_at_a_time(shown: Browser) -> None:
    widths = shown.js(
        "const { plot } = report, width = () => plot.x.span;"
        "const whole = width(); for (let i = 0; i < 99; i++) plot.zoom(2);"
        "const least = width(); for (let i = 0; i < 99; i++) plot.zoom(0.5);"
        "return [least / whole, width() / whole]"
    )
    assert widths == pytest.approx([1 / 500, 1 / 0.8])
    drawn = shown.js_async(
        "const { plot } = report; requestAnimationFrame(() => { plot.frames = 0;"
        "for (let i = 0; i < 50; i++) plot.pan(2, 1);"
        "requestAnimationFrame(() => requestAnimationFrame(() => done(plot.frames))); })"
    )
    assert 1 <= drawn <= 2


def test_runs_are_shown(shown: Browser, page: Page) -> None:
    lines = shown.all("#run-table tbody tr")
    ordered = sorted(lines, key=lambda tr: tr.text)
    for line, run, result in zip(ordered, page.runs, page.results, strict=True):
        assert run.label in line.text
        assert f"{result.hypervolume:.4f}" in line.text
    assert len(shown.all("#curves .curve")) == 3 + 1  # and one median
    shown.one("#run-table tbody button").click()
    assert shown.text("#picked-title") in {
        f"Cell {result.rows[result.knee]:,}" for result in page.results
    }


def test_nothing_was_loaded_and_nothing_can_be(shown: Browser) -> None:
    assert shown.js("return performance.getEntriesByType('resource').length") == 0
    assert shown.js_async("fetch('data:,x').then(() => done(false), () => done(true))")
    log = shown.log()  # the browser reports that the policy blocked it
    assert log
    assert all("Content Security Policy" in line["message"] for line in log)


def test_every_control_has_a_name_and_no_width_scrolls_sideways(
    browser: Browser, address: str
) -> None:
    for width in (320, 375, 700, 1300):
        browser.open(address, width)
        assert browser.js("return document.documentElement.scrollWidth") <= width
    unnamed = browser.js(
        "return [...document.querySelectorAll('button, input, select, [tabindex], [role=img]')]"
        ".filter((e) => !(e.textContent.trim() && e.tagName === 'BUTTON') && !e.labels?.length"
        " && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby'))"
        ".map((e) => e.outerHTML.slice(0, 80))"
    )
    assert unnamed == []


def test_without_energy_two_metrics_are_shown(browser: Browser, page: Page, tmp_path: Path) -> None:
    accuracy = ("validation_accuracy", "parameters")
    columns = tuple(column for column in page.columns if column.name in accuracy)
    write_page(replace(page, columns=columns, runs=(), results=()), tmp_path / "page.html")
    assert browser.open((tmp_path / "page.html").as_uri()) is True
    assert browser.js("return [report.chosen.x, report.chosen.y]") == [*accuracy]


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(browser: Browser, address: str, dark: bool) -> None:
    """At least 4.5 for text, 3 for marks (WCAG 2.2, 1.4.3 and 1.4.11)."""
    browser.open(address, dark=dark)
    runs = [f"run-{i}" for i in range(6)]
    operators = [f"op-{kind}" for kind in ("conv3", "conv1", "pool", "end")]
    texts, marks = ["ink", "quiet", "link"], ["picked", "front", "op-edge", *runs]
    colours = browser.js(
        "const s = getComputedStyle(document.documentElement); return Object.fromEntries("
        "arguments[0].map((n) => [n, s.getPropertyValue('--' + n).trim()]))",
        ["paper", "panel", *texts, *marks, *operators],
    )

    def luminance(name: str) -> float:
        parts = np.array([int(colours[name][i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    for paper in ("paper", "panel"):
        for names, least in ((texts, 4.5), (marks, 3)):
            for name in names:
                assert contrast(name, paper) >= least, (name, paper)
    assert all(contrast("ink", name) >= 4.5 for name in operators)


def test_names_do_no_harm_and_damage_is_said(
    browser: Browser, address: str, bad: Page, harm: str, tmp_path: Path
) -> None:
    write_page(bad, tmp_path / "bad.html")
    assert browser.open((tmp_path / "bad.html").as_uri()) is True
    assert browser.js("return window.harmed ?? null") is None
    assert harm in browser.text("#run-table")
    assert harm in browser.text("header")
    assert browser.log() == []
    # A damaged page says so.
    whole = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    start = whole.index('base64">') + 8
    (tmp_path / "cut.html").write_text(whole[: start + 400] + whole[start + 4400 :])
    assert browser.open((tmp_path / "cut.html").as_uri()) is False
    assert "could not be shown" in browser.text("#status")
    browser.log()
