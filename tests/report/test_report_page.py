"""What a page is made of, and that it comes back from its packed form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import ProvenanceError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.report.page import coded, gather, pack, unpack_columns
from naslib_ecnas.report.runs import find_runs
from naslib_ecnas.space import Space


def test_columns_are_the_tables(six_path: Path) -> None:
    six = Benchmark(Table.open(six_path))
    page = gather(six)
    # Emissions of 0 throughout tell nothing and are left out.
    assert page.metrics == ("energy_kwh", "training_time_s", "validation_accuracy", "parameters")
    assert (page.n_cells, page.n_held) == (len(Space(6)), len(Space(6)) - 2)
    assert page.epochs == 12
    for column in page.columns:
        expected = six.values(column.name, column.epochs)
        assert np.array_equal(column.values, expected, equal_nan=True)
    assert six.spent.evaluations == 0


def test_fronts_are_the_tables(six: Benchmark) -> None:
    page = gather(six)
    assert len(page.fronts) == 2 * 6
    for front in page.fronts:
        assert np.array_equal(front.rows, six.front(front.objectives, front.epochs).rows)
        assert np.isin(front.rows, page.exact_rows).all()


def test_runs_add_their_objectives_and_exact_rows(six: Benchmark, run_folder: Path) -> None:
    runs = find_runs([run_folder])
    page = gather(six, [replace(runs[0], objectives=("depth", "energy_kwh"))])
    assert "depth" in page.metrics
    assert np.isin(runs[0].rows, page.exact_rows).all()


def test_the_budget_shown_first(six: Benchmark, run_folder: Path) -> None:
    runs = find_runs([run_folder])
    at_4 = [replace(run, epochs=4) for run in runs]
    assert gather(six, at_4).epochs == 4
    assert gather(six, [runs[0], *at_4]).epochs == 12  # they differ: the largest
    assert gather(six, runs, epochs=4).epochs == 4
    with pytest.raises(UnknownBudgetError, match="4, 12"):
        gather(six, epochs=5)


def test_runs_of_another_table_are_refused(six: Benchmark, run_folder: Path) -> None:
    run = find_runs([run_folder])[0]
    with pytest.raises(ProvenanceError, match="--table"):
        gather(six, [replace(run, checksum="0" * 64)])
    with pytest.raises(ProvenanceError, match="70000"):
        gather(six, [replace(run, rows=np.array([70000], dtype=np.int32))])
    with pytest.raises(ProvenanceError, match="-1"):
        gather(six, [replace(run, rows=np.array([-1], dtype=np.int32))])


def test_a_table_with_too_little_is_refused(tmp_path: Path) -> None:
    values = {"energy_kwh": np.full((1, 1, 1), 0.1)}
    origin = {"energy_kwh": Provenance("synthetic")}
    rows = np.zeros(1, dtype=np.int32)
    write_table(tmp_path / "t.ecnas", Columns("tiny", 2, rows, (4,), 1, values, origin))
    with pytest.raises(UnknownMetricError, match="too little"):
        gather(Benchmark(Table.open(tmp_path / "t.ecnas")))


def test_a_packed_page_comes_back_within_its_errors(six: Benchmark, run_folder: Path) -> None:
    page = gather(six, find_runs([run_folder]))
    columns = coded(page)
    assert [c.error == 0 for c in columns] == [False] * 6 + [True]
    data = pack(page, columns)
    assert data == pack(page, columns)
    back = unpack_columns(data)
    for column, packed in zip(page.columns, columns, strict=True):
        got = back[column.name, column.epochs]
        assert np.array_equal(np.isnan(got), np.isnan(column.values))
        scale = column.values if packed.log else 1.0
        assert np.nanmax(np.abs(got - column.values) / scale) <= packed.error
