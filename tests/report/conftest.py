"""A synthetic table of six vertices, large enough to be quantised, and searches over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import network, search
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

#: Rows that the table lacks.
LACKING = (7, 5000)


def made_up(folder: Path, *, name: str, vertices: int = 6, note: str | None = None) -> Path:
    """File of a synthetic table whose cells cost more the more they compute."""
    rows = np.setdiff1d(np.arange(len(Space(vertices))), LACKING).astype(np.int32)
    rng = np.random.default_rng(4)
    size = network.multiply_adds(rows)[:, None, None] / 1e9
    epochs = np.array([4.0, 12.0])[:, None]
    energy = 1e-3 * (1 + size) * epochs * rng.lognormal(0, 0.05, (len(rows), 2, 1))
    accuracy = 1 - 0.8 * np.exp(-0.3 * size**0.5 * epochs**0.5) * rng.random(energy.shape)
    values = {
        "energy_kwh": energy,
        "training_time_s": energy * 2e4,
        "validation_accuracy": accuracy,
        "co2_g": energy * 0,
    }
    origin = Provenance("synthetic", device="no device", pue=1.0, note=note)
    path = folder / f"table-{vertices}.ecnas"
    columns = Columns(name, vertices, rows, (4, 12), 1, values, dict.fromkeys(values, origin))
    write_table(path, columns)
    return path


@pytest.fixture(scope="session")
def six_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(tmp_path_factory.mktemp("six"), name="made-up-6")


@pytest.fixture(scope="session")
def six(six_path: Path) -> Benchmark:
    return Benchmark(Table.open(six_path))


@pytest.fixture(scope="session")
def run_folder(six: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three runs, one of them deeper than the others."""
    folder = tmp_path_factory.mktemp("searches")
    for method, seed, where in (
        ("semoa", 0, "a"),
        ("semoa", 1, "b"),
        ("random", 0, "deeper/c"),
    ):
        search.run(six, method, epochs=12, evaluations=60, seed=seed, out=folder / where)
    return folder
