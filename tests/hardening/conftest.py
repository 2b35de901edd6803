"""A small made-up table, a warm cache, and folders that hold nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.data.table import Columns, write_table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

# The lists of files and calls lie beside the tests that use them.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def small_columns() -> Columns:
    """Synthetic values of every cell of the four-vertex space at 4 and 12 epochs."""
    rows = np.arange(len(Space(4)), dtype=np.int32)
    rng = np.random.default_rng(7)
    size = network.multiply_adds(rows)[:, None, None] / 1e9
    energy = 1e-3 * (1 + size) * np.array([[4.0], [12.0]]) * rng.lognormal(0, 0.1, (91, 2, 1))
    values = {
        "energy_kwh": energy,
        "training_time_s": energy * 2e4,
        "validation_accuracy": rng.random((91, 2, 1)),
        "test_accuracy": rng.random((91, 2, 1)),
        "co2_g": energy * 300,
    }
    origin = dict.fromkeys(values, Provenance("synthetic", device="no device", pue=1.0))
    return Columns("small", 4, rows, (4, 12), 1, values, origin)


@pytest.fixture(scope="session")
def small_file(small_columns: Columns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a table file."""
    path = tmp_path_factory.mktemp("small") / "small.ecnas"
    write_table(path, small_columns)
    return path


@pytest.fixture
def warm(modelled_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the warm cache that is the package's, and a mirror that holds nothing."""
    cache = tmp_path / "own-cache"
    (cache / "tables").mkdir(parents=True)
    for file in (modelled_cache / "tables").glob("4v*"):
        shutil.copy(file, cache / "tables")
    (tmp_path / "empty-mirror").mkdir()
    monkeypatch.setenv("ECNAS_CACHE", str(cache))
    monkeypatch.setenv("ECNAS_MIRROR", str(tmp_path / "empty-mirror"))
    return cache
