"""Records: what they derive, and that JSON gives them back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from naslib_ecnas import Cell
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import to_json
from naslib_ecnas.training.recipe import RECIPES
from naslib_ecnas.training.record import (
    DataLabel,
    Evaluation,
    Segment,
    TrainingRecord,
    WindowId,
)


def _window(name: str, seconds: float, index: int | None = None) -> WindowId:
    return WindowId(name=name, index=index, seconds=seconds)


@pytest.fixture
def record() -> TrainingRecord:
    cell = Cell("010001000:input,conv3x3-bn-relu,output")
    evaluation = Evaluation(
        when="end",
        split="test",
        steps=625,
        images=9984,
        accuracy=0.75,
        window=_window("evaluate-end-test", 2.0, 7),
    )
    segments = [
        Segment(
            window=_window(name, seconds),
            first_step=first,
            steps=steps,
            mean_loss=1.5,
            last_loss=math.pi,
        )
        for name, seconds, first, steps in (("train-0", 1.0, 0, 1), ("train-1", 9.5, 1, 624))
    ]
    return TrainingRecord(
        cell=str(cell),
        nasbench_hash=cell.nasbench_hash,
        parameters=1_234_567,
        epochs=4,
        budget_steps=625,
        steps=625,
        seed=3,
        recipe=replace(RECIPES["ecnas"], bf16=True),
        departures=("bf16 True for False",),
        data=DataLabel(name="synthetic", sha256="0" * 64, train=4, validation=1, test=1),
        device="cpu",
        device_name="a processor",
        windows=(_window("total", 20.0, 0), evaluation.window),
        segments=tuple(segments),
        evaluations=(evaluation,),
        first_bad_step=None,
        bad_steps=0,
        versions={"torch": "2.1"},
    )


def test_through_json(record: TrainingRecord) -> None:
    text = to_json(record.to_json(), indent=1)
    assert TrainingRecord.from_json(json.loads(text)) == record


def test_nan_goes_through_json_as_null(record: TrainingRecord) -> None:
    segment = replace(record.segments[0], last_loss=math.nan)
    text = to_json(replace(record, segments=(segment,)).to_json())
    assert '"last_loss": null' in text
    found = TrainingRecord.from_json(json.loads(text))
    assert math.isnan(found.segments[0].last_loss)
    assert found.segments[0].mean_loss == 1.5


def test_what_is_derived(record: TrainingRecord) -> None:
    assert record.accuracy("test") == 0.75
    assert record.training_time_s == 10.5
    assert record.total_time_s == 20.0
    assert record.evaluations[0].latency_s == 2.0 / 9984
    assert not record.diverged
    assert replace(record, first_bad_step=7, bad_steps=2).diverged
    for wanted in (("test", "half"), ("training", "end")):
        with pytest.raises(ConfigError, match="no such evaluation"):
            record.accuracy(*wanted)


def test_energy_of_inference(record: TrainingRecord) -> None:
    found = record.inference_energy_j({"evaluate-end-test": 499.2, "train-1": 1e5})
    assert found == {"evaluate-end-test": pytest.approx(0.05)}


def _changed(data: Any, path: list[Any], value: Any) -> Any:
    *before, last = path
    target = data
    for key in before:
        target = target[key]
    target[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["epochs"], "4"),
        (["epochs"], None),
        (["epochs"], 4.0),
        (["steps"], True),
        (["departures"], "none"),
        (["departures", 0], 5),
        (["recipe", "batch_size"], 0),
        (["recipe", "bf16"], 1),
        (["recipe", "unknown"], 1),
        (["windows", 0, "index"], "0"),
        (["windows", 0], None),
        (["segments", 1, "mean_loss"], "nan"),
        (["versions"], ["torch"]),
        (["versions", "torch"], 2.1),
        (["data"], {}),
    ],
    ids=str,
)
def test_other_json_is_refused(record: TrainingRecord, path: list[Any], value: Any) -> None:
    data = json.loads(to_json(record.to_json()))
    with pytest.raises(FormatError, match=str(path[0])):
        TrainingRecord.from_json(_changed(data, path, value), path="there.json")


@pytest.mark.parametrize("data", [None, [], "text", {}])
def test_what_is_no_record_is_refused(data: Any) -> None:
    with pytest.raises(FormatError, match="TrainingRecord"):
        TrainingRecord.from_json(data)
