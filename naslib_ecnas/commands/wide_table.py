"""Tables of many columns: beside each other where the terminal is wide enough, else in blocks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from shutil import get_terminal_size

from naslib_ecnas.console import NARROW, print_table

__all__ = ["print_wide_table"]

#: Between two columns, and at the table's edges, as `print_table` sets them on a terminal.
_GAP = 2


def print_wide_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Print a table, row by row where it is wider than the terminal.

    Cut columns hide digits; a block for each row, a line for each column, shows all of them.

    Args:
        headings: of the columns; the first column names the rows.
        rows: one text for each column.
        right: columns that are aligned to the right.
    """
    widths = [
        max(map(len, column)) if place in right else min(max(map(len, column)), NARROW)
        for place, column in enumerate(zip(headings, *rows, strict=True))
    ]
    needed = sum(widths) + _GAP * len(widths)
    if not sys.stdout.isatty() or needed <= get_terminal_size().columns:
        print_table(headings, rows, right=right)
        return
    width = max(map(len, headings[1:]), default=0)
    for row in rows:
        print(f"{headings[0]} {row[0]}".strip())
        for heading, text in zip(headings[1:], row[1:], strict=True):
            print(f"  {heading.ljust(width)}  {text}".rstrip())
