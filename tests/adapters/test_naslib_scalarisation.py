"""What `objectives:` of a config makes of an evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.adapters.naslib_objectives import Objectives, Scalarisation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, EcnasError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.loading import load
from naslib_ecnas.metrics import metric
from naslib_ecnas.search.operators import RHO

BOTH = ["validation_accuracy", "energy_kwh"]


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
    (worst_a, best_a), (best_e, worst_e) = (
        (front[:, 0].min(), front[:, 0].max()),
        (front[:, 1].min(), front[:, 1].max()),
    )
    score = scalar(bench, metrics=BOTH, weights=[0.25, 0.75])
    assert score([best_a, best_e]) == (pytest.approx(100.0), None)
    assert score([worst_a, worst_e])[0] == pytest.approx(0.0)
    assert score([best_a, worst_e])[0] == pytest.approx(25.0)
    halfway = (best_a + worst_a) / 2, (best_e + worst_e) / 2
    assert score(halfway)[0] == pytest.approx(50.0)


def test_one_objective_orders_as_the_metric_does(bench: Benchmark) -> None:
    for name in BOTH:
        values = table(bench, [name])[:, 0]
        score = scalar(bench, metrics=name)
        scores = np.array([score([value])[0] for value in values])
        assert (np.argsort(scores) == np.argsort(-metric(name).cost(values))).all()
        assert scores.max() == pytest.approx(100)
        assert scores.min() == pytest.approx(0)


def test_what_keeps_the_limit_is_always_better(bench: Benchmark) -> None:
    values = table(bench)
    limit = float(np.median(values[:, 1]))
    score = scalar(bench, metrics=BOTH, limits={"energy_kwh": limit})
    scores = np.array([score(v)[0] for v in values])
    kept = values[:, 1] <= limit
    assert 0 < kept.sum() < len(values)
    assert scores[kept].min() >= 0 > scores[~kept].max()
    assert scores.argmax() == np.flatnonzero(kept)[values[kept, 0].argmax()]
    # Among those that break it, the less the better.
    broken = np.flatnonzero(~kept)
    assert (np.argsort(-scores[broken]) == np.argsort(values[broken, 1])).all()


def test_a_limit_on_what_shall_be_high(bench: Benchmark) -> None:
    values = table(bench)
    limit = float(np.median(values[:, 0]))
    score = scalar(bench, metrics=BOTH, limits={"VAL_ACCURACY": limit})
    scores = np.array([score(v)[0] for v in values])
    kept = values[:, 0] >= limit
    assert scores.argmax() == np.flatnonzero(kept)[values[kept, 1].argmin()]


def test_chebyshev_draws_weights_and_reports_them(bench: Benchmark) -> None:
    front = bench.front(tuple(BOTH)).values
    score = scalar(bench, metrics=BOTH, chebyshev=True)
    low, high = front.min(axis=0), front.max(axis=0)
    drawn = []
    for a, e in front[:5]:
        value, weights = score([a, e])
        assert weights is not None
        assert sum(weights) == pytest.approx(1)
        scaled = np.array([(high[0] - a) / (high[0] - low[0]), (e - low[1]) / (high[1] - low[1])])
        parts = np.array(weights) * scaled
        assert value == pytest.approx(100 * (1 - parts.max() - RHO * parts.sum()))
        drawn.append(weights)
    assert len(set(drawn)) == len(drawn)
    again = scalar(bench, metrics=BOTH, chebyshev=True)
    assert [again(v)[1] for v in front[:5]] == drawn


@settings(max_examples=40, deadline=None)
@given(
    weight=st.floats(0.01, 0.99),
    accuracy=st.floats(0.1, 0.95),
    energy=st.floats(0.01, 1.0),
    gain=st.floats(1e-6, 0.04),
)
def test_better_in_both_is_better(
    bench: Benchmark, weight: float, accuracy: float, energy: float, gain: float
) -> None:
    for section in ({"weights": [weight, 1 - weight]}, {"limits": {"energy_kwh": 0.2}}):
        score = scalar(bench, metrics=BOTH, **section)
        assert score([accuracy + gain, energy * (1 - gain)]) >= score([accuracy, energy])


def test_a_missing_value_is_an_error(bench: Benchmark) -> None:
    score = scalar(bench, metrics=BOTH, weights=[0.5, 0.5])
    with pytest.raises(UnknownMetricError, match="energy_kwh"):
        score([0.9, float("nan")])


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("energy_kwh", "section"),
        ({}, r"\[validation_accuracy, energy_kwh\]"),
        ({"metrics": []}, "list of metrics"),
        ({"metrics": ["energy"]}, "did you mean"),
        ({"metrics": ["energy_kwh", 3]}, "no such objective"),
        ({"metrics": ["energy_kwh", "TRAIN_ENERGY"]}, "twice"),
        ({"metrics": BOTH}, "one of objectives.weights"),
        ({"metrics": BOTH, "weights": [1, 0], "chebyshev": True}, "one way"),
        ({"metrics": BOTH, "weights": [0.5, 0.6]}, "sum to 1"),
        ({"metrics": BOTH, "weights": [1.5, -0.5]}, "from 0 on"),
        ({"metrics": BOTH, "weights": [1.0]}, "2 numbers"),
        ({"metrics": BOTH, "weights": 1}, "2 numbers"),
        ({"metrics": BOTH, "weights": ["a", True]}, "2 numbers"),
        ({"metrics": BOTH, "limits": 0.3}, "energy_kwh: 0.5"),
        ({"metrics": BOTH, "limits": {"co2_g": 3}}, "leave one"),
        ({"metrics": BOTH, "limits": {"energy_kwh": 3, "validation_accuracy": 0.9}}, "leave one"),
        ({"metrics": BOTH, "limits": {"energy_kwh": "little"}}, "no number"),
        ({"metrics": BOTH, "chebyshev": 2}, "rho"),
        ({"metrics": BOTH, "chebyshev": "yes"}, "rho"),
        ({"metrics": BOTH, "weights": [0.5, 0.5], "epochs": "all"}, "no budget"),
        ({"metrics": BOTH, "weigths": [0.5, 0.5]}, "no such key"),
    ],
)
def test_what_is_not_possible(section: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Objectives.of(section)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "error", "says"),
    [
        ({"metrics": BOTH, "limits": {"energy_kwh": 1e-6}}, ConfigError, "best value there"),
        ({"metrics": "energy_kwh", "epochs": 5}, UnknownBudgetError, "4, 12, 36, 108"),
        ({"metrics": "co2_g"}, UnknownMetricError, "co2_g"),
        ({"metrics": "cpu_power_w"}, UnknownMetricError, "cpu_power_w"),
    ],
)
def test_what_the_table_lacks(
    bench: Benchmark, section: Any, error: type[EcnasError], says: str
) -> None:
    with pytest.raises(error, match=says):
        scalar(bench, **section)


def test_weights_that_were_rounded(bench: Benchmark) -> None:
    names = [*BOTH, "parameters"]
    found = Objectives.of({"metrics": names, "weights": [0.333, 0.333, 0.334]})
    assert sum(found.weights or ()) == pytest.approx(1)
    assert Objectives.of({"metrics": names[:2], "weights": [1, 0]}).weights == (1.0, 0.0)


def test_what_is_recorded_makes_a_front() -> None:
    assert Objectives.of({"metrics": "energy_kwh"}).recorded() == tuple(reversed(BOTH))
    assert Objectives.of({"metrics": "parameters"}).recorded() == ("parameters", "energy_kwh")
