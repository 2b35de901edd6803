"""Sheets: what is written is what was computed."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.errors import ConfigError, StorageError
from naslib_ecnas.files import Sheet


# Without NUL, which Python 3.10 cannot write as CSV.
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\0")),
            st.floats(allow_nan=False),
            st.integers(),
        )
    )
)
def test_csv_keeps_every_value_exactly(rows: list[tuple[str, float, int]]) -> None:
    sheet = Sheet.of(("a", "b (s)", "c"), rows)
    head, *body = csv.reader(io.StringIO(sheet.text(), newline=""))
    assert head == ["a", "b (s)", "c"]
    assert [(a, float(b), int(c)) for a, b, c in body] == rows


def test_unknown_values_are_empty_fields_and_numpy_becomes_plain() -> None:
    sheet = Sheet.of(("x", "y", "z"), [(np.float64(0.1), math.nan, None), (np.int32(3), 1.0, "")])
    assert sheet.text() == "x,y,z\n0.1,,\n3,1.0,\n"
    assert type(sheet.rows[1][0]) is int
    assert next(sheet.records())["x"] == 0.1
    assert len(sheet) == 2


def test_rows_must_fit() -> None:
    with pytest.raises(ConfigError):
        Sheet.of(("a", "b"), [(1,)])
    with pytest.raises(ConfigError):
        Sheet.of(("a", "a"), [])


def test_it_is_written_whole_or_not(tmp_path: Path) -> None:
    path = Sheet.of(("a",), [(1,)]).write(tmp_path / "new" / "x.csv")
    assert path.read_text() == "a\n1\n"
    with pytest.raises(StorageError):
        Sheet.of(("a",), [(1,)]).write(path / "below.csv")
    assert [p.name for p in path.parent.iterdir()] == ["x.csv"]
