"""The learning curve: its table, its errors, and that more cells are better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.surrogate.fit.over_epochs import learning_curve


def test_more_cells_are_better(reference: Path) -> None:
    pytest.importorskip("lightgbm")
    found = learning_curve(reference, sizes=(100, 800), draws=2, model="boosting")
    assert [(point["size"], point["draw"]) for point in found] == [
        (100, 0),
        (800, 0),
        (100, 1),
        (800, 1),
    ]
    assert set(found[0]) == {"size", "draw", "mae_wh", "mape", "tau"}
    few, many = found[::2], found[1::2]
    assert np.mean([p["mae_wh"] for p in many]) < 0.75 * np.mean([p["mae_wh"] for p in few])
    assert all(many["tau"] > few["tau"] for few, many in zip(found[::2], found[1::2], strict=True))
    assert few[0]["mae_wh"] != few[1]["mae_wh"]


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "oracle"},
        {"draws": 0},
        {"sizes": (10,)},
        {"sizes": (100, 3018)},
        {"sizes": ()},
    ],
)
def test_what_cannot_be_drawn_is_refused(reference: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        learning_curve(reference, **settings)
