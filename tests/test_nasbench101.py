"""The original API's calls over our tables."""

from __future__ import annotations

import json
import math
import os
import pickle
import runpy
import sys
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
from naslib_ecnas.ecnasbench import ECNASBench
from naslib_ecnas.errors import (
    MissingDependencyError,
    StorageError,
    UnknownCellError,
    UnknownTableError,
)
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
    asked: Any
    for asked in (36, [108], "4", None):
        with pytest.raises(api.OutOfDomainError, match="4, 108"):
            nasbench.query(spec(5), asked)
    with pytest.raises(api.OutOfDomainError):
        nasbench.query(spec(7), 108)
    both = ["input", "output"]
    for matrix, ops, message in (
        *(([[0, 1]], both, "square"), ([[0, 1], [1, 0]], both, "upper")),
        *(([[0, 1], [0, 0]], ops, "2 operations") for ops in (["input"], None, 5)),
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


def test_statistics_are_there_by_hash(nasbench: api.NASBench) -> None:
    """In the style of scripts that walk over the original's dictionaries."""
    key = list(nasbench.hash_iterator())[5]
    fixed, computed = nasbench.get_metrics_from_hash(key)
    assert nasbench.computed_statistics[key] == computed
    assert nasbench.fixed_statistics[key]["module_operations"] == fixed["module_operations"]
    best, best_accuracy = "", 0.0
    for unique_hash in nasbench.fixed_statistics.keys():  # noqa: SIM118 - as scripts have it
        trainings = nasbench.computed_statistics[unique_hash][4]
        accuracy = np.mean([t["final_validation_accuracy"] for t in trainings])
        if accuracy > best_accuracy:
            best, best_accuracy = unique_hash, float(accuracy)
    module = nasbench.fixed_statistics[best]
    found = api.ModelSpec(module["module_adjacency"], module["module_operations"])
    assert nasbench._hash_spec(found) == found.hash_spec(nasbench.config["available_ops"]) == best
    mean = nasbench.benchmark.values("validation_accuracy", 4)
    assert found.cell is not None
    assert np.nanmax(mean) == mean[found.cell.row] == pytest.approx(best_accuracy)
    assert len(nasbench.computed_statistics) == len(nasbench.hash_iterator()) == 80
    # A change stays, as in the original's dictionary; what is returned is another copy.
    module["module_operations"].insert(1, "null")
    assert nasbench.fixed_statistics[best.upper()]["module_operations"][1] == "null"
    assert nasbench.get_metrics_from_hash(best)[0]["module_operations"][1] != "null"
    absent: Any
    for absent in ("0" * 32, "", 5, Cell.from_row(85).nasbench_hash):
        assert absent not in nasbench.fixed_statistics
        assert nasbench.computed_statistics.get(absent) is None
    again = pickle.loads(pickle.dumps(nasbench))  # noqa: S301
    assert again.fixed_statistics[best]["module_operations"][1] == "null"


def test_what_is_no_cell_of_the_space_is_refused(nasbench: api.NASBench) -> None:
    nasbench._check_spec(spec(85))  # a cell of the space that this table lacks
    seven = api.ModelSpec(np.eye(7, k=1, dtype=int), ["input", *[C3] * 5, "output"])
    apart = api.ModelSpec([[0, 0], [0, 0]], ["input", "output"])
    methods = (nasbench._check_spec, nasbench._hash_spec, nasbench.get_metrics_from_spec)
    for call in (*methods, nasbench.query):
        for wrong, text in ((seven, "7 vertices"), (apart, "a path")):
            with pytest.raises(api.OutOfDomainError, match=text):
                call(wrong)


def test_a_spec_draws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, str]] = []
    drawn = SimpleNamespace(node=lambda *a: lines.append(a), edge=lambda *a: lines.append(a))
    monkeypatch.setitem(sys.modules, "graphviz", SimpleNamespace(Digraph=lambda: drawn))
    matrix = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert api.ModelSpec(matrix, ["input", POOL, C1, "output"]).visualize() is drawn
    assert lines == [("0", "input"), ("1", POOL), ("2", "output"), ("0", "1"), ("1", "2")]
    with pytest.raises(api.OutOfDomainError, match="a path"):
        api.ModelSpec([[0, 0], [0, 0]], ["input", "output"]).visualize()
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(MissingDependencyError, match="graphviz"):
        spec(5).visualize()


def test_a_cell_is_trained_from_scratch(nasbench: api.NASBench, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from naslib_ecnas.training import synthetic

    with pytest.raises(UnknownTableError, match="CIFAR-10"):
        nasbench.evaluate(spec(0), tmp_path / "model")
    tiny = {"data": synthetic(seed=0, images_per_file=4), "batch_size": 4, "device": "cpu"}
    nasbench.config |= {"train_epochs": 1, **tiny}
    data = nasbench.evaluate(spec(0), tmp_path / "model")
    assert set(data) == {*nasbench.query(spec(0))} - {"energy_kwh"}
    assert data["trainable_parameters"] == nasbench.query(spec(0))["trainable_parameters"]
    assert 0 <= data["test_accuracy"] <= 1
    about = json.loads((tmp_path / "model" / "metadata.json").read_text())
    assert about["parameters"] == data["trainable_parameters"]
    assert (tmp_path / "model" / "model.npz").is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        nasbench.evaluate(spec(0), tmp_path / "file" / "model")


def test_ecnasbench_in_the_style_of_its_own_search(
    nasbench: api.NASBench, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its `ecnasnet.py` evaluates a configuration; values: data/test_nasbench_tfrecord.py."""
    benchmark = ECNASBench(nasbench.benchmark)
    benchmark.info()
    printed = capsys.readouterr().out
    for line in ("Datapoints: 477", "models: 80", '"3V": "6 models"', "edges: 5", "(g): unknown"):
        assert line in printed
    seconds = nasbench.benchmark.table.column("training_time_s")
    assert f"time (days): {np.nansum(seconds) / 86_400:.3f} without 3 unknown" in printed
    matrix = np.zeros((4, 4), dtype=np.int8)
    matrix[0, 1] = matrix[1, 2] = matrix[2, 3] = 1
    assert benchmark.get_intermediate_ops() == [C3, C1, POOL]
    model_spec = benchmark.get_model_spec(matrix, ["input", C3, POOL, "output"])
    metrics = benchmark.query(model_spec, epochs=108)
    assert model_spec.cell is not None
    record = nasbench.benchmark.query(model_spec.cell, 108, repeat=0)
    assert metrics["validation_accuracy"] == record.validation_accuracy
    assert metrics["energy (kWh)"] == record.energy_kwh
    again = benchmark.query(model_spec, epochs=np.int64(108))  # not a random training
    assert again["energy (kWh)"] == metrics["energy (kWh)"]
    # What the table lacks is NaN under the original's keys, and never 0.
    assert all(
        math.isnan(metrics[k]) for k in ("co2eq (g)", "total_energy (kWh)", "start_emission")
    )
    assert metrics["avg_power_usages"] == {}
    half = benchmark.query(model_spec, 4, stop_halfway=True)
    assert (
        half["training_time"]
        == nasbench.benchmark.query(model_spec.cell, 4, repeat=0)["halfway_training_time_s"]
    )
    spent = 2 * metrics["training_time"] + half["training_time"]
    assert benchmark.get_budget_counters() == (pytest.approx(spent), 218)
    benchmark.reset_budget_counters()
    assert benchmark.get_budget_counters() == (0.0, 0)
    fixed, computed = benchmark.get_metrics_from_spec(model_spec)
    assert computed[108][0]["final_test_accuracy"] == metrics["test_accuracy"]
    assert fixed["trainable_parameters"] == metrics["trainable_parameters"]
    assert benchmark.get_metrics_from_hash(model_spec.hash_spec())[1].keys() == {4, 108}
    assert list(benchmark.hash_iterator()) == list(nasbench.hash_iterator())
    with pytest.raises(api.OutOfDomainError, match="4, 108"):
        benchmark.query(model_spec, epochs=12)


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
