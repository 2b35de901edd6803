"""JSON that nobody vouches for, and JSON that everybody can read."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.files import from_json, to_json

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 60), 1 << 60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_plain_values_come_back(value: Any) -> None:
    assert from_json(to_json(value)) == value
    assert from_json(to_json(value, indent=2).encode()) == value


def test_what_is_not_finite_becomes_null_wherever_it_is() -> None:
    made = {"a": (1.5, math.nan, [math.inf]), "b": {"c": -math.inf}}
    assert json.loads(to_json(made)) == {"a": [1.5, None, [None]], "b": {"c": None}}
    assert math.isnan(made["a"][1])  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nothing", b"\xff", b"\x00["])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_nesting_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        from_json(text)


def test_a_number_that_no_float_takes_is_a_value_error() -> None:
    assert float(from_json("9" * 300)) == pytest.approx(1e300)
    for digits in (400, 5_000):
        with pytest.raises(ValueError, match=f"{digits} digits"):
            from_json(f"[1, {'9' * digits}]")
