"""The page in a real browser: picking, drawing, filtering, keys, and nothing on the console."""

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
from naslib_ecnas.report.page import Page, coded, gather, write_page
from naslib_ecnas.report.runs import find_runs
from naslib_ecnas.space import Space

HARM = "</script><script>window.harmed=1</script><img src=x onerror=window.harmed=2>"
LABELS = {
    "input": "input",
    "output": "output",
    "conv3x3-bn-relu": "conv 3\u00d73",
    "conv1x1-bn-relu": "conv 1\u00d71",
    "maxpool3x3": "max-pool 3\u00d73",
}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    service = shutil.which("chromedriver")
    if browser is None or service is None:
        pytest.skip("no chromium or no chromedriver on PATH: install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    found.set_script_timeout(60)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def page(six: Benchmark, run_folder: Path) -> Page:
    return gather(six, find_runs([run_folder]))


@pytest.fixture(scope="module")
def address(page: Page, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(page, path)
    return path.as_uri()


def sized(driver: Any, width: int, height: int, *, dark: bool = False) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def opened(driver: Any, address: str) -> None:
    driver.get(address)
    ready = driver.execute_async_script(
        "const done = arguments[0]; window.ecnasReport.ready.then("
        "(v) => requestAnimationFrame(() => requestAnimationFrame(() => done(v))))"
    )
    assert ready is True, driver.get_log("browser")


@pytest.fixture
def shown(driver: Any, address: str) -> Iterator[Any]:
    """The page at desktop size; whatever a test does, the console stays empty."""
    sized(driver, 1300, 900)
    opened(driver, address)
    yield driver
    assert driver.get_log("browser") == []


def text(driver: Any, selector: str) -> str:
    return str(driver.find_element("css selector", selector).text)


def place(driver: Any, row: int) -> tuple[float, float]:
    """Where a cell is on the canvas."""
    x, y = driver.execute_script("return window.ecnasReport.plot.point(arguments[0])", row)
    return x, y


def click(driver: Any, x: float, y: float) -> None:
    from selenium.webdriver import ActionChains

    canvas = driver.find_element("css selector", "#scatter")
    driver.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas
    )
    size = canvas.size
    chain = ActionChains(driver, duration=0)
    # Selenium counts from the middle.
    chain.move_to_element_with_offset(canvas, x - size["width"] / 2, y - size["height"] / 2)
    chain.click().perform()


def drawn(driver: Any) -> list[str]:
    """Labels of the drawing's vertices, in the order of the matrix."""
    nodes = driver.find_elements("css selector", "#drawing svg .node")
    by_vertex = sorted(nodes, key=lambda n: int(n.get_attribute("data-vertex")))
    return [node.text for node in by_vertex]


def test_a_click_picks_a_cell_and_draws_it(shown: Any, page: Page) -> None:
    front = next(
        f
        for f in page.fronts
        if f.objectives == ("energy_kwh", "validation_accuracy") and f.epochs == 12
    )
    row = int(front.rows[len(front.rows) // 2])
    shown.execute_script("window.ecnasReport.pick(0)")
    click(shown, *place(shown, row))
    assert text(shown, "#picked-title") == f"Cell {row:,}"
    cell = Cell.from_row(row)
    assert drawn(shown) == [LABELS[op] for op in cell.ops]
    assert len(shown.find_elements("css selector", "#drawing svg .edge")) == cell.edges
    assert text(shown, "#costs .cell-text") == str(cell)


def test_costs_at_all_budgets_are_the_tables(shown: Any, six: Benchmark) -> None:
    row = 31_000
    shown.execute_script("window.ecnasReport.pick(arguments[0])", row)
    lines = {
        line.find_elements("css selector", "td")[0].text.split("\n")[0]: [
            td.text for td in line.find_elements("css selector", "td")[1:]
        ]
        for line in shown.find_elements("css selector", "#costs tbody tr")
    }
    energy = next(v for k, v in lines.items() if k.startswith("Training energy"))
    for got, epochs in zip(energy, six.budgets, strict=True):
        expected = six.values("energy_kwh", epochs)[row] * 1000
        assert got.startswith("≈")  # an ordinary cell: rounded, and says so
        assert float(got[1:]) == pytest.approx(expected, rel=1e-3)
    parameters = next(v for k, v in lines.items() if k.startswith("Trainable"))
    assert parameters == [f"{int(six.values('parameters')[row]):,}"]


def test_the_browser_decodes_what_was_encoded(shown: Any, page: Page) -> None:
    rows = np.random.default_rng(1).integers(0, page.n_cells, 400).tolist()
    rows += [0, 7, 5000, page.n_cells - 1, *page.exact_rows[:20].tolist()]
    got = shown.execute_script(
        "const { table } = window.ecnasReport; return arguments[0].map((row) => "
        "table.columns.map((c, i) => { const { value, exact } = table.value(row, i); "
        "return [Number.isNaN(value) ? null : value, exact]; }))",
        rows,
    )
    exact = set(page.exact_rows.tolist())
    for i, (column, packed) in enumerate(zip(page.columns, coded(page), strict=True)):
        for row, cells in zip(rows, got, strict=True):
            value, said_exact = cells[i]
            truth = column.values[row]
            if np.isnan(truth):
                assert value is None
            elif row in exact or packed.error == 0:
                assert said_exact
                assert value == truth
            else:
                assert not said_exact
                assert abs(value - truth) <= packed.error * (truth if packed.log else 1)


def test_every_cell_can_be_told_from_its_row(shown: Any, page: Page) -> None:
    rows = np.random.default_rng(2).integers(0, page.n_cells, 500).tolist()
    rows += [*range(100), page.n_cells - 1]
    got = shown.execute_script(
        "return arguments[0].map((r) => cellText(window.ecnasReport.table.cellOf(r)))", rows
    )
    assert got == [str(Cell.from_row(row)) for row in rows]


def test_no_drawing_lets_vertices_overlap(shown: Any, page: Page) -> None:
    rows = np.random.default_rng(3).integers(0, page.n_cells, 300).tolist()
    overlaps = shown.execute_script(
        "return arguments[0].filter((row) => {"
        " const all = [...drawCell(window.ecnasReport.table.cellOf(row)).querySelectorAll('rect')];"
        " const box = (r) => ['x','y','width','height'].map((k) => Number(r.getAttribute(k)));"
        " return all.some((a, i) => all.slice(i + 1).some((b) => {"
        "  const [ax, ay, aw, ah] = box(a), [bx, by, bw, bh] = box(b);"
        "  return ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah; })); })",
        rows,
    )
    assert overlaps == []


def test_filters_change_what_is_shown(shown: Any, page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    _, labels = Space(6).matrices(np.arange(page.n_cells))
    vertices = (labels >= 0).sum(axis=1) + 2
    held = ~np.isnan(page.columns[0].values)
    whole = f"{held.sum():,} of {held.sum():,} cells shown"
    assert text(shown, "#shown").startswith(whole)
    shown.find_element("css selector", "#filters summary").click()
    Select(shown.find_element("css selector", "[data-operator=maxpool3x3]")).select_by_value("with")
    pool = (labels == 2).any(axis=1)
    assert text(shown, "#shown").startswith(f"{(held & pool).sum():,} of")
    Select(shown.find_element("css selector", "[data-operator=conv3x3-bn-relu]")).select_by_value(
        "without"
    )
    shown.find_element("css selector", "#filter-vertices input[value='6']").click()
    kept = held & pool & ~(labels == 0).any(axis=1) & (vertices != 6)
    assert text(shown, "#shown").startswith(f"{kept.sum():,} of")
    assert shown.execute_script("return window.ecnasReport.plot.rows.length") == kept.sum()
    shown.find_element("css selector", "#filter-reset").click()
    assert text(shown, "#shown").startswith(whole)


def test_axes_and_budget_change_the_front(shown: Any, page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    Select(shown.find_element("css selector", "#axis-x")).select_by_value("parameters")
    Select(shown.find_element("css selector", "#epochs")).select_by_value("4")
    front = next(
        f
        for f in page.fronts
        if f.objectives == ("validation_accuracy", "parameters") and f.epochs == 4
    )
    rows = {b.text for b in shown.find_elements("css selector", "#front-table button")}
    assert rows == {str(row) for row in front.rows}
    # Asking for the other axis' quantity swaps the two.
    Select(shown.find_element("css selector", "#axis-x")).select_by_value("validation_accuracy")
    chosen = shown.execute_script("const { x, y } = window.ecnasReport.chosen; return [x, y]")
    assert chosen == ["validation_accuracy", "parameters"]


def test_stretching_moves_no_cell_past_another(shown: Any) -> None:
    order = "const p = window.ecnasReport.plot.y.place; return [p[10] < p[2000], p[40] < p[9000]]"
    before = shown.execute_script(order)
    first = place(shown, 2000)
    shown.find_element("css selector", "#stretch").click()
    assert shown.execute_script(order) == before
    assert place(shown, 2000) != first


def test_keys_move_pick_and_zoom(shown: Any) -> None:
    from selenium.webdriver import Keys

    shown.execute_script("window.ecnasReport.pick(0)")
    canvas = shown.find_element("css selector", "#scatter")
    shown.execute_script("arguments[0].focus()", canvas)
    canvas.send_keys(Keys.ARROW_UP)
    first = text(shown, "#picked-title")
    assert first != "Cell 0"
    for _ in range(8):
        canvas.send_keys(Keys.ARROW_LEFT)
    assert text(shown, "#picked-title") != first
    said = shown.execute_script("return document.getElementById('picked-says').textContent")
    assert "training energy" in said
    width = "const { x0, x1 } = window.ecnasReport.plot.view; return x1 - x0"
    whole = shown.execute_script(width)
    canvas.send_keys("+")
    assert shown.execute_script(width) == pytest.approx(whole / 1.4)
    canvas.send_keys("0")
    assert shown.execute_script(width) == pytest.approx(whole)


def test_zoom_ends_where_only_rounding_would_be_seen(shown: Any) -> None:
    widths = shown.execute_script(
        "const { plot } = window.ecnasReport, width = () => plot.view.x1 - plot.view.x0;"
        "const whole = width(); for (let i = 0; i < 99; i++) plot.zoom(2, 300, 200);"
        "const least = width(); for (let i = 0; i < 99; i++) plot.zoom(0.5, 300, 200);"
        "return [least / whole, width() / whole]"
    )
    assert widths == pytest.approx([1 / 500, 1 / 0.8])


def test_a_row_can_be_typed(shown: Any) -> None:
    field = shown.find_element("css selector", "#go-row")
    field.clear()
    field.send_keys("1,234\n")
    assert text(shown, "#picked-title") == "Cell 1,234"
    field.clear()
    field.send_keys("99999999\n")
    assert "rows go from 0 to" in text(shown, "#go-says")
    assert text(shown, "#picked-title") == "Cell 1,234"


def test_runs_are_shown(shown: Any, page: Page) -> None:
    lines = shown.find_elements("css selector", "#run-table tbody tr")
    assert len(lines) == 3
    for line, run in zip(sorted(lines, key=lambda tr: tr.text), page.runs, strict=True):
        assert run.label in line.text
        assert f"{run.hypervolume:.4f}" in line.text
    assert len(shown.find_elements("css selector", "#curves .curve")) == 3 + 1  # and one median
    shown.find_element("css selector", "#run-table tbody button").click()
    knees = {f"Cell {run.knee_row:,}" for run in page.runs}
    assert text(shown, "#picked-title") in knees


def test_nothing_was_loaded_and_nothing_can_be(shown: Any) -> None:
    assert shown.execute_script("return performance.getEntriesByType('resource').length") == 0
    blocked = shown.execute_async_script(
        "const done = arguments[0]; fetch('data:,x').then(() => done(false), () => done(true))"
    )
    assert blocked
    log = shown.get_log("browser")  # says so, as it should
    assert log
    assert all("Content Security Policy" in line["message"] for line in log)


@pytest.mark.parametrize("width", [320, 375, 700, 1300])
def test_no_width_scrolls_sideways(driver: Any, address: str, width: int) -> None:
    sized(driver, width, 800)
    opened(driver, address)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name(shown: Any) -> None:
    unnamed = shown.execute_script(
        "return [...document.querySelectorAll('button, input, select, [tabindex], [role=img]')]"
        ".filter((e) => !(e.textContent.trim() && e.tagName === 'BUTTON') && !e.labels?.length"
        " && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby'))"
        ".map((e) => e.outerHTML.slice(0, 80))"
    )
    assert unnamed == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out(driver: Any, address: str, dark: bool) -> None:
    """Contrast of at least 4.5 for text, 3 for marks (WCAG 2.2, 1.4.3 and 1.4.11)."""
    sized(driver, 1300, 900, dark=dark)
    opened(driver, address)
    names = ["paper", "panel", "ink", "quiet", "link", "picked", "front", "op-edge"]
    names += [f"run-{i}" for i in range(6)] + [f"op-{k}" for k in ("conv3", "conv1", "pool", "end")]
    colours = driver.execute_script(
        "const s = getComputedStyle(document.documentElement); return Object.fromEntries("
        "arguments[0].map((n) => [n, s.getPropertyValue('--' + n).trim()]))",
        names,
    )

    def luminance(hexadecimal: str) -> float:
        parts = np.array([int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(colours[a]), luminance(colours[b])))
        return (high + 0.05) / (low + 0.05)

    for paper in ("paper", "panel"):
        for name in ("ink", "quiet", "link"):
            assert contrast(name, paper) >= 4.5, (name, paper)
        for name in ("picked", "front", "op-edge", *(f"run-{i}" for i in range(6))):
            assert contrast(name, paper) >= 3, (name, paper)
    for name in ("op-conv3", "op-conv1", "op-pool", "op-end"):
        assert contrast("ink", name) >= 4.5, name


def test_frames_are_quick(shown: Any) -> None:
    """Panning all 64,540 cells: a bound that only a slip of an order of magnitude would break."""
    median = shown.execute_async_script(
        "const done = arguments[0], { plot } = window.ecnasReport; plot.frames.length = 0;"
        "let n = 0; const step = () => { if (n++ < 20) { plot.pan(2, 1);"
        "requestAnimationFrame(step); } else { const f = [...plot.frames].sort((a, b) => a - b);"
        "done(f[f.length >> 1]); } }; step();"
    )
    assert 0 < median < 100


def test_names_do_no_harm(driver: Any, page: Page, tmp_path: Path) -> None:
    origin = replace(page.provenance["energy_kwh"], device=HARM, source=HARM, note=HARM)
    bad = replace(
        page,
        table=HARM,
        provenance={**page.provenance, "energy_kwh": origin},
        runs=(replace(page.runs[0], label=HARM, method=HARM), *page.runs[1:]),
    )
    write_page(bad, tmp_path / "bad.html")
    sized(driver, 1300, 900)
    opened(driver, (tmp_path / "bad.html").as_uri())
    assert driver.execute_script("return window.harmed ?? null") is None
    assert HARM in driver.find_element("css selector", "#run-table").text
    assert HARM in driver.find_element("css selector", "header").text
    assert driver.get_log("browser") == []


def test_a_damaged_page_says_so(driver: Any, address: str, tmp_path: Path) -> None:
    whole = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    start = whole.index('base64">') + 8
    (tmp_path / "cut.html").write_text(whole[: start + 400] + whole[start + 4400 :])
    driver.get((tmp_path / "cut.html").as_uri())
    assert (
        driver.execute_async_script(
            "const done = arguments[0]; window.ecnasReport.ready.then(done)"
        )
        is False
    )
    assert "could not be shown" in text(driver, "#status")
    driver.get_log("browser")
