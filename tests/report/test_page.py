"""The page: its content, its packed form, and the HTML file, which needs nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html as markup
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import (
    ProvenanceError,
    StorageError,
    UnknownBudgetError,
    UnknownMetricError,
)
from naslib_ecnas.loading import load
from naslib_ecnas.report.page import (
    MISSING,
    MOST_LEVELS,
    STEP_LINEAR,
    Codes,
    Page,
    gather,
    html,
    quantise,
    references,
    write_page,
)
from naslib_ecnas.surrogate import VERSION

# -- content ----------------------------------------------------------------------------------


def test_columns_and_fronts_are_the_tables(six: Benchmark) -> None:
    counted = six.spent.evaluations
    page = gather(six)
    # CO2 of 0 for all cells is not shown.
    assert page.metrics == ("energy_kwh", "training_time_s", "validation_accuracy", "parameters")
    assert page.epochs == 12
    for column in page.columns:
        expected = six.values(column.name, column.epochs)
        assert np.array_equal(column.values, expected, equal_nan=True)
    assert len(page.fronts) == 2 * 6
    for front in page.fronts:
        assert np.array_equal(front.rows, six.front(front.objectives, front.epochs).rows)
        assert np.isin(front.rows, page.exact_rows).all()
    assert six.spent.evaluations == counted


def test_runs_add_their_objectives_exact_rows_and_budget(six: Benchmark, page: Page) -> None:
    run = page.runs[0]
    more = gather(six, [replace(run, objectives=("depth", "energy_kwh"), recorded=None)])
    assert "depth" in more.metrics
    assert np.isin(more.results[0].front_rows, more.exact_rows).all()
    # The budget that is shown first.
    epochs = np.full(len(run.rows), 4)
    at_4 = [replace(run, budget=4, epochs=epochs, recorded=None) for run in page.runs]
    assert gather(six, at_4).epochs == 4
    assert gather(six, [page.runs[0], *at_4]).epochs == 12  # they differ: the largest
    assert gather(six, page.runs, epochs=4).epochs == 4
    with pytest.raises(UnknownBudgetError, match="4, 12 epochs"):
        gather(six, epochs=5)


@pytest.mark.usefixtures("modelled")
def test_runs_of_another_table_are_refused(six: Benchmark, page: Page, bench_of: Any) -> None:
    run = page.runs[0]
    with pytest.raises(ProvenanceError, match="--table"):
        gather(six, [replace(run, checksum="0" * 64)])
    bench, old = load("4v"), replace(run, checksum="0" * 64, table_version="0")
    with pytest.raises(ProvenanceError, match=f"{run.label}: version 0 and version .* of 4v"):
        gather(bench, [old])
    assert f"<strong>4v</strong> version {VERSION}:" in html(gather(bench))
    for row in (70000, -1):
        with pytest.raises(ProvenanceError, match=str(row)):
            gather(six, [replace(run, rows=np.full(len(run.rows), row, dtype=np.int32))])
    # A table has too little.
    with pytest.raises(UnknownMetricError, match="too little"):
        gather(bench_of({"energy_kwh": np.full((1, 1, 1), 0.1)}, vertices=2, budgets=(4,)))


# -- columns as 16-bit codes ------------------------------------------------------------------


def shown(packed: Codes) -> np.ndarray:
    """The values of a column as the page's scripts decode them."""
    codes = np.where(packed.codes == MISSING, 0, packed.codes)
    if packed.levels is not None:
        values = np.append(packed.levels, np.nan)[codes]
    else:
        place = packed.low + packed.step * codes
        values = np.exp(place) if packed.log else place
    return np.where(packed.codes == MISSING, np.nan, values)


N = MOST_LEVELS + 500


@given(st.integers(0, 2**32 - 1), st.floats(-8, 8), st.floats(0.01, 40), *[st.booleans()] * 2)
@settings(max_examples=60, deadline=None)
def test_a_column_comes_back_within_the_stated_error(
    seed: int, low: float, span: float, log: bool, missing: bool
) -> None:
    rng = np.random.default_rng(seed)
    values = low + span * rng.random(N)
    values = np.exp(values) if log else values
    if missing:
        values[rng.integers(0, N, 50)] = np.nan
    packed = quantise(values, log=log)
    back = shown(packed)
    assert packed.levels is None
    assert packed.error > 0
    assert np.array_equal(np.isnan(back), np.isnan(values))
    off = np.abs(back - values) / (values if packed.log else 1.0)
    assert np.nanmax(off) <= packed.error


@given(st.lists(st.just(np.nan) | st.floats(-1e300, 1e300), min_size=1, max_size=40), st.booleans())
def test_few_values_are_kept_exactly(few: list[float], log: bool) -> None:
    packed = quantise(np.array(few * 3), log=log)
    assert packed.error == 0
    assert np.array_equal(shown(packed), few * 3, equal_nan=True)


def test_error_bounds() -> None:
    values = np.linspace(0.1, 0.95, N)
    packed = quantise(values, log=False)
    assert packed.error == pytest.approx(STEP_LINEAR / 2)
    assert np.abs(shown(packed) - values).max() > 0.95 * packed.error  # the bound is reached
    packed = quantise(np.linspace(0, 1e6, N), log=False)  # gets wider steps
    assert packed.error > 1
    assert packed.codes.max() == MISSING - 1
    # Zero and infinity.
    assert not quantise(np.linspace(0, 1, N), log=True).log
    values = np.append(np.linspace(1, 2, N), [np.inf, np.nan])
    assert quantise(values, log=True).codes[-2:].tolist() == [MISSING, MISSING]


def test_a_column_that_repeats_another_refers_to_it() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5000, (2, 9000)).astype(np.uint16)
    close = second + rng.integers(0, 3, 9000).astype(np.uint16)
    assert references([first, second, first.copy(), close]) == [None, None, 0, 1]


# -- the HTML file ----------------------------------------------------------------------------


class _Elements(HTMLParser):
    """Elements with their attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style"):
            self.texts.append((self._within, data))


@pytest.fixture(scope="module")
def text(page: Page) -> str:
    return html(page)


def test_nothing_is_loaded_from_anywhere(text: str) -> None:
    outside = {"src", "srcset", "action", "formaction", "data", "poster", "background", "ping"}
    for tag, attributes in _Elements(text).elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img", "audio", "video"}
        assert not outside & set(attributes), (tag, attributes)
        assert (attributes.get("href") or "#").startswith("#")
    # The only address is the name of SVG, which is never opened.
    assert set(re.findall(r"[a-z]+://[^\s\"'`<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert re.search(r"/\*\s[^*]*Chris Pettitt[^*]*Permission is hereby granted", text)
    assert not re.search(r"@import|\bimport\s*\(|fetch\(|XMLHttpRequest|WebSocket|Worker\(", text)
    assert all(part[0] == "#" for part in re.findall(r"url\(([^)]*)\)", text))


def test_the_policy_allows_only_this_script_and_this_style(text: str) -> None:
    found = _Elements(text)
    policy = next(
        a["content"] for _, a in found.elements if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        content = [t for name, t in found.texts if name == tag][-1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not any("style" in a or any(k.startswith("on") for k in a) for _, a in found.elements)
    # The template is filled, and the origins are in it.
    assert not re.search(r"\{\{\w+\}\}", text)
    assert text.count("<script") == 2
    plain = markup.unescape(text)
    assert "with up to 6 vertices" in plain


def test_names_do_no_harm(bad: Page, text: str, harm: str) -> None:
    found = _Elements(html(bad))
    # The same elements as with harmless names: none was added or ended.
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in _Elements(text).elements]
    data = next(t for tag, t in found.texts if tag == "script")
    raw = gzip.decompress(base64.b85decode(data.replace(",", "<")))
    header = json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")])
    assert header["table"] == header["runs"][0]["label"] == harm


def test_the_same_page_gives_the_same_bytes(page: Page, text: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    size = write_page(page, path)
    assert path.read_bytes() == text.encode()
    assert path.stat().st_size == size
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
    with pytest.raises(StorageError):
        write_page(page, path / "below.html")
