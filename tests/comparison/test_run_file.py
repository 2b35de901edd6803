"""Runs as files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.comparison.compare import Run
from naslib_ecnas.errors import FormatError


def run_of(rows: list[int], epochs: list[int]) -> Run:
    return Run(
        table="5v",
        checksum="c" * 64,
        method="semoa",
        seed=3,
        objectives=("energy_kwh", "validation_accuracy"),
        budget=108,
        rows=np.array(rows, dtype=np.int32),
        epochs=np.array(epochs, dtype=np.int64),
    )


@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 423_623), st.sampled_from([4, 12, 36, 108])), min_size=1
    )
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]]) -> None:
    path = tmp_path_factory.getbasetemp() / "run.json"
    before = run_of([row for row, _ in pairs], [epochs for _, epochs in pairs])
    before.write(path)
    after = Run.read(path)
    for field in dataclasses.fields(Run):
        left, right = getattr(before, field.name), getattr(after, field.name)
        assert np.array_equal(left, right), field.name
    again = path.read_bytes()
    after.write(path)
    assert path.read_bytes() == again


@pytest.mark.parametrize(
    "change",
    [
        {"format": "ecnas-run/2"},
        {"rows": []},
        {"rows": [1, -1]},
        {"rows": [1, True]},
        {"rows": "12"},
        {"epochs": [108]},
        {"epochs": 1.5},
        {"epochs": [108, None]},
        {"seed": "3"},
        {"objectives": [1]},
        {"checksum": None},
    ],
)
def test_damage_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "run.json"
    run_of([1, 2], [108, 108]).write(path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **change}))
    with pytest.raises(FormatError, match="delete it"):
        Run.read(path)


def test_every_truncation_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run_of([1, 2], [4, 108]).write(path)
    whole = path.read_bytes().rstrip()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError):
            Run.read(path)
    with pytest.raises(FormatError):
        Run.read(tmp_path / "none.json")
