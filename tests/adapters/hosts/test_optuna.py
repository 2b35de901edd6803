"""Optuna: a benchmark as an objective of its studies, and a benchmark package of OptunaHub."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from naslib_ecnas import search
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.loading import load
from naslib_ecnas.metrics import OBJECTIVES

optuna = pytest.importorskip("optuna", reason="Optuna is not installed", exc_type=ImportError)
from naslib_ecnas.adapters.optuna_host import EcnasObjective  # noqa: E402

HUB = Path(__file__).parents[3] / "docs" / "examples" / "optunahub" / "package"
ACCURACY = "validation_accuracy"


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """No warning, and no log of each trial."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    optuna.logging.set_verbosity(level)


def study_of(objective: Any, **settings: Any) -> Any:
    settings = {"sampler": optuna.samplers.RandomSampler(seed=0), **settings}
    return optuna.create_study(directions=objective.directions, **settings)


@pytest.mark.parametrize("sampler", ["RandomSampler", "TPESampler", "NSGAIISampler"])
def test_trials_have_the_values_of_their_cells(bench: Benchmark, sampler: str) -> None:
    objective = EcnasObjective(bench, (ACCURACY, "energy_kwh"), 4, {"training_time_s": 1800})
    assert objective.directions == ["maximize", "minimize"]
    columns = {n: bench.values(n, 4) for n in (ACCURACY, "energy_kwh", "training_time_s")}
    study = study_of(objective, sampler=getattr(optuna.samplers, sampler)(seed=0))
    study.optimize(objective, n_trials=40)
    assert bench.spent.evaluations == 40
    for trial in study.trials:
        row = trial.user_attrs["row"]
        accuracy, energy, seconds = (column[row] for column in columns.values())
        assert objective.choices.row(trial.params) == row
        assert trial.values == [accuracy, energy]
        cell = str(bench.space.cell(row))
        charged = {"training_time_s": seconds, "energy_kwh": energy}
        assert trial.user_attrs == {"row": row, "cell": cell, **charged}
        assert trial.constraints == pytest.approx({"training_time_s": seconds - 1800})
        assert objective.runtime(trial) == seconds


def test_every_cell_can_be_enqueued_asked_for_and_fixed(bench: Benchmark) -> None:
    objective = EcnasObjective(bench)
    study, rows = study_of(objective), objective.evaluation.rows.tolist()
    for row in rows:
        study.enqueue_trial(objective.choices.params(row))
    study.optimize(objective, n_trials=len(rows))
    assert [t.user_attrs["row"] for t in study.trials] == rows
    front = {t.user_attrs["row"] for t in study.best_trials}
    assert front == set(bench.front(OBJECTIVES, 12).rows.tolist())
    single = EcnasObjective(bench, ACCURACY)
    study = study_of(single)
    trial = study.ask(single.search_space)
    study.tell(trial, single(trial))
    assert study.best_value == bench.values(ACCURACY)[trial.user_attrs["row"]]
    fixed = optuna.trial.FixedTrial(objective.choices.params(7))
    assert objective(fixed) == tuple(bench.values(n)[7] for n in OBJECTIVES)


@pytest.mark.parametrize("directions", [["minimize"] * 2, ["maximize", "minimize"], ["minimize"]])
def test_a_study_of_other_directions_is_refused(bench: Benchmark, directions: list[str]) -> None:
    study = optuna.create_study(directions=directions)
    with pytest.raises(ConfigError, match=r"have the directions \['minimize', 'maximize'\]"):
        study.optimize(EcnasObjective(bench), n_trials=2)
    assert bench.spent.evaluations == 0


def test_budgets_are_reported_charged_and_pruned(bench: Benchmark) -> None:
    objective = EcnasObjective(bench, ACCURACY, None, {"energy_kwh": 0.5}, (4,))
    pruner = optuna.pruners.ThresholdPruner(lower=0.7)
    study = study_of(objective, pruner=pruner)
    study.optimize(objective, n_trials=30)
    values = {e: {n: bench.values(n, e) for n in bench.metrics} for e in (4, 12)}
    states = []
    for trial in study.trials:
        row = trial.user_attrs["row"]
        trained = [4] if values[4][ACCURACY][row] < 0.7 else [4, 12]
        states.append(len(trained))
        assert trial.state.name == ("PRUNED" if trained == [4] else "COMPLETE")
        assert trial.intermediate_values == {e: values[e][ACCURACY][row] for e in trained}
        for name in ("energy_kwh", "training_time_s"):
            charged = sum(values[e][name][row] for e in trained)
            assert trial.user_attrs[name] == pytest.approx(charged)
        excess = values[trained[-1]]["energy_kwh"][row] - 0.5
        assert trial.constraints == pytest.approx({"energy_kwh": excess})
    assert set(states) == {1, 2}
    assert bench.spent.evaluations == sum(states)
    for names, epochs, budgets in ((OBJECTIVES, None, [4]), (ACCURACY, 4, [12])):
        with pytest.raises(ConfigError, match="budgets must be smaller"):
            EcnasObjective(bench, names, epochs, budgets=budgets)


def test_a_table_without_times_has_no_runtime(bench_of: Any) -> None:
    bench = bench_of({"energy_kwh": np.ones((2, 1, 1))}, budgets=(4,))
    objective = EcnasObjective(bench, "energy_kwh")
    study = study_of(objective)
    study.optimize(objective, n_trials=1)
    assert "training_time_s" not in study.trials[0].user_attrs
    with pytest.raises(UnknownMetricError, match="training time of trial 0"):
        objective.runtime(study.trials[0])


def test_threads_and_processes_share_a_study(bench: Benchmark, tmp_path: Path) -> None:
    objective = EcnasObjective(bench, constraints={"energy_kwh": 0.5})
    study = study_of(objective)
    study.optimize(objective, n_trials=24, n_jobs=4)
    assert bench.spent.evaluations == len(study.trials) == 24
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    storage = optuna.storages.JournalStorage(backend)
    study = study_of(objective, storage=storage, sampler=optuna.samplers.NSGAIISampler())
    joblib.Parallel(n_jobs=2)(
        joblib.delayed(study.optimize)(objective, n_trials=5) for _ in range(2)
    )
    assert len(study.trials) == 10
    assert {t.state.name for t in study.trials} == {"COMPLETE"}
    for trial in study.trials:
        assert trial.values == [bench.values(n)[trial.user_attrs["row"]] for n in OBJECTIVES]
    assert bench.spent.evaluations == 24  # other processes count for themselves


# -- OptunaHub ----


def problem_of(*arguments: Any, **settings: Any) -> Any:
    optunahub = pytest.importorskip("optunahub", reason="OptunaHub is not installed")
    module = optunahub.load_local_module("benchmarks/ecnas", registry_root=str(HUB))
    return module.Problem(*arguments, **settings)


def test_the_tutorial_of_optunahub_with_a_constraint(modelled: None) -> None:
    problem = problem_of("7v", constraints={"training_time_s": 1200})
    sampler = optuna.samplers.NSGAIISampler(seed=0)
    study = optuna.create_study(sampler=sampler, directions=problem.directions)
    study.optimize(problem, n_trials=300)
    assert problem.spent.evaluations == len(study.trials) == 300
    seconds = np.array([t.user_attrs["training_time_s"] for t in study.trials])
    kept = [t.constraints["training_time_s"] <= 0 for t in study.trials]
    assert ((seconds <= 1200) == kept).all()
    assert np.mean(kept[200:]) > np.mean(kept[:50])
    assert all(t.user_attrs["training_time_s"] <= 1200 for t in study.best_trials)
    assert problem.constraints_func(study.trials[0]) == [seconds[0] - 1200]


def test_a_problem_evaluates_parameters_and_counts_each_training(modelled: None) -> None:
    problem = problem_of("4v", ["validation_accuracy", "parameters"], 12, {"energy_kwh": 0.01})
    assert problem.metric_names == ["validation_accuracy", "parameters"]
    assert [d.name for d in problem.directions] == ["MAXIMIZE", "MINIMIZE"]
    trial = optuna.create_study(directions=problem.directions).ask(problem.search_space)
    record = load("4v").query(problem._objective.choices.row(trial.params), 12)
    assert problem.evaluate(trial.params) == [record.validation_accuracy, record.parameters]
    violations = problem.evaluate_constraints(trial.params)
    assert violations == pytest.approx({"energy_kwh": record.energy_kwh - 0.01})
    assert problem.spent.evaluations == 2


def test_its_simulator_and_our_workers_agree(
    modelled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same 60 cells, by four workers in virtual time: when each ends, and what is known then.

    The simulator is another package of OptunaHub's registry, which lies on GitHub only.
    """
    registry = Path(os.environ.get("OPTUNAHUB_REGISTRY") or Path.home() / "optunahub-registry")
    name = "benchmarks/async_opt_simulator"
    if not (registry / "package" / name).is_dir():
        pytest.skip(f"no clone of optuna/optunahub-registry at {registry} (OPTUNAHUB_REGISTRY)")
    problem, bench = problem_of("4v"), load("4v")
    import optunahub

    simulator = optunahub.load_local_module(name, registry_root=str(registry / "package"))
    clock = SimpleNamespace(time=lambda: 0.0)  # the time of sampling counts in it, not in ours
    monkeypatch.setattr(simulator.async_opt_simulator, "time", clock)
    rows = np.random.default_rng(0).permutation(91)[:63].astype(np.int32)
    study = optuna.create_study(directions=problem.directions)
    for row in rows.tolist():
        study.enqueue_trial(problem._objective.choices.params(row))
    seen: list[set[int]] = []  # which cells are known when each training starts
    states = [optuna.trial.TrialState.COMPLETE]

    def runtime(trial: Any) -> float:
        seen.append({t.user_attrs["row"] for t in study.get_trials(states=states)})
        seconds: float = problem.runtime(trial)
        return seconds

    workers = simulator.AsyncOptBenchmarkSimulator(n_workers=4)
    workers.optimize(study, problem, runtime, n_trials=60)
    known: list[set[int]] = []
    ended: set[int] = set()

    class Listed(search.Optimiser):
        name = "listed"
        asynchronous = True

        def ask(self) -> NDArray[np.int32]:
            known.append(set(ended))
            return rows[len(known) - 1 : len(known)]

        def tell(self, rows: Any, costs: Any) -> None:
            ended.update(rows[~np.isnan(costs).any(axis=1)].tolist())

    result = search.run(bench, Listed, evaluations=63, workers=4, seed=0)
    assert [t.user_attrs["row"] for t in study.trials] == result.rows.tolist()
    ends = [t.user_attrs["cumtime"] for t in study.trials]
    assert ends == pytest.approx(result.ended_s.tolist())
    assert seen == known
