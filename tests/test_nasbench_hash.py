"""Distinct rows by a 64-bit mix: against brute force, and where two rows mix to one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.nasbench_hash import _unique_rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-2, 3)] * 3), min_size=1, max_size=40))
def test_distinct_rows_are_those_of_brute_force(rows: list[tuple[int, int, int]]) -> None:
    first, which = _unique_rows(np.array(rows, dtype=np.int32))
    assert len(first) == len(set(rows))
    assert [rows[first[k]] for k in which] == rows
    assert all(rows.index(rows[i]) == i for i in first)


def test_rows_that_mix_to_one_are_told_apart() -> None:
    """The second entry that makes two rows collide, found by inverting the last step of the mix."""
    size = 1 << 64
    weights = np.random.default_rng(0).integers(1, 1 << 63, 2, dtype=np.uint64) | 1
    one, two = (int(w) for w in weights)

    def after_first(entry: int) -> int:
        key = entry * one % size
        return key ^ key >> 29

    other = (after_first(1) + 7 * two - after_first(2)) * pow(two, -1, size) % size
    assert (after_first(1) + 7 * two - after_first(2) - other * two) % size == 0
    rows = np.array([[1, 7], [2, other], [1, 7]], dtype=np.uint64)
    first, which = _unique_rows(rows)  # type: ignore[arg-type]
    assert sorted(first.tolist()) == [0, 1]
    assert (rows[first][which] == rows).all()
