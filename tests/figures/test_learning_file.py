"""The learning curve as a file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.figures.predictions import read_learning_curve


def test_means_over_the_draws(tmp_path: Path) -> None:
    points = [
        {"size": 400, "draw": 0, "mae_wh": 1.0, "mape": 3.0, "tau": 0.9},
        {"size": 100, "draw": 0, "mae_wh": 3.0, "mape": 9.0, "tau": 0.8},
        {"size": 100, "draw": 1, "mae_wh": 5.0, "mape": 9.0, "tau": 0.8},
    ]
    file = tmp_path / "curve.json"
    file.write_text(json.dumps(points))
    curve = read_learning_curve(file)
    assert curve.sizes.tolist() == [100, 400]
    assert curve.mean_wh.tolist() == [4.0, 1.0]
    assert curve.sd_wh[0] == pytest.approx(math.sqrt(2))
    assert math.isnan(curve.sd_wh[1])
    assert curve.draws.tolist() == [2, 1]
    assert curve.sheet().text().splitlines()[2] == "400,1.0,,1"


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "[1]", '[{"size": 0, "mae_wh": 1}]', '[{"size": 9, "mae_wh": null}]',
     '[{"size": 9, "mae_wh": NaN}]', '[{"size": true, "mae_wh": 1}]', '[{"size": 9}]'],
)  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "curve.json"
    file.write_text(text)
    with pytest.raises(FormatError, match="not a learning curve"):
        read_learning_curve(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError):
        read_learning_curve(file)
    with pytest.raises(UnknownTableError, match="learning-curve"):
        read_learning_curve(tmp_path / "nowhere.json")
