"""NASLib's own optimisers through NASLib's own Trainer, on real measurements."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.adapters import naslib_objectives, naslib_patches
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownMetricError

Search = Callable[..., Any]
RS_AND_RE = ("RandomSearch", "RegularizedEvolution")


@pytest.fixture
def optimizers(naslib: Any) -> Any:
    return naslib_patches.require("naslib.optimizers")


@pytest.fixture
def metric(naslib: Any) -> Any:
    from naslib_ecnas.adapters import naslib_objectives

    return naslib_objectives.extend()


def evaluated(optimizer: Any) -> list[tuple[int, float]]:
    """Rows and scores in the optimiser's history."""
    return [(m.arch.row, m.accuracy) for m in optimizer.history]


@pytest.mark.parametrize("name", RS_AND_RE)
def test_a_search_for_accuracy(
    name: str, search: Search, optimizers: Any, api: dict[str, Any], metric: Any
) -> None:
    bench: Benchmark = api["ecnas"]
    optimizer, trainer = search(getattr(optimizers, name), epochs=100)
    assert optimizer.performance_metric == metric.VAL_ACCURACY
    scores = dict(evaluated(optimizer))
    accuracy = bench.values("validation_accuracy")
    assert all(score == 100 * accuracy[row] for row, score in scores.items())
    best = optimizer.get_final_architecture()
    assert 100 * accuracy[best.row] == max(scores.values())
    # The Trainer's questions about the incumbent are no trainings.
    assert bench.spent.evaluations == 100
    assert bench.spent.epochs == 400
    assert trainer.search_trajectory.valid_acc[-1] == max(scores.values())
    assert trainer.search_trajectory.valid_acc == sorted(trainer.search_trajectory.valid_acc)
    saved = json.loads((Path(trainer.config.save) / "errors.json").read_text())
    assert saved[1]["valid_acc"] == trainer.search_trajectory.valid_acc
    test = trainer.evaluate(dataset_api=api)
    assert test == 100 * bench.values("test_accuracy")[best.row]


@pytest.mark.parametrize("name", RS_AND_RE)
def test_a_search_for_energy_finds_less_than_one_for_accuracy(
    name: str, search: Search, optimizers: Any, api: dict[str, Any], metric: Any
) -> None:
    kwh = api["ecnas"].values("energy_kwh")
    for seed in range(3):
        rows = {}
        for wanted in (metric.VAL_ACCURACY, metric.TRAIN_ENERGY):
            optimizer, trainer = search(
                getattr(optimizers, name), metric=wanted, seed=seed, epochs=100
            )
            rows[wanted] = optimizer.get_final_architecture().row
        assert kwh[rows[metric.TRAIN_ENERGY]] < kwh[rows[metric.VAL_ACCURACY]]
        least = min(kwh[row] for row, _ in evaluated(optimizer))
        assert kwh[rows[metric.TRAIN_ENERGY]] == least
        # What is written stays in the metric's own unit.
        assert trainer.evaluate(dataset_api=api, metric=metric.TRAIN_ENERGY) == least
    if name == "RegularizedEvolution":
        assert least < np.quantile(kwh, 0.01)


@pytest.mark.parametrize("name", RS_AND_RE)
@pytest.mark.parametrize("wanted", ["VAL_ACCURACY", "TRAIN_ENERGY"])
def test_the_same_seed_is_the_same_run(
    name: str, wanted: str, search: Search, optimizers: Any, metric: Any
) -> None:
    runs = [
        evaluated(search(getattr(optimizers, name), metric=metric[wanted], seed=seed)[0])
        for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("name", ["LocalSearch", "Bananas", "Npenas", "BasePredictor"])
@pytest.mark.parametrize("wanted", ["VAL_ACCURACY", "TRAIN_ENERGY"])
def test_the_other_optimisers(
    name: str, wanted: str, search: Search, optimizers: Any, api: dict[str, Any], metric: Any
) -> None:
    optimizer, trainer = search(getattr(optimizers, name), metric=metric[wanted], epochs=20)
    scores = [score for _, score in evaluated(optimizer)]
    assert len(scores) == len(trainer.search_trajectory.train_time) == 20
    best = optimizer.get_final_architecture()
    assert best.query(optimizer.performance_metric, dataset_api=api) == max(scores)
    assert api["ecnas"].spent.evaluations <= 20


def test_a_space_with_an_objective(
    search: Search, optimizers: Any, api: dict[str, Any], metric: Any
) -> None:
    optimizer, trainer = search(optimizers.RegularizedEvolution, objective="multiply_adds")
    counts = api["ecnas"].values("multiply_adds")
    best = optimizer.get_final_architecture()
    assert counts[best.row] == min(counts[row] for row, _ in evaluated(optimizer))
    # NASLib's report still is of accuracies.
    accuracy = 100 * api["ecnas"].values("validation_accuracy")[best.row]
    assert trainer.search_trajectory.valid_acc[-1] == accuracy


def test_a_fidelity_of_the_table(search: Search, optimizers: Any, api: dict[str, Any]) -> None:
    optimizer, _ = search(optimizers.RandomSearch, epochs=5, config={"fidelity": 4})
    assert len(optimizer.sampled_archs) == 5
    assert api["ecnas"].spent.epochs == 20


def test_performance_metric_answers_as_it_was_set(
    optimizers: Any, metric: Any, search: Search
) -> None:
    optimizer, _ = search(optimizers.RandomSearch, metric=metric.TRAIN_ENERGY, epochs=1)
    assert optimizer.performance_metric == metric.TRAIN_ENERGY
    assert optimizer.performance_metric != metric.VAL_ACCURACY
    assert hash(optimizer.performance_metric) == hash(metric.TRAIN_ENERGY)
    assert repr(optimizer.performance_metric) == "<lowest energy_kwh (kWh)>"
    optimizer.performance_metric = optimizer.performance_metric
    assert vars(optimizer)["performance_metric"] is metric.TRAIN_ENERGY
    optimizer.performance_metric = metric.TEST_ACCURACY
    assert optimizer.performance_metric == metric.TEST_ACCURACY
    # On another space it is what NASLib makes it.
    optimizer.search_space = None
    optimizer.performance_metric = metric.TRAIN_TIME
    assert optimizer.performance_metric is metric.TRAIN_TIME


def test_objectives(naslib: Any, metric: Any) -> None:
    objective = naslib_objectives.objective
    assert objective("VAL_ACCURACY") is objective("validation_accuracy") is metric.VAL_ACCURACY
    assert objective("TRAIN_ENERGY") == objective("energy_kwh") == objective(metric.TRAIN_ENERGY)
    assert objective("energy_kwh").score(0.25) == -0.25
    with pytest.raises(ConfigError, match="energy_kwh"):
        objective("energy")
    with pytest.raises(UnknownMetricError):
        objective(metric.TRAIN_LOSS)
    with pytest.raises(UnknownMetricError, match="missing"):
        objective("energy_kwh").score(math.nan)
