"""Queries, their count, and the true front."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark, mean_power, power_parts
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import (
    ConfigError,
    InvalidCellError,
    ProvenanceError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
    UnknownRepeatError,
    UnknownTableError,
)
from naslib_ecnas.loading import load
from naslib_ecnas.metrics import METRICS, metric
from naslib_ecnas.provenance import Provenance

MISSING_ROW = 90


@pytest.fixture
def bench(tmp_path: Path) -> Benchmark:
    """A synthetic table: 90 of 91 cells, two budgets, three repeats, some values missing."""
    rng = np.random.default_rng(0)
    shape = (90, 2, 3)
    names = ("energy_kwh", "validation_accuracy", "training_time_s", "total_started_unix_s")
    values = {name: rng.random(shape) for name in names}
    for array in values.values():
        array[0, 1] = np.nan  # row 0 was not trained at 12 epochs
        array[1, 0, 2] = np.nan  # row 1 has two repeats at 4
    write_table(
        tmp_path / "t.ecnas",
        Columns(
            "synthetic",
            4,
            np.arange(90, dtype=np.int32),
            (4, 12),
            3,
            values,
            dict.fromkeys(names, Provenance("synthetic")),
        ),
    )
    return Benchmark(Table.open(tmp_path / "t.ecnas"))


def test_a_query_is_the_mean_over_the_repeats_that_are_there(bench: Benchmark) -> None:
    energy = bench.table.column("energy_kwh")
    record = bench.query(5, 4)
    assert record.energy_kwh == pytest.approx(energy[5, 0].mean(), rel=1e-15)
    assert record["energy_kwh"] == record.energy_kwh
    assert bench.query(1, 4).energy_kwh == pytest.approx(energy[1, 0, :2].mean(), rel=1e-15)
    assert bench.query(5, 4).repeat is None
    assert bench.query(5).epochs == 12
    assert bench.query(Cell.from_row(5), 4) == record
    assert bench.query(str(Cell.from_row(5)), 4) == record
    assert record.cell == Cell.from_row(5)
    # A mean of points in time would be no point in time of any training.
    assert math.isnan(record.total_started_unix_s)


def test_many_cells_have_the_largest_budget_by_default(bench: Benchmark) -> None:
    records = bench.query_many([3, 5])
    assert records.epochs == 12
    assert (records["energy_kwh"] == bench.query_many([3, 5], 12)["energy_kwh"]).all()
    assert bench.spent.epochs == 4 * 12


def test_one_repeat_and_a_random_one(bench: Benchmark) -> None:
    energy = bench.table.column("energy_kwh")
    for repeat in range(3):
        assert bench.query(5, 4, repeat=repeat).energy_kwh == energy[5, 0, repeat]
    rng = np.random.default_rng(0)
    drawn = {bench.query(1, 4, rng=rng).repeat for _ in range(50)}
    assert drawn == {0, 1}
    one, two = (bench.query(7, 4, rng=np.random.default_rng(3)) for _ in range(2))
    assert one == two


def test_many_agree_with_one(bench: Benchmark) -> None:
    rows = np.array([5, 1, 5, 89])
    records = bench.query_many(rows, 4)
    assert len(records) == 4
    for i, row in enumerate(rows.tolist()):
        one = bench.query(row, 4)
        assert records["energy_kwh"][i] == pytest.approx(one.energy_kwh, rel=1e-15)
        assert records[i].row == row
        assert records["parameters"][i] == one.parameters
    assert [r.row for r in records] == rows.tolist()
    chosen = bench.query_many(rows, 4, repeat=1)
    assert (chosen["energy_kwh"] == bench.table.column("energy_kwh")[rows, 0, 1]).all()
    drawn = bench.query_many(np.full(200, 1), 4, rng=np.random.default_rng(0))["energy_kwh"]
    assert set(drawn.tolist()) == set(bench.table.column("energy_kwh")[1, 0, :2].tolist())
    repeats = bench.query_many(np.full(50, 1), 4, rng=np.random.default_rng(0))
    assert {r.repeat for r in repeats} == {0, 1}
    assert all(r.energy_kwh == bench.query(1, 4, repeat=r.repeat).energy_kwh for r in repeats)
    assert len(bench.query_many([], 4)) == 0
    assert (bench.query_many([Cell.from_row(5)], 4)["energy_kwh"] == records["energy_kwh"][0]).all()


def test_what_is_missing_is_said(bench: Benchmark) -> None:
    with pytest.raises(UnknownBudgetError, match="4, 12 epochs"):
        bench.query(5, 108)
    with pytest.raises(UnknownBudgetError, match="one of 4 epochs"):
        bench.query(0, 12)
    with pytest.raises(UnknownBudgetError):
        bench.query(0, 12, rng=np.random.default_rng(0))
    with pytest.raises(UnknownBudgetError):
        bench.query_many([5, 0], 12)
    with pytest.raises(UnknownRepeatError):
        bench.query(1, 4, repeat=2)
    with pytest.raises(UnknownRepeatError, match="0 to 2"):
        bench.query(5, 4, repeat=3)
    with pytest.raises(UnknownRepeatError, match="exclude"):
        bench.query(5, 4, repeat=1, rng=np.random.default_rng(0))
    with pytest.raises(UnknownCellError):
        bench.query(MISSING_ROW, 4)
    with pytest.raises(UnknownCellError):
        bench.query_many([5, MISSING_ROW], 4)
    with pytest.raises(UnknownCellError):
        bench.query_many(np.array([0.5]), 4)
    with pytest.raises(UnknownMetricError, match="energy_kwh"):
        bench.query(5, 4).test_accuracy  # noqa: B018
    assert not hasattr(bench.query(5, 4), "test_accuracy")
    with pytest.raises(UnknownMetricError):
        bench.values("nonsense")
    with pytest.raises(UnknownTableError):
        load("no-such-table")


def test_odd_arguments_are_typed_errors(bench: Benchmark) -> None:
    for repeat in (1.0, True, "1", np.array([1, 2]), -1):
        for ask in (bench.query, bench.values, bench.query_many):
            first: object = [5] if ask == bench.query_many else 5
            with pytest.raises(UnknownRepeatError):
                ask("energy_kwh" if ask == bench.values else first, 4, repeat=repeat)  # type: ignore[arg-type]
    for query, cell in ((bench.query, 5), (bench.query_many, [5])):
        with pytest.raises(ConfigError, match="default_rng"):
            query(cell, 4, rng=3)  # type: ignore[arg-type, operator]
    for cells in (5, None, [[5]], np.array([[5]]), np.array([2**32 + 5]), [-1]):
        with pytest.raises((UnknownCellError, InvalidCellError)):
            bench.query_many(cells, 4)  # type: ignore[arg-type]
    with pytest.raises(UnknownMetricError):
        bench.values(["energy_kwh"])  # type: ignore[arg-type]
    with pytest.raises(UnknownMetricError, match="all objectives"):
        bench.front(("energy_kwh", "total_started_unix_s"), epochs=4)
    with pytest.raises(UnknownMetricError):
        bench.query_many([5], 4)[0:1]
    with pytest.raises(UnknownTableError):
        load(None)  # type: ignore[arg-type]
    assert bench.query(5, 4.0).epochs == 4  # type: ignore[arg-type]
    assert type(bench.query(5, 4.0).epochs) is int  # type: ignore[arg-type]
    by_hash = bench.query(Cell.from_row(5).nasbench_hash.upper(), 4)
    assert by_hash == bench.query(5, 4)


def test_spending_is_counted_and_unknown_costs_are_nan(bench: Benchmark) -> None:
    assert bench.spent.evaluations == 0
    one = bench.query(5, 4)
    many = bench.query_many([6, 7], 12)
    spent = bench.spent
    assert (spent.evaluations, spent.epochs) == (3, 28)
    assert spent.seconds == pytest.approx(one.training_time_s + many["training_time_s"].sum())
    assert spent.energy_kwh == pytest.approx(one.energy_kwh + many["energy_kwh"].sum())
    assert math.isnan(spent.co2_g)  # the table has no such column
    bench.values("energy_kwh", 4)
    bench.front(epochs=4)
    assert repr(bench.spent) == repr(spent)  # NaN equals nothing
    for wrong in (lambda: bench.query(0, 12), lambda: bench.query_many([5, MISSING_ROW], 4)):
        with pytest.raises(LookupError):
            wrong()
    assert repr(bench.spent) == repr(spent)
    bench.reset_spent()
    assert bench.spent.energy_kwh == 0


def test_values_run_over_the_whole_space(bench: Benchmark) -> None:
    values = bench.values("energy_kwh", 4)
    assert values.shape == (91,)
    assert math.isnan(values[MISSING_ROW])
    assert values[5] == pytest.approx(bench.query(5, 4).energy_kwh)
    assert math.isnan(bench.values("energy_kwh", 12)[0])
    assert bench.values("parameters", 4)[3] == bench.query(3, 4).parameters
    power = bench.values("energy_kwh", 4) * 3.6e6 / bench.values("training_time_s", 4)
    np.testing.assert_array_equal(bench.values("average_power_w", 4), power)


def test_power_of_different_trainings_is_no_power() -> None:
    one, other = Provenance("measured", device="GPU"), Provenance("measured", device="TPU")
    assert mean_power([1.0, 1.0], [3.6e6, 0.0], one, one)[0] == 1.0
    assert math.isnan(mean_power(1.0, 0.0, one, one))
    for time in (other, Provenance("scaled", device="GPU")):
        with pytest.raises(ProvenanceError, match="same trainings"):
            mean_power(1.0, 1.0, one, time)


def test_power_is_of_the_whole_run_where_it_is_known() -> None:
    training, run = ("energy_kwh", "training_time_s"), ("total_energy_kwh", "total_time_s")
    gpu, tpu = Provenance("measured", device="GPU"), Provenance("measured", device="TPU")
    assert power_parts(training, dict.fromkeys(training, gpu)) == training
    assert power_parts((), {}) == training
    every = dict.fromkeys((*training, *run), gpu)
    assert power_parts(tuple(every), every) == run
    # Of totals that nobody looked at, or of two machines, nothing is computed.
    for other in (tpu, Provenance("unknown")):
        assert power_parts(tuple(every), every | {"total_time_s": other}) == training
    unknown = every | dict.fromkeys(run, Provenance("unknown"))
    assert power_parts(tuple(every), unknown) == training


def test_power_of_published_trainings_is_what_their_sensors_say(reference: Path) -> None:
    published = load(reference / "official" / "energy_4V9E_rtx3090.tfrecord")
    power = published.values("average_power_w", 4)
    # One CPU package there, so that GPU and CPU columns are all that the energy holds.
    sensors = published.values("gpu_power_w", 4) + published.values("cpu_power_w", 4)
    assert np.median(power / sensors) == pytest.approx(1.59, abs=0.01)
    assert published.provenance["average_power_w"].note is not None
    assert "total_energy_kwh / total_time_s" in published.provenance["average_power_w"].note


def test_the_front_agrees_with_brute_force(bench: Benchmark) -> None:
    objectives = ("energy_kwh", "validation_accuracy", "training_time_s")
    for names in (objectives[:2], objectives):
        front = bench.front(names, epochs=12)
        costs = np.column_stack([metric(n).cost(bench.values(n, 12)) for n in names])
        there = [r for r in range(91) if not np.isnan(costs[r]).any()]
        expected = [
            r
            for r in there
            if not any((costs[s] <= costs[r]).all() and (costs[s] < costs[r]).any() for s in there)
        ]
        assert sorted(front.rows.tolist()) == expected
        assert (np.diff(front.values[:, 0]) >= 0).all()
        assert [c.row for c in front.cells] == front.rows.tolist()
    with pytest.raises(UnknownMetricError):
        bench.front(("energy_kwh",))


def test_directions_and_units_are_the_metrics_own() -> None:
    assert metric("validation_accuracy").maximise
    assert not metric("energy_kwh").maximise
    assert metric("validation_accuracy").cost([0.9]).tolist() == [-0.9]
    assert metric("energy_kwh").cost([0.9]).tolist() == [0.9]
    for m in METRICS.values():
        assert m.from_cost(m.cost([0.25, 3.0])).tolist() == [0.25, 3.0]
        assert m.best([0.2, np.nan, 0.7]) == (0.7 if m.maximise else 0.2)
        assert m.worst([0.2, np.nan, 0.7]) == (0.2 if m.maximise else 0.7)
        suffix = {"kWh": "_kwh", "s": "_s", "J": "_j", "W": "_w", "gCO2eq": "_g"}.get(m.unit)
        assert suffix is None or m.name.removesuffix("_std").endswith(suffix)
    assert math.isnan(metric("energy_kwh").best([np.nan]))
    with pytest.raises(UnknownMetricError, match="energy_kwh"):
        metric("energy")


def test_a_record_prints_and_lists_itself(bench: Benchmark) -> None:
    record = bench.query(5, 4)
    assert "energy_kwh=" in repr(record)
    assert dict(record).keys() == set(bench.metrics)
    listed = record.to_dict()
    assert listed["cell"] == str(Cell.from_row(5))
    assert listed["multiply_adds"] == record.multiply_adds
    assert bench.provenance["parameters"].kind == "derived"
    assert "synthetic" in str(bench.provenance["average_power_w"])
    assert "90 cells" in repr(bench)
