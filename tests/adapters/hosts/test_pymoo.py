"""pymoo: a benchmark as a problem, and the operators for cells."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownCellError
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.space import Space

pytest.importorskip("pymoo", reason="pymoo is not installed", exc_type=ImportError)
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.population import Population
from pymoo.indicators.igd import IGD
from pymoo.optimize import minimize

from naslib_ecnas.adapters.pymoo_host import CellProblem, EcnasProblem, operators


@pytest.mark.parametrize("name", ["nsga2.NSGA2", "spea2.SPEA2"])
def test_genetic_algorithms_find_the_front(bench: Benchmark, name: str) -> None:
    module, kind = name.split(".")
    algorithm = getattr(importlib.import_module(f"pymoo.algorithms.moo.{module}"), kind)
    columns = np.column_stack([bench.values(name) for name in OBJECTIVES])
    results = []
    for _ in range(2):
        bench.reset_spent()
        problem = EcnasProblem(bench)
        found = minimize(problem, algorithm(pop_size=20, **operators()), ("n_eval", 200), seed=1)
        assert bench.spent.evaluations == found.algorithm.evaluator.n_eval
        assert (problem.values_of(found.F) == columns[found.X[:, 0]]).all()
        results.append(np.unique(found.X).tolist())
    assert results[0] == results[1]
    assert np.isin(results[0], bench.front(OBJECTIVES).rows).mean() > 0.8


def test_a_history_shares_the_problem_and_nears_the_true_front(bench: Benchmark) -> None:
    problem = EcnasProblem(bench)
    algorithm = NSGA2(pop_size=10, **operators())
    found = minimize(problem, algorithm, ("n_gen", 20), seed=1, save_history=True)
    assert bench.spent.evaluations == found.algorithm.evaluator.n_eval
    assert [entry.problem is problem for entry in found.history] == [True] * 20
    distance = IGD(problem.pareto_front())
    first, last = (distance(found.history[i].opt.get("F")) for i in (0, -1))
    assert last < 0.1 * first


@pytest.mark.parametrize("limits", [{}, {"energy_kwh": 0.5, "validation_accuracy": 0.4}])
@pytest.mark.parametrize("objectives", [OBJECTIVES, "validation_accuracy"])
def test_the_pareto_front_is_the_best_of_what_keeps_the_limits(
    bench: Benchmark, objectives: Any, limits: dict[str, float]
) -> None:
    """Brute force over all cells; the limit of an accuracy is its smallest value."""
    problem = EcnasProblem(bench, objectives, 4, limits)
    rows = problem.evaluation.rows[:, None]
    out = problem.evaluate(rows, return_values_of=["F", "G"], return_as_dictionary=True)
    for excess, (name, limit) in zip(out["G"].T, limits.items(), strict=True):
        costs = metric(name).cost(bench.values(name, 4))[rows[:, 0]]
        assert excess == pytest.approx(costs - metric(name).cost(limit))
    kept = (out["G"] <= 0).all(axis=1)
    assert 0 < kept.sum() < len(rows) or not limits
    costs, rows = out["F"][kept], rows[kept]
    worse = (costs[:, None] >= costs).all(axis=2) & (costs[:, None] > costs).any(axis=2)
    best = np.flatnonzero(~worse.any(axis=1))
    best = best[np.argsort(costs[best, 0])]
    assert problem.pareto_front().tolist() == costs[best].tolist()
    assert problem.pareto_set().tolist() == rows[best].tolist()
    found = minimize(problem, NSGA2(pop_size=20, **operators()), ("n_eval", 200), seed=1)
    assert np.isin(found.X, rows).all()


def test_what_is_no_row_is_refused(bench: Benchmark) -> None:
    problem = EcnasProblem(bench)
    assert problem.evaluate(np.array([[3.0]])).tolist() == problem.evaluate([[3]]).tolist()
    for bad in (3.5, np.nan, np.inf, 1e12, None):
        with pytest.raises(ConfigError, match=r"must be a row.*use pymoo_host.operators"):
            problem.evaluate(np.array([[bad]]))
    with pytest.raises(ConfigError, match="solutions must be an array of numbers"):
        problem.evaluate(np.array([["a"]]))
    with pytest.raises(UnknownCellError):
        problem.evaluate(np.array([[2]]))  # the table lacks it


def test_operators_keep_to_allowed_cells_and_change_them() -> None:
    for vertices in (4, 5, 7):
        space, rng = Space(vertices), np.random.default_rng(0)
        allowed = np.unique(rng.integers(0, len(space), 60))
        problem = CellProblem(space, allowed, 2)
        ways = operators()
        pop = ways["sampling"].do(problem, 200, random_state=rng)
        assert len(np.unique(pop.get("X"))) > 0.9 * len(allowed)
        cross, mutate = ways["crossover"].do, ways["mutation"].do
        children = cross(problem, pop, rng.integers(0, 200, (50, 2)), random_state=rng)
        mutants = mutate(problem, Population.new("X", pop.get("X").copy()), random_state=rng)
        for group in (pop, children, mutants):
            assert np.isin(group.get("X"), allowed).all()
        assert (mutants.get("X") != pop.get("X")).mean() > 0.9
        # Equal parents have no other children.
        same = np.repeat(np.arange(50)[:, None], 2, axis=1)
        found = np.sort(cross(problem, pop, same, random_state=rng).get("X")[:, 0])
        assert (found == np.sort(pop[same.ravel()].get("X")[:, 0])).all()
