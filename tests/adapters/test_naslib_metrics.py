"""NASLib's metrics and ours: members of its enumeration, units, and metrics as objectives."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_metrics
from naslib_ecnas.adapters.naslib_metrics import read
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownMetricError


def test_members_are_members(metric: Any) -> None:
    from naslib.search_spaces.core.query_metrics import Metric

    assert metric is Metric
    before = list(Metric)
    assert naslib_metrics.extend() is Metric
    assert list(Metric) == before
    assert len({m.value for m in before}) == len(before)
    for name in ("TRAIN_ENERGY", "TRAIN_CO2", "TRAIN_POWER"):
        member = getattr(Metric, name)
        assert Metric[name] is Metric(member.value) is copy.deepcopy(member) is member
        assert member in before
        assert str(member) == f"Metric.{name}"
        assert pickle.loads(pickle.dumps(member)) is member  # noqa: S301


def test_units(metric: Any, measured: Benchmark) -> None:
    record = measured.query(1234)
    assert read(record, "validation_accuracy") == 100 * record.validation_accuracy
    for name in ("training_time_s", "energy_kwh", "parameters"):
        assert read(record, name) == record[name]
    power = read(record, "average_power_w")
    assert power == pytest.approx(record.total_energy_kwh * 3.6e6 / record.total_time_s)


def test_objectives_of_names_and_members(metric: Any) -> None:
    objective, column = naslib_metrics.objective, naslib_metrics.column
    for name, ours in (("VAL_ACCURACY", "validation_accuracy"), ("TRAIN_ENERGY", "energy_kwh")):
        assert objective(name) == objective(ours) == objective(metric[name]) == metric[name]
        assert hash(objective(ours)) == hash(metric[name])
    assert objective("energy_kwh") != metric.VAL_ACCURACY
    assert objective("energy_kwh").score(0.25) == -0.25
    assert objective("validation_accuracy").score(90.5) == 90.5
    for wrong in (metric.TRAIN_LOSS, metric.LATENCY, metric.HP, "VAL_ACCURACY"):
        with pytest.raises(UnknownMetricError, match="TRAIN_ENERGY"):
            column(wrong)
    for wrong, says in ((metric.TRAIN_LOSS, "TRAIN_ENERGY"), ("energy", "energy_kwh")):
        with pytest.raises(UnknownMetricError, match=says):
            objective(wrong)
    with pytest.raises(UnknownMetricError, match="no energy_kwh"):
        objective("energy_kwh").score(math.nan)


def test_performance_metric_answers_as_it_was_set(metric: Any, search: Callable[..., Any]) -> None:
    optimizer, _ = search("RandomSearch", metric=metric.TRAIN_ENERGY, epochs=1)
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
