"""mf-prior-bench: configurations, results at budgets, trajectories, and costs between budgets."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.loading import load

pytest.importorskip("mfpbench", reason="mf-prior-bench is not installed", exc_type=ImportError)
from naslib_ecnas.adapters.mfpbench_host import EcnasCosts, EcnasMfBenchmark, EcnasResult

BUDGETS = (4, 12, 36, 108)


@pytest.fixture(scope="module")
def table() -> Benchmark:
    return load("4v")


def test_results_have_the_values_of_the_table(table: Benchmark) -> None:
    table.reset_spent()
    bench = EcnasMfBenchmark(table, seed=3)
    assert (bench.start, bench.end, bench.fidelity_name) == (4, 108, "epochs")
    for config in bench.sample(10, seed=0):
        row = bench.evaluation.choices.row(config)
        at = {e: {n: table.values(n, e)[row] for n in bench.metrics} for e in BUDGETS}
        results = bench.trajectory(config)
        assert [r.fidelity for r in results] == list(BUDGETS)
        assert [r.values for r in results] == list(at.values())
        last = bench.query(dict(config))
        assert last.values == at[108]
        assert last.cost == at[108]["training_time_s"]
        assert last.energy_kwh.error == at[108]["energy_kwh"]
        assert last.error == pytest.approx(1 - at[108]["validation_accuracy"])
        assert last.test_score == pytest.approx(1 - at[108]["test_accuracy"])
    assert table.spent.evaluations == 50
    assert [r.fidelity for r in bench.trajectory(config, frm=5, to=36)] == [12, 36]


def test_an_accuracy_is_not_interpolated(table: Benchmark) -> None:
    bench = EcnasMfBenchmark(table)
    config = bench.sample(seed=0)
    for at in (20, 109, 0, math.nan, "12"):
        with pytest.raises(UnknownBudgetError, match=f"4, 12, 36, 108 epochs, got {at!r}"):
            bench.query(config, at=at)
    assert bench.query(config, at=12, value_metric="test_accuracy").fidelity == 12
    with pytest.raises(UnknownBudgetError, match="got 8"):
        bench.trajectory(config, step=4)
    with pytest.raises(ConfigError, match="edge_0_1 must be one of 0, 1"):
        bench.query({**config, "edge_0_1": 2})


def test_costs_grow_linearly_with_the_epochs_and_are_counted(table: Benchmark) -> None:
    table.reset_spent()
    bench = EcnasMfBenchmark(table, costs_only=True)
    config = bench.sample(seed=1)
    results = bench.trajectory(config, step=1)
    assert [r.fidelity for r in results] == list(range(4, 109))
    assert {type(r) for r in results} == {EcnasCosts}
    for name in bench.metrics:
        values = np.array([r[name].value for r in results])
        assert np.diff(values) == pytest.approx(np.full(104, values[1] - values[0]), rel=1e-5)
        row = bench.evaluation.choices.row(config)
        assert [values[b - 4] for b in BUDGETS] == [table.values(name, b)[row] for b in BUDGETS]
    assert (table.spent.evaluations, table.spent.epochs) == (105, sum(range(4, 109)))
    assert table.spent.energy_kwh == pytest.approx(sum(r.energy_kwh.value for r in results))
    assert table.spent.seconds == pytest.approx(sum(r.cost for r in results))
    for at in (5.5, 3, 109, math.nan, "12"):
        with pytest.raises(UnknownBudgetError, match=f"whole epochs from 4 to 108, got {at!r}"):
            bench.query(config, at=at)


def test_settings_of_the_host(table: Benchmark) -> None:
    config = EcnasMfBenchmark(table).sample(seed=2)
    bench = EcnasMfBenchmark(table, prior=config, value_metric="energy_kwh")
    assert bench.prior == config
    assert dict(bench.space.get_default_configuration()) == dict(config)
    result = bench.query(config, at=4)
    assert result.error == result.energy_kwh.value


def test_all_of_it_travels(table: Benchmark) -> None:
    bench = EcnasMfBenchmark(table)
    config = bench.sample(seed=2)
    assert len(config) == 8
    result = bench.query(config)
    for there in (lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy):  # noqa: S301
        assert there(config) == config
        assert hash(there(config)) == hash(config)
        assert there(result) == result
        assert isinstance(there(result), EcnasResult)
        assert there(bench).query(there(config)) == result


def test_a_table_without_the_metrics_is_refused(bench: Benchmark) -> None:
    with pytest.raises(UnknownMetricError, match="test_accuracy"):
        EcnasMfBenchmark(bench)
