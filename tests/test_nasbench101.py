"""The original API's calls over our tables."""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import nasbench101 as api
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.topologies import OPERATIONS

C3, C1, POOL = OPERATIONS
NAMES = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy", "energy_kwh")


@pytest.fixture
def nasbench(tmp_path: Path, table_file: Callable[..., Path]) -> api.NASBench:
    rng = np.random.default_rng(0)
    names = [prefix + name for prefix in ("", "halfway_") for name in NAMES]
    values = {name: rng.random((80, 2, 3)) for name in names}
    for array in values.values():
        array[7, 1] = np.nan
    path = table_file(tmp_path / "t.ecnas", values, budgets=(4, 108))
    return api.NASBench(Benchmark(Table.open(path)), seed=0)


def spec(row: int) -> api.ModelSpec:
    cell = Cell.from_row(row)
    return api.ModelSpec(cell.matrix, list(cell.ops))


def test_a_query_is_one_of_the_repeats(nasbench: api.NASBench) -> None:
    fixed, computed = nasbench.get_metrics_from_spec(spec(5))
    assert set(computed) == {4, 108}
    assert len(computed[108]) == 3
    data = nasbench.query(spec(5), epochs=108)
    assert data["training_time"] in [c["final_training_time"] for c in computed[108]]
    chosen = next(c for c in computed[108] if c["final_training_time"] == data["training_time"])
    assert data["test_accuracy"] == chosen["final_test_accuracy"]
    assert data["energy_kwh"] == chosen["energy_kwh"]
    assert data["trainable_parameters"] == fixed["trainable_parameters"]
    assert data["module_operations"] == list(Cell.from_row(5).ops)
    half = nasbench.query(spec(5), epochs=108, stop_halfway=True)
    assert half["validation_accuracy"] in [c["halfway_validation_accuracy"] for c in computed[108]]
    spent = pytest.approx(data["training_time"] + half["training_time"])
    assert nasbench.get_budget_counters() == (spent, 162)
    nasbench.reset_budget_counters()
    assert nasbench.get_budget_counters() == (0.0, 0)
    # Every value of the table is there, some under the original's keys.
    for repeat, found in enumerate(computed[108]):
        record = nasbench.benchmark.query(5, 108, repeat=repeat)
        for name in NAMES[:4]:
            assert found[f"final_{name.removesuffix('_s')}"] == record[name]
            assert found[f"halfway_{name.removesuffix('_s')}"] == record[f"halfway_{name}"]
        assert found["energy_kwh"] == record.energy_kwh
        assert len(found) == len(record)
    # Every repeat comes up, and the seed decides.
    seen = {nasbench.query(spec(3), epochs=4)["training_time"] for _ in range(60)}
    assert len(seen) == 3
    again = api.NASBench(nasbench.benchmark, seed=0)
    other = api.NASBench(nasbench.benchmark, seed=0)
    for _ in range(10):
        assert again.query(spec(3), 4)["training_time"] == other.query(spec(3), 4)["training_time"]


def test_validity_is_that_of_the_table(nasbench: api.NASBench) -> None:
    assert nasbench.is_valid(spec(5))
    assert nasbench.is_valid(Cell.from_row(5))
    assert not nasbench.is_valid(spec(85))  # a cell, but not of this table
    disconnected = api.ModelSpec([[0, 0], [0, 0]], ["input", "output"])
    assert not disconnected.valid_spec
    assert disconnected.matrix is None
    assert not nasbench.is_valid(disconnected)
    wrong = api.ModelSpec([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv5x5", "output"])
    assert wrong.valid_spec
    assert not nasbench.is_valid(wrong)
    with pytest.raises(api.OutOfDomainError, match="operation of vertex 1"):
        nasbench.query(wrong, 4)
    with pytest.raises(api.OutOfDomainError, match="4, 108"):
        nasbench.query(spec(5), 36)
    with pytest.raises(api.OutOfDomainError):
        nasbench.query(spec(7), 108)
    both = ["input", "output"]
    for matrix, ops, message in (
        *(([[0, 1]], both, "square"), ([[0, 1], [1, 0]], both, "upper")),
        ([[0, 1], [0, 0]], ["input"], "operations"),
    ):
        with pytest.raises(ValueError, match=message):
            api.ModelSpec(matrix, ops)


def test_pruning_keeps_the_order_given() -> None:
    matrix = np.zeros((5, 5), dtype=int)
    matrix[0, 1] = matrix[0, 3] = matrix[1, 4] = matrix[3, 4] = matrix[0, 2] = 1
    model = api.ModelSpec(matrix, ["input", POOL, C1, C3, "output"])
    assert model.ops == ["input", POOL, C3, "output"]
    assert model.matrix.tolist() == [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert model.hash_spec() == Cell(matrix, model.original_ops).nasbench_hash
    with pytest.raises(api.OutOfDomainError):
        model.hash_spec([C1, C3, POOL])


def test_hashes_lead_back_to_the_cells(nasbench: api.NASBench) -> None:
    hashes = list(nasbench.hash_iterator())
    assert len(hashes) == len(set(hashes)) == 80
    fixed, _ = nasbench.get_metrics_from_hash(hashes[11])
    assert Cell(fixed["module_adjacency"], fixed["module_operations"]).row == 11
    with pytest.raises(UnknownCellError, match=r"^no cell of") as raised:
        nasbench.get_metrics_from_hash("0" * 32)
    assert isinstance(raised.value, KeyError)
    with pytest.raises(KeyError):
        nasbench.get_metrics_from_hash(Cell.from_row(85).nasbench_hash)


def test_a_table_with_a_single_metric(tmp_path: Path, table_file: Callable[..., Path]) -> None:
    values = {"validation_accuracy": np.full((1, 1, 1), 0.5)}
    nasbench = api.NASBench(Table.open(table_file(tmp_path / "t.ecnas", values, budgets=(4,))))
    data = nasbench.query(Cell.from_row(0), 4)
    assert data["validation_accuracy"] == 0.5
    with pytest.raises(KeyError, match="the table has only") as raised:
        data["training_time"]
    assert isinstance(raised.value, api.NoValueError)
    with pytest.raises(api.OutOfDomainError, match="halfway"):
        nasbench.query(Cell.from_row(0), 4, stop_halfway=True)
    assert nasbench.total_epochs_spent == 4
    with pytest.warns(UserWarning, match="lacks 1 of 1 queries"):
        assert nasbench.get_budget_counters() == (0.0, 4)


def test_it_answers_as_naslibs_copy_of_the_original(nasbench: api.NASBench) -> None:
    """Pruning, hashes and validity against NASLib's file, loaded alone, on random matrices."""
    original = _original()
    rng = np.random.default_rng(1)
    for _ in range(300):
        v = int(rng.integers(2, 8))
        matrix = np.triu(rng.integers(0, 2, (v, v)), 1)
        ops = ["input", *rng.choice([*OPERATIONS], v - 2).tolist(), "output"]
        theirs, ours = original.ModelSpec(matrix, ops), api.ModelSpec(matrix, ops)
        assert theirs.valid_spec == ours.valid_spec
        if not theirs.valid_spec:
            continue
        assert (theirs.matrix == ours.matrix).all()
        assert theirs.ops == ours.ops
        if ours.cell is not None:
            assert theirs.hash_spec(list(OPERATIONS)) == ours.hash_spec()
        else:
            assert theirs.matrix.sum() > 9
        assert nasbench.is_valid(theirs) == nasbench.is_valid(ours)


def _original() -> Any:
    home = Path(os.environ.get("NASLIB_HOME", Path.home() / "NASLib"))
    file = home / "naslib" / "utils" / "nb101_api.py"
    if not file.exists():
        pytest.skip(f"NASLib is not at {home}: clone it there or set NASLIB_HOME")
    return SimpleNamespace(**runpy.run_path(str(file)))
