"""Queries and their records, what they are counted as, values over the space, the true front."""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    ClosedTableError,
    ConfigError,
    InvalidCellError,
    MissingDependencyError,
    ProvenanceError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
    UnknownRepeatError,
)
from naslib_ecnas.metrics import metric
from naslib_ecnas.network import DERIVED
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.records import Front, Record, Spent, mean_power, power_parts

MISSING_ROW = 90
#: What selects no records and names no metric.
KEYS = (None, 1.5, [[0]], [0.5], True, "energy", ["energy_kwh"])
#: A random generator whose draws are the same for each call.
RNG: Callable[[], np.random.Generator] = lambda: np.random.default_rng(0)  # noqa: E731


@pytest.fixture
def bench(tmp_path: Path, table_file: Callable[..., Path]) -> Benchmark:
    """A synthetic table: 90 of 91 cells, two budgets, three repeats, some values missing."""
    rng = RNG()
    names = ("energy_kwh", "validation_accuracy", "training_time_s", "total_started_unix_s")
    values = {name: rng.random((90, 2, 3)) for name in names}
    for array in values.values():
        array[0, 1] = np.nan  # row 0 was not trained at 12 epochs
        array[1, 0, 2] = np.nan  # row 1 has two repeats at 4
    values["energy_kwh"][2, 0] = np.nan  # row 2 was not measured at 4
    return Benchmark(Table.open(table_file(tmp_path / "t.ecnas", values)))


def test_a_query_is_the_mean_over_the_repeats_that_are_there(bench: Benchmark) -> None:
    energy = bench.table.column("energy_kwh")
    record = bench.query(5, 4)
    assert record.energy_kwh == pytest.approx(energy[5, 0].mean(), rel=1e-15)
    assert bench.query(1, 4).energy_kwh == pytest.approx(energy[1, 0, :2].mean(), rel=1e-15)
    assert record.repeat is None
    assert bench.query(5).epochs == 12
    for cell in (Cell.from_row(5), str(Cell.from_row(5)), Cell.from_row(5).nasbench_hash.upper()):
        assert bench.query(cell, 4) == record
    asked: Any = 4.0
    assert type(bench.query(5, asked).epochs) is int
    # A mean of points in time would be no point in time of any training.
    assert "total_started_unix_s" not in record
    # One repeat, and a random one.
    for repeat in range(3):
        assert bench.query(5, 4, repeat=repeat).energy_kwh == energy[5, 0, repeat]
    rng = RNG()
    assert {bench.query(1, 4, rng=rng).repeat for _ in range(50)} == {0, 1}
    assert bench.query(7, 4, rng=RNG()) == bench.query(7, 4, rng=RNG())


def test_many_agree_with_one(bench: Benchmark) -> None:
    rows = np.array([5, 1, 5, 89])
    records = bench.query_many(rows, 4)
    assert len(records) == 4
    assert records.epochs == 4
    assert [r.row for r in records] == rows.tolist()
    for i, row in enumerate(rows.tolist()):
        one = bench.query(row, 4)
        assert records["energy_kwh"][i] == pytest.approx(one.energy_kwh, rel=1e-15)
        assert (records[i].row, records["parameters"][i]) == (row, one.parameters)
    with pytest.raises(IndexError):
        records[4]
    chosen = bench.query_many(rows, 4, repeat=1)
    assert (chosen["energy_kwh"] == bench.table.column("energy_kwh")[rows, 0, 1]).all()
    drawn = bench.query_many(np.full(200, 1), 4, rng=RNG())
    assert {r.repeat for r in drawn} == {0, 1}
    assert all(r.energy_kwh == bench.query(1, 4, repeat=r.repeat).energy_kwh for r in drawn)
    assert len(bench.query_many([], 4)) == 0
    assert bench.query_many([3]).epochs == 12
    assert (bench.query_many([Cell.from_row(5)], 4)["energy_kwh"] == records["energy_kwh"][0]).all()


def test_cells_in_the_forms_that_people_have(bench: Benchmark) -> None:
    cells = [Cell.from_row(row) for row in (5, 80, 11)]
    mask = np.zeros(91, dtype=bool)
    mask[[5, 11, 80]] = True
    for listed in (
        [5, np.int8(80), np.uint64(11)],
        np.array([5, 80, 11], dtype=np.uint8),
        [cells[0], str(cells[1]), (cells[2].matrix, cells[2].ops)],
        [{"matrix": c.matrix, "ops": c.ops} for c in cells],
        np.array([c.nasbench_hash for c in cells]),
        (c for c in cells),
    ):
        assert bench.query_many(listed, 4).rows.tolist() == [5, 80, 11]  # type: ignore[arg-type]
    for chosen in (mask, mask.tolist()):
        assert bench.query_many(chosen, 4).rows.tolist() == [5, 11, 80]
    spec = {"module_adjacency": cells[1].matrix, "module_operations": cells[1].ops}
    for one in (np.array(80), (cells[1].matrix, cells[1].ops), spec):
        assert bench.query(one, np.int16(4), repeat=np.uint8(2)).row == 80  # type: ignore[arg-type]
    with pytest.raises(UnknownCellError, match="90"):
        bench.query_many(np.ones(91, dtype=bool), 4)  # the table lacks one of them


def test_records_select_and_answer_as_a_record_does(bench: Benchmark) -> None:
    records = bench.query_many(np.array([5, 1, 7, 89]), 4, rng=RNG())
    assert (records.energy_kwh == records["energy_kwh"]).all()
    for name in ("energy_kwh", "parameters", "average_power_w"):
        assert getattr(records, name).tolist() == [r[name] for r in records]
        at_rows = bench.query_many(records.rows, 4)
        np.testing.assert_array_equal(at_rows[name], bench.values(name, 4)[records.rows])
    mask = records.energy_kwh > np.median(records.energy_kwh)
    for key in (mask, slice(1, None, 2), [3, 0], np.array([-1])):
        some, wanted = records[key], np.arange(4)[key].tolist()
        assert [*some] == [records[i] for i in wanted]
        assert [r.repeat for r in some] == [records[i].repeat for i in wanted]
    assert len(records[[]]) == 0
    with pytest.raises(IndexError):
        records[np.ones(3, dtype=bool)]
    again = pickle.loads(pickle.dumps(records))  # noqa: S301
    assert again.average_power_w.tolist() == records.average_power_w.tolist()
    for lacks in ("energy", "average_power_w_std", "_energy"):
        assert not hasattr(records, lacks)
    zero = bench.query(2, 4)  # no energy there
    with pytest.raises(UnknownMetricError, match="no energy_kwh of row 2"):
        zero.average_power_w  # noqa: B018


def test_data_frames(bench: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    drawn = bench.query_many([5, 1], 4, rng=RNG())
    frame = drawn.to_pandas()
    assert list(frame)[:4] == ["row", "cell", "epochs", "repeat"]
    assert [Cell(text).row for text in frame.cell] == [5, 1]
    assert frame.row.tolist() == [5, 1]
    assert frame.repeat.tolist() == [r.repeat for r in drawn]
    assert frame.parameters.tolist() == [r.parameters for r in drawn]
    before = bench.spent
    whole = bench.to_pandas(4)
    assert whole.shape == (90, len(frame.columns))
    assert whole.repeat.isna().all()
    values = bench.values("energy_kwh", 4)[whole.row]
    pandas.testing.assert_series_equal(whole.energy_kwh, pandas.Series(values, name="energy_kwh"))
    assert (bench.to_pandas(repeat=1).repeat == 1).all()
    assert bench.to_pandas().epochs.unique().tolist() == [12]
    assert len(bench.query_many([], 4).to_pandas()) == 0
    assert bench.spent.evaluations == before.evaluations
    with pytest.raises(UnknownBudgetError):
        bench.to_pandas(5)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pandas"):
        bench.to_pandas(4)


def test_what_is_missing_or_wrong_is_a_typed_error(bench: Benchmark) -> None:
    query, many, values = bench.query, bench.query_many, bench.values
    started, kept = "total_started_unix_s", many([5], 4)
    calls: list[tuple[type[Exception], str, Callable[[], Any]]] = [
        (UnknownBudgetError, "at 4, 12 epochs, got 108", lambda: query(5, 108)),
        (UnknownBudgetError, "only at 4", lambda: query(0, 12)),
        (UnknownBudgetError, "row 0", lambda: query(0, 12, rng=RNG())),
        (UnknownBudgetError, "row 0", lambda: many([5, 0], 12)),
        (UnknownRepeatError, "fewer repeats of row 1", lambda: query(1, 4, repeat=2)),
        (UnknownRepeatError, "0 to 2, got 3", lambda: query(5, 4, repeat=3)),
        (UnknownRepeatError, "exclude", lambda: query(5, 4, repeat=1, rng=RNG())),
        (UnknownCellError, "90", lambda: query(MISSING_ROW, 4)),
        (UnknownCellError, "90", lambda: many([5, MISSING_ROW], 4)),
        (UnknownCellError, "sequence of cells.* {'op1'", lambda: many({"op1": "conv"}, 4)),
        (UnknownCellError, "sequence of cells.* '0100:", lambda: many("0100:input,output", 4)),
        (UnknownMetricError, "nonsense", lambda: values("nonsense")),
        (UnknownMetricError, "energy", lambda: values(["energy_kwh"])),  # type: ignore[arg-type]
        (UnknownMetricError, "two or more", lambda: bench.front(("energy_kwh",))),
        (UnknownMetricError, "all objectives", lambda: bench.front(("depth", started))),
        *((UnknownMetricError, "only energy_kwh, ", lambda k=k: kept[k]) for k in KEYS),
        (UnknownMetricError, "no energy_kwh of row 2 at 4", lambda: query(2, 4).energy_kwh),
        (UnknownMetricError, "carbon_intensity", lambda: query(5, 4).co2_g),
    ]
    wrong: Any
    for wrong in (1.0, True, "1", np.array([1, 2]), -1):
        calls += [
            (UnknownRepeatError, "0 to 2", lambda w=wrong: query(5, 4, repeat=w)),
            (UnknownRepeatError, "0 to 2", lambda w=wrong: values("energy_kwh", 4, repeat=w)),
            (UnknownRepeatError, "0 to 2", lambda w=wrong: many([5], 4, repeat=w)),
        ]
    rng: Any = 3
    for asked in (lambda: query(5, 4, rng=rng), lambda: many([5], 4, rng=rng)):
        calls.append((ConfigError, "default_rng", asked))
    for wrong in (5, None, [[5]], np.array([[5]]), np.array([2**32 + 5]), [10**30], [-1], [0.5]):
        errors: Any = (UnknownCellError, InvalidCellError)
        calls.append((errors, ".", lambda w=wrong: many(w, 4)))
    before = bench.spent
    for error, text, call in calls:
        with pytest.raises(error, match=text):
            call()
    assert bench.spent.evaluations == before.evaluations + 2  # those of the records above


def test_a_record_has_the_metrics_that_have_a_value(bench: Benchmark) -> None:
    record = Record(5, 12, 1, ("energy_kwh", "test_accuracy"), [0.5, math.nan])
    assert list(record) == ["energy_kwh"]
    assert len(record) == 1
    assert record.cell == Cell.from_row(5)
    assert repr(record) == "Record(row=5, epochs=12, repeat=1, energy_kwh=0.5)"
    assert "parameters" in record  # it answers, though it is no column
    assert record["parameters"] == record.parameters == int(network.parameters(5)[0])
    with pytest.raises(UnknownMetricError, match="no test_accuracy of row 5 at 12 epochs in repe"):
        record.test_accuracy  # noqa: B018
    name: Any
    for name in ("val_accuracy", "energy", "", "_values", 5, None, "test_accuracy"):
        with pytest.raises(UnknownMetricError):
            record[name]
        assert name not in record
        assert record.get(name) is None
        assert record.get(name, 7) == 7
        if isinstance(name, str) and not name.startswith("_"):
            assert not hasattr(record, name)
    two = (("energy_kwh", "training_time_s"), (Provenance("scaled"), Provenance("measured")))
    record_of_two = Record(5, 12, None, two[0], [1.0, 1.0], two)
    with pytest.raises(ProvenanceError, match="same trainings"):
        record_of_two.average_power_w  # noqa: B018
    with pytest.raises(UnknownMetricError, match="only energy_kwh, test_accuracy, parameters"):
        record["energy"]
    listed = record.to_dict()
    keys = {"row", "cell", "epochs", "repeat", "energy_kwh", "test_accuracy"}
    assert set(listed) == keys | {*DERIVED}
    assert math.isnan(listed["test_accuracy"])
    note = "energy_kwh / training_time_s, with all that the energy covers; energy synthetic"
    assert bench.provenance["average_power_w"].note == note
    assert bench.provenance["parameters"].kind == "derived"
    assert "90 cells" in repr(bench)


def test_spending_is_counted_and_unknown_costs_are_counted_apart(bench: Benchmark) -> None:
    assert bench.spent == Spent()
    one, many = bench.query(5, 4), bench.query_many([6, 7], 12)
    spent = bench.spent
    assert (spent.evaluations, spent.epochs) == (3, 28)
    assert spent.seconds == pytest.approx(one.training_time_s + many["training_time_s"].sum())
    assert spent.energy_kwh == pytest.approx(one.energy_kwh + many["energy_kwh"].sum())
    bench.values("parameters")  # known without a table
    assert bench.spent == spent
    bench.values("energy_kwh", 4)
    bench.front(epochs=4)
    assert bench.spent == spent + Spent(columns=3)
    assert "columns=3)" in repr(bench.spent)
    assert bench.spent.to_dict()["columns"] == 3
    # The table has no emissions at all, and no energy of row 2 at 4 epochs.
    bench.query(2, 4)
    bench.query_many([2], 4)
    bench.query(5, 4)
    spent = bench.spent
    assert spent.unknown == {"seconds": 0, "energy_kwh": 2, "co2_g": 6}
    assert spent.known["energy_kwh"] == pytest.approx(2 * one.energy_kwh + many["energy_kwh"].sum())
    assert spent.seconds > 0
    with pytest.raises(UnknownMetricError, match="energy_kwh of 2 of 6 trainings is not known"):
        spent.energy_kwh  # noqa: B018
    with pytest.raises(UnknownMetricError, match="carbon_intensity"):
        spent.co2_g  # noqa: B018
    assert math.isnan(spent.to_dict()["co2_g"])
    assert "without 2 unknown, co2_g=unknown" in repr(spent)
    assert (spent + spent).evaluations == 12
    assert (spent + spent).unknown["energy_kwh"] == 4
    with pytest.raises(TypeError):
        spent + 1  # type: ignore[operator]
    bench.absorb(spent)
    assert bench.spent == spent + spent
    assert bench.spent.columns == 6
    bench.reset_spent()
    nothing = {name: [] for name in ("seconds", "energy_kwh", "co2_g")}
    assert bench.spent == Spent() == Spent.of([], nothing)


def test_a_closed_benchmark_says_so(bench: Benchmark) -> None:
    with bench as same:
        assert same is bench
        record, energy = bench.query(5, 4), bench.values("energy_kwh", 4)
    bench.close()  # again is no error
    assert bench.table.closed
    for call in (bench.query, lambda row: bench.query_many([row]), lambda _: bench.values("depth")):
        with pytest.raises(ClosedTableError, match="is closed"):
            call(5)
    assert record.energy_kwh == energy[5]
    assert bench.spent.evaluations == 1


def test_values_run_over_the_whole_space(bench: Benchmark) -> None:
    values = bench.values("energy_kwh", 4)
    assert values.shape == (91,)
    assert math.isnan(values[MISSING_ROW])
    assert math.isnan(bench.values("energy_kwh", 12)[0])
    power = values * 3.6e6 / bench.values("training_time_s", 4)
    np.testing.assert_array_equal(bench.values("average_power_w", 4), power)


def test_power_is_of_one_training_and_of_the_whole_run_where_that_is_known() -> None:
    gpu, tpu = Provenance("measured", device="GPU"), Provenance("measured", device="TPU")
    assert mean_power([1.0, 1.0], [3.6e6, 0.0], gpu, gpu)[0] == 1.0
    assert math.isnan(mean_power(1.0, 0.0, gpu, gpu))
    for time in (tpu, Provenance("scaled", device="GPU")):
        with pytest.raises(ProvenanceError, match="same trainings"):
            mean_power(1.0, 1.0, gpu, time)
    training, run = ("energy_kwh", "training_time_s"), ("total_energy_kwh", "total_time_s")
    assert power_parts(training, dict.fromkeys(training, gpu)) == training
    assert power_parts((), {}) == training
    every = dict.fromkeys((*training, *run), gpu)
    assert power_parts(tuple(every), every) == run
    # Of totals of unknown origin, or of two machines, nothing is computed.
    for other in (tpu, Provenance("unknown")):
        assert power_parts(tuple(every), every | {"total_time_s": other}) == training
    unknown = every | dict.fromkeys(run, Provenance("unknown"))
    assert power_parts(tuple(every), unknown) == training


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
    assert len(Front(("energy_kwh", "depth"), 12, np.array([5, 80]), np.zeros((2, 2)))) == 2
