"""Records: one cell's as a mapping and as attributes, many cells' as columns and one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from naslib_ecnas import network
from naslib_ecnas.benchmark import DERIVED, Front, Record, Records
from naslib_ecnas.errors import UnknownMetricError

ONE = Record(5, 12, 1, ("energy_kwh", "test_accuracy"), [0.5, float("nan")])
MANY = Records(np.array([5, 80], dtype=np.int32), 12, None, {"energy_kwh": np.array([0.5, 0.25])})


def test_a_record_is_a_mapping_of_the_table_s_metrics() -> None:
    assert list(ONE) == ["energy_kwh", "test_accuracy"]
    assert len(ONE) == 2
    assert "parameters" in ONE  # it answers, though it is no column
    assert ONE["parameters"] == ONE.parameters == int(network.parameters(5)[0])
    assert set(ONE.to_dict()) == {"row", "cell", "epochs", "repeat", *ONE, *DERIVED}
    assert repr(ONE) == "Record(row=5, epochs=12, repeat=1, energy_kwh=0.5)"


@pytest.mark.parametrize("name", ["val_accuracy", "energy", "", "_values", 5, None])
def test_what_a_record_lacks_is_an_error_that_lists_what_it_has(name: Any) -> None:
    with pytest.raises(UnknownMetricError, match="energy_kwh, test_accuracy, parameters"):
        ONE[name]
    assert name not in ONE
    assert ONE.get(name) is None
    assert ONE.get(name, "none") == "none"
    if isinstance(name, str) and not name.startswith("_"):
        assert not hasattr(ONE, name)
        with pytest.raises(UnknownMetricError, match="energy_kwh, test_accuracy, parameters"):
            getattr(ONE, name)
    assert ONE.get("energy_kwh") == 0.5
    assert ONE.get("depth", "none") == ONE.depth


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_a_copy_says_the_same(again: Callable[[Record], Record]) -> None:
    """Copying asks for names such as `__setstate__`, which are no metrics."""
    same = again(ONE)
    assert same is not ONE
    assert repr(same) == repr(ONE)
    assert (same.row, same.epochs, same.repeat, same.parameters) == (5, 12, 1, ONE.parameters)


def test_records_are_columns_and_records() -> None:
    assert len(MANY) == 2
    assert MANY["energy_kwh"].tolist() == [0.5, 0.25]
    assert MANY["depth"].tolist() == network.depth([5, 80]).tolist()
    assert [(r.row, r.epochs, r.repeat, r.energy_kwh) for r in MANY] == [
        (5, 12, None, 0.5),
        (80, 12, None, 0.25),
    ]
    assert MANY[-1].row == 80
    with pytest.raises(IndexError):
        MANY[2]


@pytest.mark.parametrize("key", ["val_accuracy", "", None, 1.0, slice(0, 1)])
def test_what_records_lack_is_an_error_that_lists_what_they_have(key: object) -> None:
    with pytest.raises(UnknownMetricError, match="an index, or one of energy_kwh, parameters"):
        MANY[key]  # type: ignore[index]


def test_a_front_has_its_cells() -> None:
    front = Front(("energy_kwh", "depth"), 12, np.array([5, 80]), np.zeros((2, 2)))
    assert len(front) == 2
    assert [cell.row for cell in front.cells] == [5, 80]
