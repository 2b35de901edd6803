"""Packed matrices and operations: what is none, in every type of number."""

from __future__ import annotations

import numpy as np

from naslib_ecnas.cell import Cell
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import OPERATIONS


def test_invalid_matrices_get_minus_one() -> None:
    space = Space(7)
    good = np.zeros((7, 7), dtype=int)
    good[0, 1] = good[1, 6] = 1
    below, two, loop = good.copy(), good.copy(), good.copy()
    below[3, 1], two[0, 1], loop[2, 2] = 1, 2, 1
    ops = np.zeros((4, 5), dtype=int)
    for dtype in (np.int64, np.int8, np.uint8, np.float32):
        rows = space.rows(np.stack([good, below, two, loop]).astype(dtype), ops)
        assert rows[0] == Cell(good, ["input", *[OPERATIONS[0]] * 5, "output"]).row
        assert (rows[1:] == -1).all()
    for dtype, entry in ((np.int8, -1), (np.uint8, 255), (np.int64, 256), (np.float64, 0.5)):
        odd = good.astype(dtype)
        odd[0, 2] = entry
        assert space.rows(np.stack([odd, good.astype(dtype)]), ops[:2]).tolist() == [-1, rows[0]]
    # An unknown operation counts only where pruning leaves it.
    wrong = np.zeros((2, 5), dtype=int)
    wrong[0, 0], wrong[1, 3] = 7, 7
    assert space.rows(np.stack([good, good]), wrong).tolist() == [-1, rows[0]]
    named = np.full((1, 5), "nonsense")
    assert space.rows(good[None], named).tolist() == [-1]
    for dtype in (np.int8, np.int64, bool):
        assert space.rows(np.zeros((0, 7, 7), dtype=dtype), ops[:0]).shape == (0,)
