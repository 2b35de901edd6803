"""What a query asks a table for, checked: rows and repeats, and what is said of missing ones."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.cell import Cell
from naslib_ecnas.data.table import Table
from naslib_ecnas.errors import (
    ConfigError,
    UnknownBudgetError,
    UnknownCellError,
    UnknownRepeatError,
)
from naslib_ecnas.space import Space

__all__ = ["checked_repeat", "refuse_missing", "row_of", "rows_of"]


def row_of(space: Space, cell: Any) -> int:
    """The row that a cell, a row, a hash or anything that `Cell` accepts stands for."""
    if isinstance(cell, Cell):
        return cell.row
    if isinstance(cell, (int, np.integer)) and not isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, str) and len(cell) == 32 and ":" not in cell:
        return space.row_of_hash(cell)
    return Cell(cell).row


def rows_of(table: Table, cells: Any) -> NDArray[np.int32]:
    """(n,) rows that a vector of rows or a sequence of cells stands for.

    Raises:
        UnknownCellError: they are neither, or lie outside the space.
    """
    space = table.space
    if isinstance(cells, np.ndarray):
        rows = cells
    else:
        try:
            rows = np.array([row_of(space, cell) for cell in cells], dtype=np.int64)
        except TypeError:
            rows = np.empty((0, 0))
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise UnknownCellError(
            "cells must be a vector of rows or a sequence of cells",
            value=cells if rows.ndim != 1 else str(rows.dtype),
            expected="shape (n,), integers",
            remedy="take rows from Space.rows, Space.sample or Cell.row",
        )
    if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= len(space)):
        wrong = rows[(rows < 0) | (rows >= len(space))][0]
        table.position(int(wrong))
    return rows.astype(np.int32)


def checked_repeat(table: Table, repeat: Any, rng: Any) -> int | None:
    """The repeat as a plain number, or None for the mean or a random one.

    Raises:
        ConfigError: `rng` is no generator.
        UnknownRepeatError: there is no such repeat, or both are given.
    """
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise ConfigError(
            "rng is no random generator",
            value=rng,
            expected="a numpy.random.Generator",
            remedy="make one: numpy.random.default_rng(seed)",
        )
    if repeat is None:
        return None
    whole = isinstance(repeat, (int, np.integer)) and not isinstance(repeat, bool)
    if rng is not None or not whole or not 0 <= repeat < table.repeats:
        raise UnknownRepeatError(
            f"table {table.name} has no such repeat"
            if rng is None
            else "repeat= and rng= exclude each other",
            value=repeat,
            expected=f"0 to {table.repeats - 1}, or none for the mean",
            remedy="leave the repeat out for the mean",
        )
    return int(repeat)


def refuse_missing(
    table: Table, row: int, epochs: int, position: int, repeat: int | None
) -> NoReturn:
    """Say what is missing: the cell at this budget, or only this repeat.

    Raises:
        UnknownRepeatError: the cell has other repeats at this budget.
        UnknownBudgetError: it has none.
    """
    there = [
        b
        for i, b in enumerate(table.budgets)
        if any(
            not math.isnan(v) for r in range(table.repeats) for v in table.record(position, i, r)
        )
    ]
    if epochs in there:
        raise UnknownRepeatError(
            f"table {table.name} has fewer repeats of this cell",
            value=f"row {row}, repeat {repeat}",
            expected=f"a repeat that is there, at most {table.repeats - 1}",
            remedy="leave the repeat out for the mean over those that are there",
        )
    raise UnknownBudgetError(
        f"table {table.name} has no values of this cell at {epochs} epochs",
        value=f"row {row}",
        expected="one of " + (", ".join(map(str, there)) or "none of its budgets") + " epochs",
        remedy="choose a budget that the cell was trained for",
    )
