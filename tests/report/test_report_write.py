"""The file: it needs nothing from outside, and names do no harm in it."""

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

import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import StorageError
from naslib_ecnas.report.page import Page, gather, html, write_page
from naslib_ecnas.report.runs import find_runs

HARM = "</script><script>window.harmed=1</script>{{data}}<img src=x onerror=window.harmed=2>'\""


class _Elements(HTMLParser):
    """Elements with their attributes, and the text within each script and style."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style"):
            self.texts.append((self._within, data))


def parsed(text: str) -> _Elements:
    parser = _Elements()
    parser.feed(text)
    parser.close()
    return parser


@pytest.fixture(scope="module")
def page(six: Benchmark, run_folder: Path) -> Page:
    return gather(six, find_runs([run_folder]))


@pytest.fixture(scope="module")
def text(page: Page) -> str:
    return html(page)


def test_nothing_is_loaded_from_anywhere(text: str) -> None:
    outside = {"src", "srcset", "action", "formaction", "data", "poster", "background", "ping"}
    for tag, attributes in parsed(text).elements:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img", "audio", "video"}
        assert not outside & set(attributes), (tag, attributes)
        assert (attributes.get("href") or "#").startswith("#")
    # The one address is the name of SVG's elements, which nobody opens.
    addresses = re.findall(r"[a-z]+://[^\s\"'`<]*", text)
    assert set(addresses) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|\bimport\s*\(|fetch\(|XMLHttpRequest|WebSocket|Worker\(", text)
    assert all(part == "#arrow" for part in re.findall(r"url\(([^)]*)\)", text))


def test_the_policy_allows_this_script_and_this_style_only(text: str) -> None:
    found = parsed(text)
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


def test_every_place_of_the_template_is_filled(text: str) -> None:
    assert not re.search(r"\{\{\w+\}\}", text)
    assert text.count("<script") == 2


def test_the_provenance_is_in_the_page_itself(text: str) -> None:
    plain = markup.unescape(text)
    for part in ("synthetic", "on no device, PUE out", "derived", "counted from the cell, exact"):
        assert part in plain, part
    assert "within\u00a00.025\u00a0%" in plain  # energy, in steps of its logarithm
    assert "within\u00a00.000025" in plain  # accuracy


def test_names_do_no_harm(page: Page, text: str) -> None:
    origin = replace(page.provenance["energy_kwh"], device=HARM, source=HARM, note=HARM)
    bad = replace(
        page,
        table=HARM,
        checksum=HARM,
        provenance={**page.provenance, "energy_kwh": origin},
        runs=(replace(page.runs[0], label=HARM, method=HARM), *page.runs[1:]),
    )
    found = parsed(html(bad))
    # The very elements of the page with harmless names: none came in, none was ended.
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in parsed(text).elements]
    data = next(t for tag, t in found.texts if tag == "script")
    raw = gzip.decompress(base64.b64decode(data))
    header = json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")])
    assert header["table"] == header["runs"][0]["label"] == HARM


def test_the_same_page_gives_the_same_bytes(page: Page, text: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    size = write_page(page, path)
    assert path.read_bytes() == text.encode()
    assert path.stat().st_size == size
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_a_place_that_cannot_be_written(page: Page, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_page(page, tmp_path / "file" / "page.html")
