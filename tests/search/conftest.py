"""A small made-up table to search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.search import METHODS, Optimiser
from naslib_ecnas.space import Space

#: Cells of the four-vertex space that the table lacks.
LACKING = (0, 17, 60)
#: The cell without an energy at 4 epochs.
UNKNOWN = 5
#: Every method, and again with its paper setting if it has one.
SETTINGS = [(name, False) for name in METHODS]
SETTINGS += [(name, True) for name, kind in METHODS.items() if kind.has_paper_setting]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the arguments `method` and `paper` runs over all `SETTINGS`."""
    if {"method", "paper"} <= {*metafunc.fixturenames}:
        metafunc.parametrize(("method", "paper"), SETTINGS)


@pytest.fixture(scope="session")
def driven() -> Callable[[Optimiser, int, np.ndarray], list[int]]:
    """Makes some steps of a method over (n_cells, m) costs; returns the rows evaluated."""

    def drive(search: Optimiser, steps: int, costs: np.ndarray) -> list[int]:
        seen: list[int] = []
        for _ in range(steps):
            rows = search.ask()
            search.tell(rows, costs[rows])
            seen += rows.tolist()
        return seen

    return drive


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory: pytest.TempPathFactory, table_file: Callable[..., Path]) -> Path:
    """File of a synthetic table: four vertices, three cells missing, one value unknown."""
    rows = np.setdiff1d(np.arange(len(Space(4))), LACKING).astype(np.int32)
    rng = np.random.default_rng(2)
    shape = (len(rows), 2, 3)
    size = network.multiply_adds(rows)[:, None, None] / 1e9
    epochs = np.array([4.0, 12.0])[:, None]
    energy = 1e-3 * (1 + size) * epochs * rng.lognormal(0, 0.05, shape)
    accuracy = 1 - 0.8 * np.exp(-0.3 * size**0.5 * epochs**0.5) * rng.random(shape)
    energy[rows == UNKNOWN, 0] = np.nan
    values = {
        "energy_kwh": energy,
        "validation_accuracy": accuracy,
        "training_time_s": energy * 2e4,
        "co2_g": energy * 200,
    }
    origin = Provenance("synthetic", device="no device", pue=1.59, repeats=3)
    path = tmp_path_factory.mktemp("toy") / "toy.ecnas"
    return table_file(path, values, name="toy", rows=rows, origin=origin)


@pytest.fixture
def toy(toy_path: Path) -> Benchmark:
    return Benchmark(Table.open(toy_path))
