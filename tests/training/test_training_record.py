"""Records: what they derive, and that JSON gives them back; the names of the package."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas import Cell
from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.files import to_json
from naslib_ecnas.training.recipe import RECIPES
from naslib_ecnas.training.record import DataLabel, Evaluation, Segment, TrainingRecord, WindowId


@pytest.fixture
def record() -> TrainingRecord:
    def window(name: str, seconds: float, index: int | None = None) -> WindowId:
        return WindowId(name=name, index=index, seconds=seconds)

    cell = Cell("010001000:input,conv3x3-bn-relu,output")
    tested = window("evaluate-end-test", 2.0, 7)
    outcome = {"images": 9984, "accuracy": 0.75, "window": tested}
    evaluation = Evaluation(when="end", split="test", steps=625, **outcome)
    loss = {"mean_loss": 1.5, "last_loss": math.pi}
    segments = (
        Segment(window=window("train-0", 1.0), first_step=0, steps=1, **loss),
        Segment(window=window("train-1", 9.5), first_step=1, steps=624, **loss),
    )
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
        arithmetic={"cudnn.conv.fp32_precision": "ieee", "cudnn.allow_tf32": None},
        windows=(window("total", 20.0, 0), window("init", 5.0, 1), tested),
        segments=segments,
        evaluations=(evaluation,),
        first_bad_step=None,
        bad_steps=0,
        versions={"torch": "2.1"},
    )


def test_through_json(record: TrainingRecord) -> None:
    text = to_json(record.to_json(), indent=1)
    assert TrainingRecord.from_json(json.loads(text)) == record
    # NaN becomes null, and null NaN.
    segment = replace(record.segments[0], last_loss=math.nan)
    text = to_json(replace(record, segments=(segment,)).to_json())
    assert '"last_loss": null' in text
    found = TrainingRecord.from_json(json.loads(text))
    assert math.isnan(found.segments[0].last_loss)
    assert found.segments[0].mean_loss == 1.5


def test_what_is_derived(record: TrainingRecord) -> None:
    assert record.accuracy("test") == 0.75
    assert record.training_time_s == 10.5  # not the start-up
    assert record.start_up_s == 5.0
    assert record.total_time_s == 20.0
    assert record.evaluations[0].latency_s == 2.0 / 9984
    assert not record.diverged
    assert replace(record, first_bad_step=7, bad_steps=2).diverged
    for wanted in (("test", "middle"), ("training", "end")):
        with pytest.raises(ConfigError, match="train, validation, test at one of start, middle"):
            record.accuracy(*wanted)
    energy = record.inference_energy_j({"evaluate-end-test": 499.2, "train-1": 1e5})
    assert energy == {"evaluate-end-test": pytest.approx(0.05)}
    for change in ({"when": "late"}, {"split": "all"}, {"images": 0}, {"steps": -1}):
        with pytest.raises(ConfigError, match="an evaluation"):
            replace(record.evaluations[0], **change)


def test_other_json_is_refused(record: TrainingRecord) -> None:
    text = to_json(record.to_json())
    wrong: list[tuple[list[Any], Any]] = [
        (["epochs"], "4"),
        (["recipe", "batch_size"], 0),
        (["recipe", "unknown"], 1),
        (["windows", 0], None),
        (["arithmetic"], {"cudnn.benchmark": 0.5}),
        (["segments", 1, "mean_loss"], "nan"),
        (["data"], {}),
    ]
    for (*path, last), value in wrong:
        data = json.loads(text)
        reduce(getitem, path, data)[last] = value
        with pytest.raises(FormatError, match=str([*path, last][0])):
            TrainingRecord.from_json(data, path="there.json")
    for data in (None, [], "text", {}):
        with pytest.raises(FormatError, match="TrainingRecord"):
            TrainingRecord.from_json(data)


# -- names of the package -------------------------------------------------------------------

WITHOUT_TORCH = """
import sys
from naslib_ecnas.training import RECIPES, TrainingRecord
assert "torch" not in sys.modules
sys.modules["torch"] = None
from pathlib import Path
from naslib_ecnas import training
from naslib_ecnas.campaign import DataChoice, Settings, make_plan, work
from naslib_ecnas.errors import MissingDependencyError
data = DataChoice(kind="synthetic", images_per_file=4)
make_plan((0,), name="c", vertices=4, data=data).write(Path("c"))
for use in (lambda: training.train, lambda: work(Path("c"), Settings())):
    try:
        use()
    except MissingDependencyError as error:
        print(error)
"""


def test_without_torch_recipes_load_and_the_rest_says_what_to_install(tmp_path: Path) -> None:
    run = [sys.executable, "-c", WITHOUT_TORCH]
    out = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    needs = "training needs the package torch; install it: pip install 'naslib-ecnas[measure]'"
    assert out.splitlines() == [needs, needs]
