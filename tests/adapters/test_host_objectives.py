"""A benchmark as an Optuna objective and as a pymoo problem."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters.choices import Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

#: Rows of the four-vertex space that the synthetic table holds, and the one without an energy.
HELD = np.arange(1, 91, 2)
UNKNOWN = 9


@pytest.fixture
def bench(tmp_path: Path) -> Benchmark:
    """A synthetic table of half of the four-vertex space."""
    rng = np.random.default_rng(5)
    energy, accuracy = rng.random((2, len(HELD), 2, 1))
    energy[HELD == UNKNOWN] = np.nan
    values = {"energy_kwh": energy, "validation_accuracy": accuracy}
    made_up = Provenance("synthetic", device="no device", pue=1.59, repeats=1)
    path = tmp_path / "half.ecnas"
    write_table(
        path,
        Columns(
            name="half",
            vertices=4,
            rows=HELD.astype(np.int32),
            budgets=(4, 12),
            repeats=1,
            values=values,
            provenance=dict.fromkeys(values, made_up),
        ),
    )
    return Benchmark(Table.open(path))


@pytest.fixture
def optuna() -> Any:
    optuna = pytest.importorskip("optuna")
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield optuna
    optuna.logging.set_verbosity(level)


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


def test_an_evaluation_refuses_what_is_not_possible(bench: Benchmark) -> None:
    for names in ((), ("energy_kwh", "energy_kwh")):
        with pytest.raises(ConfigError, match="needs objectives"):
            Evaluation(bench, names)
    with pytest.raises(UnknownMetricError):
        Evaluation(bench, ("energy",))
    with pytest.raises(UnknownBudgetError):
        Evaluation(bench, epochs=108)


@pytest.mark.parametrize("sampler", ["RandomSampler", "TPESampler", "NSGAIISampler"])
def test_any_sampler_of_optuna(optuna: Any, bench: Benchmark, sampler: str) -> None:
    from naslib_ecnas.adapters.optuna_host import EcnasObjective

    objective = EcnasObjective(bench, ("validation_accuracy", "energy_kwh"), 4)
    assert objective.directions == ["maximize", "minimize"]
    study = optuna.create_study(
        directions=objective.directions, sampler=getattr(optuna.samplers, sampler)(seed=0)
    )
    study.optimize(objective, n_trials=40)
    assert bench.spent.evaluations == 40
    for trial in study.trials:
        row = trial.user_attrs["row"]
        assert trial.state.name == "COMPLETE"
        assert row in objective.evaluation.rows
        assert trial.user_attrs["cell"] == str(Space(4).cell(row))
        assert objective.row(trial.params) == row
        assert trial.values[0] == bench.values("validation_accuracy", 4)[row]
        assert trial.values[1] == bench.values("energy_kwh", 4)[row]
    best = max(t.values[0] for t in study.best_trials)
    assert best == max(t.values[0] for t in study.trials)


def test_every_cell_of_the_table_can_be_enqueued(optuna: Any, bench: Benchmark) -> None:
    from naslib_ecnas.adapters.optuna_host import EcnasObjective

    objective = EcnasObjective(bench)
    study = optuna.create_study(directions=objective.directions)
    rows = objective.evaluation.rows.tolist()
    for row in rows:
        study.enqueue_trial(objective.params(row))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.optimize(objective, n_trials=len(rows))
    assert [t.user_attrs["row"] for t in study.trials] == rows
    front = {t.user_attrs["row"] for t in study.best_trials}
    assert front == set(bench.front(OBJECTIVES, 12).rows.tolist())


def test_one_objective_by_ask_and_tell(optuna: Any, bench: Benchmark) -> None:
    from naslib_ecnas.adapters.optuna_host import EcnasObjective

    objective = EcnasObjective(bench, "validation_accuracy")
    study = optuna.create_study(directions=objective.directions)
    for _ in range(30):
        trial = study.ask(objective.distributions)
        study.tell(trial, objective(trial))
    values = bench.values("validation_accuracy")
    assert study.best_value >= np.nanquantile(values, 0.8)
    assert len(objective.distributions) == 8


def test_pymoo_minimises_costs_and_answers_values(bench: Benchmark) -> None:
    pytest.importorskip("pymoo")
    from naslib_ecnas.adapters.pymoo_host import EcnasProblem

    problem = EcnasProblem(bench, ("validation_accuracy", "energy_kwh"))
    rows = problem.evaluation.rows[:7]
    costs = problem.evaluate(rows[:, None])
    assert bench.spent.evaluations == 7
    accuracy, energy = bench.values("validation_accuracy")[rows], bench.values("energy_kwh")[rows]
    assert int(costs[:, 0].argmin()) == int(accuracy.argmax())
    assert costs[:, 1].tolist() == energy.tolist()
    assert problem.values_of(costs).tolist() == np.column_stack([accuracy, energy]).tolist()


@pytest.mark.parametrize("kind", ["nsga2.NSGA2", "sms.SMSEMOA", "spea2.SPEA2"])
def test_a_genetic_algorithm_of_pymoo_finds_the_front(bench: Benchmark, kind: str) -> None:
    pytest.importorskip("pymoo")
    from importlib import import_module

    from pymoo.optimize import minimize

    from naslib_ecnas.adapters.pymoo_host import EcnasProblem, operators

    module, name = kind.split(".")
    made = getattr(import_module(f"pymoo.algorithms.moo.{module}"), name)
    front = bench.front(OBJECTIVES, 12)
    results = []
    for _ in range(2):
        problem = EcnasProblem(bench)
        found = minimize(problem, made(pop_size=20, **operators()), ("n_eval", 200), seed=1)
        results.append(np.unique(found.X))
        assert np.isin(found.X, problem.evaluation.rows).all()
        assert {tuple(v) for v in problem.values_of(found.F)} <= {
            tuple(v) for v in np.column_stack([bench.values(n, 12) for n in OBJECTIVES])
        }
    assert results[0].tolist() == results[1].tolist()
    assert np.isin(results[0], front.rows).mean() > 0.8


@pytest.mark.parametrize("vertices", [4, 5, 7])
def test_operators_keep_to_allowed_cells_and_change_them(vertices: int) -> None:
    pytest.importorskip("pymoo")
    from pymoo.core.population import Population

    from naslib_ecnas.adapters.pymoo_host import CellProblem, operators

    space, rng = Space(vertices), np.random.default_rng(0)
    allowed = np.unique(rng.integers(0, len(space), 60))
    problem = CellProblem(space, allowed, 2)
    made = operators()
    pop = made["sampling"].do(problem, 200, random_state=rng)
    assert len(np.unique(pop.get("X"))) > 0.9 * len(allowed)
    couples = rng.integers(0, 200, (50, 2))
    children = made["crossover"].do(problem, pop, couples, random_state=rng)
    mutants = made["mutation"].do(
        problem, Population.new("X", pop.get("X").copy()), random_state=rng
    )
    for group in (pop, children, mutants):
        assert np.isin(group.get("X"), allowed).all()
    assert (mutants.get("X") != pop.get("X")).mean() > 0.9
    # Equal parents have no other children.
    same = np.repeat(np.arange(50)[:, None], 2, axis=1)
    children = made["crossover"].do(problem, pop, same, random_state=rng)
    assert (np.sort(children.get("X")[:, 0]) == np.sort(pop[same.ravel()].get("X")[:, 0])).all()
