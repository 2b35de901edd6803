"""Optuna, pymoo and BoTorch: their search methods, and a benchmark as their objective."""

from __future__ import annotations

import copy
import doctest
import importlib
import importlib.util
import logging
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters.choices import Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import (
    ConfigError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
)
from naslib_ecnas.loading import load
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search import run
from naslib_ecnas.search.methods import ADAPTED

# -- search methods of other libraries ------------------------------------------------------


@pytest.mark.parametrize(
    "method", [name + ":initial=15:pool=20:batch=10" * (name == "qnehvi") for name in ADAPTED]
)
def test_it_searches_a_benchmark_quietly(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """Much better than random search, which reaches .95 with 80 evaluations of this table."""
    bench, (_, _, package) = load("5v"), ADAPTED[method.partition(":")[0]]
    pytest.importorskip(package, reason=f"{package} is not installed", exc_type=ImportError)
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        result = run(bench, method, evaluations=80, seed=0)
    assert not caplog.records
    assert len(result.rows) == 80
    energy, accuracy = result.values.T
    assert accuracy.max() > np.quantile(bench.values("validation_accuracy"), 0.95)
    assert energy.min() < np.quantile(bench.values("energy_kwh"), 0.01)
    assert result.scale.hypervolume(result.values) > 0.965


def test_examples() -> None:
    for module, package in sorted({(module, package) for module, _, package in ADAPTED.values()}):
        if importlib.util.find_spec(package) is not None:
            result = doctest.testmod(importlib.import_module(f"naslib_ecnas.adapters.{module}"))
            assert result.attempted
            assert not result.failed


# -- a benchmark as their objective ---------------------------------------------------------

#: Rows of the four-vertex space that the synthetic table holds, and the one without an energy.
HELD = np.arange(1, 91, 2)
UNKNOWN = 9


@pytest.fixture
def bench(bench_of: Any) -> Benchmark:
    """A synthetic table of half of the four-vertex space."""
    energy, accuracy = np.random.default_rng(5).random((2, len(HELD), 2, 1))
    energy[HELD == UNKNOWN] = np.nan
    values = {"energy_kwh": energy, "validation_accuracy": accuracy}
    made: Benchmark = bench_of(values, name="made", rows=HELD)
    return made


def test_an_evaluation_offers_what_has_every_objective(bench: Benchmark) -> None:
    evaluation = Evaluation(bench)
    assert evaluation.epochs == 12
    assert evaluation.rows.tolist() == [r for r in HELD if r != UNKNOWN]
    assert Evaluation(bench, "validation_accuracy").rows.tolist() == HELD.tolist()
    assert Evaluation(bench, ("parameters", "depth"), 4).rows.tolist() == HELD.tolist()
    found = evaluation.values([3, 5, 3])
    for column, name in zip(found.T, OBJECTIVES, strict=True):
        assert column.tolist() == bench.values(name, 12)[[3, 5, 3]].tolist()
    assert bench.spent.evaluations == 3
    assert Evaluation(bench, budgets=None).budgets == (4, 12)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"bench": "5v"}, ConfigError, "bench must be a Benchmark, got '5v'; make it by"),
        *(({"objectives": x}, UnknownMetricError, "a metric") for x in (None, 5, ("energy",))),
        ({"objectives": ()}, ConfigError, "one or more different metrics"),
        ({"objectives": ("energy_kwh",) * 2}, ConfigError, "one or more different metrics"),
        *(({"epochs": x}, UnknownBudgetError, "4, 12 epochs, got") for x in (108, "4")),
        ({"budgets": [4, 5]}, UnknownBudgetError, "4, 12 epochs, got 5"),
        *(({"budgets": x}, ConfigError, "a list of whole numbers, got") for x in (4, [None], "4")),
        ({"constraints": [1]}, ConfigError, "constraints must be limits"),
        *(
            ({"constraints": {"energy_kwh": x}}, ConfigError, "energy_kwh of constraints must be")
            for x in (np.nan, "0.3")
        ),
        ({"constraints": {"energy": 1.0}}, UnknownMetricError, "a metric"),
        ({"constraints": {"validation_accuracy": 95}}, ConfigError, "at most 1 .*got 95"),
        ({"constraints": {"energy_kwh": -5}}, ConfigError, "limit of energy_kwh must be above 0"),
        ({"constraints": {"energy_kwh": 1e-9}}, ConfigError, "made keeps the limits at 12 epochs"),
    ],
)
def test_other_settings_are_refused(
    bench: Benchmark, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Evaluation(**{"bench": bench, **settings})


def test_an_outcome_has_values_costs_violations_and_what_was_charged(bench: Benchmark) -> None:
    limits = {"energy_kwh": 0.5, "validation_accuracy": 0.4}
    evaluation = Evaluation(bench, OBJECTIVES, constraints=limits, budgets=(4,))
    assert evaluation.budgets == (4, 12)
    for row in evaluation.rows.tolist():
        for epochs in evaluation.budgets:
            energy, accuracy = (bench.values(name, epochs)[row] for name in OBJECTIVES)
            outcome = evaluation(evaluation.choices.params(row), np.int64(epochs))
            assert outcome == evaluation(row, epochs)
            assert (outcome.record.row, outcome.record.epochs) == (row, epochs)
            assert outcome.values == (energy, accuracy)
            assert outcome.costs == (energy, -accuracy)
            violations = {"energy_kwh": energy - 0.5, "validation_accuracy": 0.4 - accuracy}
            assert outcome.violations == pytest.approx(violations)
            assert outcome.feasible == (energy <= 0.5 and accuracy >= 0.4)
    assert bench.spent.evaluations == 4 * len(evaluation.rows)
    assert evaluation(1).record.epochs == 12
    with pytest.raises(UnknownBudgetError):
        evaluation(1, 108)
    with pytest.raises(UnknownCellError):
        evaluation(2)
    with pytest.raises(UnknownMetricError):
        evaluation(UNKNOWN)


def test_evaluations_count_from_all_threads_and_copies_for_themselves(bench: Benchmark) -> None:
    evaluation = Evaluation(bench, constraints={"energy_kwh": 0.5})
    params = [evaluation.choices.params(row) for row in evaluation.rows.tolist()]
    copied = copy.deepcopy(evaluation)
    expected = [copied(p) for p in params]
    assert not bench.spent.evaluations
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(evaluation, params)) == expected
    assert bench.spent.evaluations == copied.bench.spent.evaluations == len(params)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as processes:
        assert list(processes.map(evaluation, params)) == expected
