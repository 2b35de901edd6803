"""A synthetic table of six vertices, large enough to be quantised, and searches over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import network, search
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Table, write_table
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.report.page import Page, gather
from naslib_ecnas.report.runs import find_runs
from naslib_ecnas.space import Space


@pytest.fixture(scope="session")
def six(bench_of: Callable[..., Benchmark]) -> Benchmark:
    """Cells cost more the more they compute; the table lacks the rows 7 and 5000."""
    rows = np.setdiff1d(np.arange(len(Space(6))), (7, 5000)).astype(np.int32)
    rng = np.random.default_rng(4)
    size = network.multiply_adds(rows)[:, None, None] / 1e9
    epochs = np.array([4.0, 12.0])[:, None]
    energy = 1e-3 * (1 + size) * epochs * rng.lognormal(0, 0.05, (len(rows), 2, 1))
    accuracy = 1 - 0.8 * np.exp(-0.3 * size**0.5 * epochs**0.5) * rng.random(energy.shape)
    values = {
        "energy_kwh": energy,
        "energy_kwh_std": energy * 0.02 * rng.lognormal(0, 0.5, energy.shape),
        "training_time_s": energy * 2e4,
        "validation_accuracy": accuracy,
        "co2_g": energy * 0,
    }
    origin = Provenance("synthetic", device="no device", pue=1.0)
    return bench_of(values, name="made-up-6", vertices=6, rows=rows, origin=origin)


@pytest.fixture(scope="session")
def run_folder(six: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three runs, one of them deeper than the others."""
    folder = tmp_path_factory.mktemp("searches")
    for method, seed, where in (("semoa", 0, "a"), ("semoa", 1, "b"), ("random", 0, "deeper/c")):
        search.run(six, method, epochs=12, evaluations=60, seed=seed, out=folder / where)
    return folder


@pytest.fixture(scope="session")
def page(six: Benchmark, run_folder: Path) -> Page:
    return gather(six, find_runs([run_folder]))


@pytest.fixture(scope="session")
def harm() -> str:
    """A name that would run a script if it were inserted as HTML."""
    return "</script><script>window.harmed=1</script>{{data}}<img src=x onerror=window.harmed=2>'\""


@pytest.fixture(scope="session")
def bad(page: Page, harm: str, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page with this name wherever a name comes from outside."""
    columns = page.bench.table.to_columns()
    origin = replace(columns.provenance["energy_kwh"], device=harm, source=harm, note=harm)
    columns = replace(columns, name=harm, provenance={**columns.provenance, "energy_kwh": origin})
    path = tmp_path_factory.mktemp("bad") / "table.ecnas"
    write_table(path, columns)
    runs = (replace(page.runs[0], label=harm, method=harm), *page.runs[1:])
    return replace(page, bench=Benchmark(Table.open(path)), runs=runs)
