"""The gallery of the documentation shows what its script draws."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_that_of_the_script() -> None:
    pytest.importorskip("PIL")
    gallery = run_path(str(DOCS / "examples" / "gallery.py"))
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert page.startswith(gallery["START"])
    shown = [Path(name) for name in re.findall(r"\]\(([\w/-]+\.png)\)", page)]
    assert [path.stem for path in shown] == list(gallery["PICTURES"])
    there = {path.relative_to(DOCS) for path in DOCS.rglob("gallery/*.png")}
    assert there == set(shown) - {Path("front.png")}
    assert sum((DOCS / path).stat().st_size for path in shown) < 600_000
    for _, command, _ in gallery["PICTURES"].values():
        assert not command or f"`ecnas {command} " in page
