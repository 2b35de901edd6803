"""Objectives of a config, as one number, and searches for them by NASLib's optimisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.adapters.naslib_objectives import Objectives, Scalarisation, completed
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.loading import load
from naslib_ecnas.metrics import metric as metric_of
from naslib_ecnas.search.operators import RHO

Search = Callable[..., Any]
BOTH = ["validation_accuracy", "energy_kwh"]

# -- the section of a config ----------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECNAS_CACHE", str(tmp_path_factory.mktemp("scalar")))
        return load("4v")


def scalar(bench: Benchmark, **section: Any) -> Scalarisation:
    return Scalarisation(Objectives.of(section), bench, np.random.default_rng(0))


def table(bench: Benchmark, names: list[str] = BOTH) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = np.column_stack([bench.values(name) for name in names])
    return values[~np.isnan(values).any(axis=1)]


def test_a_weighted_sum_by_hand(bench: Benchmark) -> None:
    front = bench.front(tuple(BOTH)).values
    (worst_a, best_e), (best_a, worst_e) = front.min(axis=0), front.max(axis=0)
    score = scalar(bench, metrics=BOTH, weights=[0.25, 0.75])
    assert score([best_a, best_e]) == pytest.approx(100.0)
    assert score([worst_a, worst_e]) == pytest.approx(0.0)
    assert score([best_a, worst_e]) == pytest.approx(25.0)
    halfway = (best_a + worst_a) / 2, (best_e + worst_e) / 2
    assert score(halfway) == pytest.approx(50.0)


def test_one_objective_orders_as_the_metric_does(bench: Benchmark) -> None:
    for name in BOTH:
        values = table(bench, [name])[:, 0]
        score = scalar(bench, metrics=name)
        scores = np.array([score([value]) for value in values])
        assert (np.argsort(scores) == np.argsort(-metric_of(name).cost(values))).all()
        assert scores.max() == pytest.approx(100)
        assert scores.min() == pytest.approx(0)


def test_what_keeps_the_limit_is_always_better(bench: Benchmark) -> None:
    values = table(bench)
    limit = float(np.median(values[:, 1]))
    score = scalar(bench, metrics=BOTH, limits={"energy_kwh": limit})
    scores = np.array([score(v) for v in values])
    kept = values[:, 1] <= limit
    assert 0 < kept.sum() < len(values)
    assert scores[kept].min() >= 0 > scores[~kept].max()
    assert scores.argmax() == np.flatnonzero(kept)[values[kept, 0].argmax()]
    # Among those that break it, the less the better.
    broken = np.flatnonzero(~kept)
    assert (np.argsort(-scores[broken]) == np.argsort(values[broken, 1])).all()
    # A limit on a metric of which more is better.
    limit = float(np.median(values[:, 0]))
    score = scalar(bench, metrics=BOTH, limits={"VAL_ACCURACY": limit})
    kept = values[:, 0] >= limit
    best = np.array([score(v) for v in values]).argmax()
    assert best == np.flatnonzero(kept)[values[kept, 1].argmin()]


def test_chebyshev_draws_its_weights_once(bench: Benchmark) -> None:
    front = bench.front(tuple(BOTH)).values
    score = scalar(bench, metrics=BOTH, chebyshev=True)
    assert score.weights is not None
    assert sum(score.weights) == pytest.approx(1)
    low, high = front.min(axis=0), front.max(axis=0)
    for a, e in front[:5]:
        scaled = np.array([(high[0] - a) / (high[0] - low[0]), (e - low[1]) / (high[1] - low[1])])
        parts = np.array(score.weights) * scaled
        assert score([a, e]) == pytest.approx(100 * (1 - parts.max() - RHO * parts.sum()))
    assert scalar(bench, metrics=BOTH, chebyshev=True).weights == score.weights


SHARE = st.floats(0, 1)


@settings(max_examples=40, deadline=None)
@given(weight=SHARE, pair=st.tuples(SHARE, SHARE), other=st.tuples(SHARE, SHARE))
def test_better_in_both_is_better(
    bench: Benchmark, weight: float, pair: tuple[float, float], other: tuple[float, float]
) -> None:
    """For two points within the table's range, given as shares of it."""
    low, span = table(bench).min(axis=0), np.ptp(table(bench), axis=0)
    worse = low + span * [min(pair), max(other)]
    better = low + span * [max(pair), min(other)]
    for section in ({"weights": [weight, 1 - weight]}, {"limits": {"energy_kwh": 0.2}}):
        score = scalar(bench, metrics=BOTH, **section)
        assert score(better) >= score(worse)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("energy_kwh", "must be a section"),
        ({}, r"\[validation_accuracy, energy_kwh\]"),
        ({"metrics": []}, "must be a list"),
        ({"metrics": ["energy"]}, "such as energy_kwh"),
        ({"metrics": ["energy_kwh", 3]}, "a metric must be a name .*, got 3"),
        ({"metrics": ["energy_kwh", "TRAIN_ENERGY"]}, "different metrics"),
        ({"metrics": BOTH}, "one of objectives.weights"),
        ({"metrics": BOTH, "weights": [1, 0], "chebyshev": True}, "one of objectives.weights"),
        *(
            ({"metrics": BOTH, "weights": weights}, "2 numbers from 0 on that sum to 1")
            for weights in ([0.5, 0.6], [1.5, -0.5], [1.0], 1, ["a", True])
        ),
        ({"metrics": BOTH, "limits": 0.3}, "energy_kwh: 0.5"),
        ({"metrics": BOTH, "limits": {"co2_g": 3}}, "except the one to optimise"),
        ({"metrics": BOTH, "limits": dict.fromkeys(BOTH, 3)}, "except the one to optimise"),
        ({"metrics": BOTH, "limits": {"energy_kwh": "little"}}, "energy_kwh of objectives.limits"),
        ({"metrics": BOTH, "chebyshev": 2}, "rho"),
        ({"metrics": BOTH, "chebyshev": "yes"}, "rho"),
        ({"metrics": BOTH, "weights": [0.5, 0.5], "epochs": "all"}, "epochs of objectives"),
        ({"metrics": BOTH, "weigths": [0.5, 0.5]}, "with the keys metrics"),
    ],
)
def test_impossible_sections_are_refused(section: Any, says: str) -> None:
    with pytest.raises((ConfigError, UnknownMetricError), match=says) as caught:
        Objectives.of(section)
    assert "\n" not in str(caught.value)


def test_what_the_table_lacks_is_an_error(bench: Benchmark) -> None:
    with pytest.raises(ConfigError, match="4v keeps the limits at 108 epochs"):
        scalar(bench, metrics=BOTH, limits={"energy_kwh": 1e-6})
    with pytest.raises(UnknownBudgetError, match="4, 12, 36, 108"):
        scalar(bench, metrics="energy_kwh", epochs=5)
    with pytest.raises(UnknownMetricError, match="co2_g"):
        scalar(bench, metrics="co2_g")
    with pytest.raises(UnknownMetricError, match="energy_kwh"):
        scalar(bench, metrics=BOTH, weights=[0.5, 0.5])([0.9, float("nan")])


def test_rounded_weights_and_the_metrics_of_the_record() -> None:
    found = Objectives.of({"metrics": [*BOTH, "parameters"], "weights": [0.333, 0.333, 0.334]})
    assert sum(found.weights or ()) == pytest.approx(1)
    assert Objectives.of({"metrics": BOTH, "weights": [1, 0]}).weights == (1.0, 0.0)
    assert completed(("energy_kwh",)) == tuple(reversed(BOTH))
    assert completed(("parameters",)) == ("parameters", "energy_kwh")
    assert completed(BOTH) == tuple(BOTH)


# -- searches by NASLib's own optimisers and Trainer ----------------------------------------


def evaluated(optimizer: Any) -> list[tuple[int, float]]:
    """Rows and scores in the optimiser's history."""
    return [(m.arch.row, m.accuracy) for m in optimizer.history]


@pytest.mark.parametrize("name", ["RandomSearch", "RegularizedEvolution"])
def test_searches_for_accuracy_and_for_energy(
    name: str, search: Search, api: dict[str, Any], metric: Any
) -> None:
    bench: Benchmark = api["ecnas"]
    optimizer, trainer = search(name, epochs=100)
    assert optimizer.performance_metric == metric.VAL_ACCURACY
    scores = dict(evaluated(optimizer))
    accuracy, kwh = bench.values("validation_accuracy"), bench.values("energy_kwh")
    assert all(score == 100 * accuracy[row] for row, score in scores.items())
    accurate = optimizer.get_final_architecture()
    assert 100 * accuracy[accurate.row] == max(scores.values())
    # The Trainer's queries of the incumbent are not trainings.
    assert (bench.spent.evaluations, bench.spent.epochs, len(api["recorder"])) == (100, 400, 100)
    found = api["recorder"].result()
    assert found.spent.energy_kwh == pytest.approx(float(kwh[found.rows].sum()))
    trajectory = trainer.search_trajectory.valid_acc
    assert trajectory == sorted(trajectory)
    assert trajectory[-1] == max(scores.values())
    assert trainer.evaluate(dataset_api=api) == 100 * bench.values("test_accuracy")[accurate.row]
    # A search for energy finds less; what is written stays in the metric's own unit.
    energy = metric.TRAIN_ENERGY
    optimizer, trainer = search(name, metric=energy, epochs=100)
    least = min(kwh[row] for row, _ in evaluated(optimizer))
    assert kwh[optimizer.get_final_architecture().row] == least < kwh[accurate.row]
    assert trainer.evaluate(dataset_api=api, metric=energy) == least
    if name == "RegularizedEvolution":
        assert least < np.quantile(kwh, 0.01)


def test_a_search_with_a_fidelity(search: Search, api: dict[str, Any]) -> None:
    before = api["ecnas"].spent.epochs
    optimizer, _ = search("RandomSearch", epochs=5, fidelity=4)
    assert len(optimizer.sampled_archs) == 5
    assert api["ecnas"].spent.epochs - before == 20
