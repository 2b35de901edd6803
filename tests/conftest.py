"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of published measurements, which is not part of the project."""
    folder = Path(os.environ.get("ECNAS_REFERENCE_DATA") or ROOT.parent / "shared" / "ecnas-data")
    if not (folder / "official").is_dir():
        pytest.skip(f"no reference data at {folder}: set ECNAS_REFERENCE_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test out of the user's cache and away from the network."""
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("ECNAS_MIRROR", raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes long or wants a quiet machine, unless it is asked for, and say so."""
    if "ECNAS_TEST_LONG" in os.environ:
        return
    skipped = pytest.mark.skip(reason="slow: ECNAS_TEST_LONG=1 runs it")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skipped)
