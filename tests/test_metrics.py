"""Metrics and provenance: what a number is and where it comes from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError, FormatError, UnknownMetricError
from naslib_ecnas.metrics import METRICS, OBJECTIVES, Metric, metric, missing_metric_remedy
from naslib_ecnas.provenance import Provenance


def test_directions_and_bounds_follow_from_the_names() -> None:
    for name, found in METRICS.items():
        assert found.name == name
        assert found.maximise == (found.upper == 1.0 and name != "failure_probability")
        assert found.maximise == (name.endswith("accuracy") or name == "gpu_share")
        units = {"_kwh": "kWh", "_s": "s", "_w": "W", "_j": "J", "_g": "gCO2eq"}
        for suffix, unit in units.items():
            if name.endswith(suffix) and not name.endswith("per_kwh"):
                assert found.unit == unit
    assert [metric(name).maximise for name in OBJECTIVES] == [False, True]


def test_impossible_and_implausible_values() -> None:
    for name, values, says in (
        (
            "energy_kwh",
            [math.nan, 1.0, 0.0],
            (2, "must be above 0 and at most 10,000, got 0"),
        ),
        ("energy_kwh", [3.6e5], (0, "(in J?), got 360000")),
        ("training_time_s", [-1.0], (0, "above 0 and at most 100,000,000, got -1")),
        ("test_accuracy", [0.5, 93.0], (1, "at least 0 and at most 1 (in per cent?), got 93")),
        ("initial_training_time_s", [math.inf], (0, "at least 0 and at most 100,000,000, got inf")),
        ("parameters", [1.0, math.inf], (1, "parameters must be at least 0 and finite, got inf")),
    ):
        found = metric(name).fault(np.array(values))
        assert found is not None
        assert (found[0], says[1] in found[1]) == (says[0], True)
    for name, values, unit in (
        ("energy_kwh", [0.1, 360.0], "J or Wh"),
        ("training_time_s", [0.5], "min or h"),
        ("carbon_intensity_g_per_kwh", [0.3], "kg/kWh"),
    ):
        assert metric(name).fault(values) is None
        assert f"(in {unit}?)" in str(metric(name).doubt(values))
    # A training needs energy and time; what was used before its first step, or varies, may be 0.
    for name, found in METRICS.items():
        assert (found.fault([0.0]) is None) == (not found.positive), name
        assert found.fault([]) is found.fault([math.nan]) is found.doubt([math.nan]) is None


def test_costs_are_minimised() -> None:
    accuracy, energy = metric("test_accuracy"), metric("energy_kwh")
    values = np.array([0.5, math.nan, 0.9])
    assert accuracy.cost(values)[[0, 2]].tolist() == [-0.5, -0.9]
    assert accuracy.from_cost(accuracy.cost(values))[[0, 2]].tolist() == [0.5, 0.9]
    assert energy.cost(values) is not values
    assert energy.cost(values)[[0, 2]].tolist() == [0.5, 0.9]
    assert (accuracy.best(values), accuracy.worst(values)) == (0.9, 0.5)
    assert (energy.best(values), energy.worst(values)) == (0.5, 0.9)
    assert math.isnan(energy.best([math.nan]))
    assert math.isnan(accuracy.worst([]))
    assert (energy.label, accuracy.label) == ("training energy (kWh)", "test accuracy")


def test_an_unknown_or_impossible_metric_is_an_error() -> None:
    for name, says in (("energy", "such as energy_kwh, "), ("zz", "co2_g, .*, test_accuracy, got")):
        with pytest.raises(UnknownMetricError, match=says):
            metric(name)
    for lower, upper in ((1.0, 0.0), (0.0, float("nan"))):
        with pytest.raises(ConfigError, match="the bounds of latency_ms must ascend"):
            Metric("latency_ms", "ms", False, lower, upper, "time of one image")
    assert "carbon_intensity" in str(missing_metric_remedy("co2_g_std"))
    assert missing_metric_remedy("energy_kwh") is missing_metric_remedy(3) is None


def test_provenance_has_a_text_and_comes_back_from_json() -> None:
    one = Provenance("measured", device="Quadro RTX 6000", pue=1.59, repeats=1, source="f")
    other = Provenance("modelled", device="Quadro RTX 6000", pue=1.0, repeats=3, note="so")
    assert Provenance.from_json(one.to_json()) == one
    assert str(one) == "measured, on Quadro RTX 6000, PUE 1.59 included, 1 repeat, f"
    assert str(other) == "modelled, on Quadro RTX 6000, without PUE, 3 repeats (so)"
    assert Provenance("unknown").to_json() == {"kind": str(Provenance("unknown"))}
    fields: list[dict[str, object]] = [{"x": 1}, {"pue": "a"}, {"repeats": 1.0}, {"device": 3}]
    fields += [{"pue": True}, {"repeats": True}]
    for wrong in ({}, [], {"kind": "guess"}, *({"kind": "measured", **more} for more in fields)):
        with pytest.raises(FormatError, match=r"^t: a provenance must have a kind \(measured"):
            Provenance.from_json(wrong, path="t")
    # What is comparable.
    one = Provenance("measured", device="a", pue=1.59, repeats=1, source="f")
    assert one.differs_in(Provenance("modelled", device="a", pue=1.0)) == ["kind", "pue", "repeats"]
    assert one.differs_in(Provenance("measured", "a", 1.59, 1, source="g")) == []
    assert one.same_trainings(Provenance("measured", "a", 1.0, 3))
    assert not one.same_trainings(Provenance("scaled", "a"))
    assert not one.same_trainings(Provenance("measured", "b"))
