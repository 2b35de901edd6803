"""NASLib's metrics extended in place, and their units."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from naslib_ecnas.adapters import naslib_objectives
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ProvenanceError, UnknownMetricError
from naslib_ecnas.provenance import Provenance


@pytest.fixture
def metric(naslib: Any) -> Any:
    return naslib_objectives.extend()


def test_members_are_members(metric: Any) -> None:
    from naslib.search_spaces.core.query_metrics import Metric

    assert metric is Metric
    before = list(Metric)
    assert naslib_objectives.extend() is Metric
    assert list(Metric) == before
    assert len({m.value for m in before}) == len(before)
    for name in naslib_objectives.ADDED:
        member = getattr(Metric, name)
        assert isinstance(member, Metric)
        assert Metric[name] is Metric(member.value) is member
        assert member in before
        assert member.name == name
        assert str(member) == f"Metric.{name}"
        assert pickle.loads(pickle.dumps(member)) is member  # noqa: S301
        assert copy.deepcopy(member) is member
        assert {member: 1}[member] == 1


def test_units(metric: Any, measured: Benchmark) -> None:
    record = measured.query(1234)
    read = naslib_objectives.read
    assert read(record, "validation_accuracy", measured) == 100 * record.validation_accuracy
    assert read(record, "training_time_s", measured) == record.training_time_s
    assert read(record, "energy_kwh", measured) == record.energy_kwh
    assert read(record, "parameters", measured) == record.parameters
    power = read(record, "average_power_w", measured)
    assert power == pytest.approx(record.total_energy_kwh * 3.6e6 / record.total_time_s)


def test_power_of_different_trainings_is_refused() -> None:
    energy = Provenance("scaled", device="Quadro RTX 6000")
    bench: Any = SimpleNamespace(
        metrics=("energy_kwh", "training_time_s"),
        provenance={"energy_kwh": energy, "training_time_s": Provenance("measured", device="TPU")},
    )
    record: Any = {"energy_kwh": 1.0, "training_time_s": 1.0}
    assert not naslib_objectives.holds(bench, "average_power_w")
    with pytest.raises(ProvenanceError, match="same trainings"):
        naslib_objectives.read(record, "average_power_w", bench)


@pytest.mark.parametrize("name", ["TRAIN_LOSS", "LATENCY", "HP"])
def test_what_no_table_has(metric: Any, name: str) -> None:
    with pytest.raises(UnknownMetricError, match="TRAIN_ENERGY"):
        naslib_objectives.column(metric[name])
    with pytest.raises(UnknownMetricError):
        naslib_objectives.column("VAL_ACCURACY")
