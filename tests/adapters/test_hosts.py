"""Optuna, pymoo and BoTorch: their search methods, and a benchmark as their objective."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import logging
import random
import warnings
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters.choices import Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    ConfigError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownMetricError,
)
from naslib_ecnas.loading import load
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search import Optimiser, Problem, check, run
from naslib_ecnas.space import Space

# -- search methods of other libraries ------------------------------------------------------

#: (library, module, class, settings for a quick test)
METHODS = [
    ("optuna", "optuna_host", "Motpe", {}),
    ("optuna", "optuna_host", "OptunaNsga2", {}),
    ("optuna", "optuna_host", "OptunaNsga3", {}),
    ("pymoo", "pymoo_host", "PymooNsga2", {}),
    ("pymoo", "pymoo_host", "SmsEmoa", {}),
    ("botorch", "botorch_qnehvi", "Qnehvi", {"initial": 15, "pool": 20, "batch": 10}),
]


def adapter(library: str, module: str) -> Any:
    pytest.importorskip(library, reason=f"{library} is not installed", exc_type=ImportError)
    return importlib.import_module(f"naslib_ecnas.adapters.{module}")


@pytest.fixture(params=METHODS, ids=lambda m: m[2])
def method(request: pytest.FixtureRequest) -> type[Optimiser]:
    """The class, with the quick settings as its defaults."""
    library, module, name, quick = request.param
    kind: type[Optimiser] = getattr(adapter(library, module), name)
    if not quick:
        return kind

    class Quick(kind):  # type: ignore[misc, valid-type]
        def __init__(self, problem: Problem, **options: Any) -> None:
            super().__init__(problem, **{**quick, **options})

    return Quick


def costs(rows: np.ndarray, m: int = 2) -> np.ndarray:
    return np.random.default_rng(0).random((2532, m))[rows]


def made(
    kind: type[Optimiser], *, seed: int = 0, vertices: int = 5, rows: Any = None, **options: Any
) -> Optimiser:
    return kind(Problem(Space(vertices), np.random.default_rng(seed), rows=rows), **options)


def asked(optimiser: Optimiser, evaluations: int, m: int = 2) -> list[int]:
    out: list[int] = []
    while len(out) < evaluations:
        rows = optimiser.ask()
        assert isinstance(rows, np.ndarray)
        assert (rows.dtype, rows.ndim) == (np.int32, 1)
        assert len(rows)
        optimiser.tell(rows, costs(rows, m))
        out += rows.tolist()
    return out


def test_answers_are_allowed_rows(method: type[Optimiser]) -> None:
    allowed = np.random.default_rng(1).permutation(2532)[:300]
    rows = asked(made(method, rows=allowed), 45)
    assert np.isin(rows, allowed).all()
    assert len(set(rows)) > 20


def test_a_seed_decides_everything_and_no_global_generator_does(method: type[Optimiser]) -> None:
    first = asked(made(method, seed=3), 40)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    assert asked(made(method, seed=3), 40) == first
    assert asked(made(method, seed=4), 40) != first
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert random.getstate() == before[1]


def test_small_spaces_and_few_cells_come_to_an_end(method: type[Optimiser]) -> None:
    for vertices, cells in ((2, 1), (3, 7), (4, 91)):
        for rows in (None, [0], [cells - 1], range(min(3, cells))):
            optimiser = made(method, vertices=vertices, rows=rows)
            assert optimiser.allowed(np.array(asked(optimiser, 22))).all()


def test_three_objectives_equal_costs_and_failed_evaluations(method: type[Optimiser]) -> None:
    assert len(asked(made(method), 21, m=3)) >= 21
    optimiser = made(method)
    for _ in range(4):
        rows = optimiser.ask()
        optimiser.tell(rows, np.ones((len(rows), 2)))
    for _ in range(3):
        rows = optimiser.ask()
        optimiser.tell(rows, np.column_stack([costs(rows)[:, 0], np.ones(len(rows))]))
    optimiser = made(method)
    for share in (1, 1, 2):  # all costs are missing, then every second one
        rows = optimiser.ask()
        told = costs(rows)
        told[::share, 1] = np.nan
        optimiser.tell(rows, told)
    assert optimiser.allowed(optimiser.ask()).all()


def test_more_and_less_may_be_told_than_was_asked(method: type[Optimiser]) -> None:
    optimiser = made(method)
    optimiser.tell([5, 700, 12], costs(np.array([5, 700, 12])))
    for _ in range(3):
        rows = optimiser.ask()[:1]
        told = np.append(rows, [9, 2000])
        optimiser.tell(told, costs(told))
        assert len(optimiser.ask())
    optimiser.tell([], np.empty((0, 2)))


def test_told_arrays_are_not_kept(method: type[Optimiser]) -> None:
    plain, spoilt = made(method), made(method)
    for _ in range(4):
        rows, again = plain.ask(), spoilt.ask()
        assert rows.tolist() == again.tolist()
        told = costs(rows)
        plain.tell(rows, told.copy())
        spoilt.tell(again, told)
        told[:] = again[:] = 0


def test_wrong_settings_shapes_and_rows_are_refused(method: type[Optimiser]) -> None:
    optimiser = made(method)
    for rows, told in (([1, 2], [[0.0, 1.0]]), ([[1]], [[0.0, 1.0]]), ([1], [0.0])):
        with pytest.raises(ConfigError, match="costs"):
            optimiser.tell(rows, told)
    with pytest.raises(UnknownCellError):
        optimiser.tell([-1], [[0.0, 1.0]])
    with pytest.raises(ConfigError, match="no paper setting"):
        check(method, evaluations=1, seed=0, paper=True)
    plain = next(kind for kind in method.__mro__ if kind.__name__ != "Quick")
    numbers = set(inspect.signature(plain).parameters) - {"problem"}
    assert numbers
    for name in numbers:
        with pytest.raises(ConfigError, match=f"(population|{name}) of {plain.name} must be"):
            made(method, **{name: 0})


def test_it_searches_a_benchmark_quietly(
    method: type[Optimiser], caplog: pytest.LogCaptureFixture
) -> None:
    """Much better than random search, which reaches .95 with 80 evaluations of this table."""
    bench = load("5v")
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
    for library, module in sorted({(m[0], m[1]) for m in METHODS}):
        if importlib.util.find_spec(library) is not None:
            result = doctest.testmod(adapter(library, module))
            assert result.attempted
            assert not result.failed


# -- a benchmark as their objective ---------------------------------------------------------

#: Rows of the four-vertex space that the synthetic table holds, and the one without an energy.
HELD = np.arange(1, 91, 2)
UNKNOWN = 9


@pytest.fixture
def bench(made_table: Any) -> Benchmark:
    """A synthetic table of half of the four-vertex space."""
    energy, accuracy = np.random.default_rng(5).random((2, len(HELD), 2))
    energy[HELD == UNKNOWN] = np.nan
    path = made_table(4, HELD, (4, 12), energy_kwh=energy, validation_accuracy=accuracy)
    return Benchmark(Table.open(path))


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
    for names in ((), ("energy_kwh", "energy_kwh")):
        with pytest.raises(ConfigError, match="one or more different metrics"):
            Evaluation(bench, names)
    with pytest.raises(UnknownMetricError):
        Evaluation(bench, ("energy",))
    with pytest.raises(UnknownBudgetError):
        Evaluation(bench, epochs=108)


def test_any_sampler_of_optuna(bench: Benchmark) -> None:
    host = adapter("optuna", "optuna_host")
    objective = host.EcnasObjective(bench, ("validation_accuracy", "energy_kwh"), 4)
    assert objective.directions == ["maximize", "minimize"]
    values = [bench.values(name, 4) for name in objective.evaluation.objectives]
    for name in ("RandomSampler", "TPESampler", "NSGAIISampler"):
        bench.reset_spent()
        sampler = getattr(host.optuna.samplers, name)(seed=0)
        study = host.optuna.create_study(directions=objective.directions, sampler=sampler)
        study.optimize(objective, n_trials=40)
        assert bench.spent.evaluations == 40
        for trial in study.trials:
            row = trial.user_attrs["row"]
            assert trial.state.name == "COMPLETE"
            assert row in objective.evaluation.rows
            assert trial.user_attrs["cell"] == str(Space(4).cell(row))
            assert objective.row(trial.params) == row
            assert trial.values == [column[row] for column in values]


def test_every_cell_can_be_enqueued_and_asked_for(bench: Benchmark) -> None:
    host = adapter("optuna", "optuna_host")
    objective = host.EcnasObjective(bench)
    study = host.optuna.create_study(directions=objective.directions)
    rows = objective.evaluation.rows.tolist()
    for row in rows:
        study.enqueue_trial(objective.params(row))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.optimize(objective, n_trials=len(rows))
    assert [t.user_attrs["row"] for t in study.trials] == rows
    front = {t.user_attrs["row"] for t in study.best_trials}
    assert front == set(bench.front(OBJECTIVES, 12).rows.tolist())
    # One objective by ask and tell.
    objective = host.EcnasObjective(bench, "validation_accuracy")
    study = host.optuna.create_study(directions=objective.directions)
    trial = study.ask(objective.distributions)
    study.tell(trial, objective(trial))
    assert study.best_value == bench.values("validation_accuracy")[trial.user_attrs["row"]]


def test_genetic_algorithms_of_pymoo_find_the_front(bench: Benchmark) -> None:
    hosted = adapter("pymoo", "pymoo_host")
    from pymoo.optimize import minimize

    front = bench.front(OBJECTIVES, 12)
    columns = np.column_stack([bench.values(name, 12) for name in OBJECTIVES])
    for module, name in (("nsga2", "NSGA2"), ("spea2", "SPEA2")):
        kind = getattr(importlib.import_module(f"pymoo.algorithms.moo.{module}"), name)
        results = []
        for _ in range(2):
            bench.reset_spent()
            problem = hosted.EcnasProblem(bench)
            algorithm = kind(pop_size=20, **hosted.operators())
            found = minimize(problem, algorithm, ("n_eval", 200), seed=1)
            assert bench.spent.evaluations == found.algorithm.evaluator.n_eval
            assert (problem.values_of(found.F) == columns[found.X[:, 0]]).all()
            results.append(np.unique(found.X).tolist())
        assert results[0] == results[1]
        assert np.isin(results[0], front.rows).mean() > 0.8


def test_operators_keep_to_allowed_cells_and_change_them() -> None:
    hosted = adapter("pymoo", "pymoo_host")
    from pymoo.core.population import Population

    for vertices in (4, 5, 7):
        space, rng = Space(vertices), np.random.default_rng(0)
        allowed = np.unique(rng.integers(0, len(space), 60))
        problem = hosted.CellProblem(space, allowed, 2)
        operators = hosted.operators()
        pop = operators["sampling"].do(problem, 200, random_state=rng)
        assert len(np.unique(pop.get("X"))) > 0.9 * len(allowed)
        cross, mutate = operators["crossover"].do, operators["mutation"].do
        children = cross(problem, pop, rng.integers(0, 200, (50, 2)), random_state=rng)
        mutants = mutate(problem, Population.new("X", pop.get("X").copy()), random_state=rng)
        for group in (pop, children, mutants):
            assert np.isin(group.get("X"), allowed).all()
        assert (mutants.get("X") != pop.get("X")).mean() > 0.9
        # Equal parents have no other children.
        same = np.repeat(np.arange(50)[:, None], 2, axis=1)
        found = np.sort(cross(problem, pop, same, random_state=rng).get("X")[:, 0])
        assert (found == np.sort(pop[same.ravel()].get("X")[:, 0])).all()
