"""The table of what a benchmark saves: trainings that nobody has to run, in days, kWh and CO2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownBudgetError
from naslib_ecnas.figures.sheet import Sheet

__all__ = ["BUDGETS", "Saved", "saved", "saved_sheet"]

#: Epochs of the paper's four budgets.
BUDGETS = (4, 12, 36, 108)
_SECONDS_A_DAY = 86_400
_GRAMS_A_KILOGRAM = 1000


@dataclass(frozen=True)
class Saved:
    """What the trainings at the larger budgets would have taken; NaN where it is not known."""

    table: str
    cells: int
    how: str
    """`"linear"`: the total at 4 epochs times 39, `"table"`: the table's own larger budgets."""
    gpu_days: float
    energy_kwh: float
    co2_kg: float


def saved(bench: Benchmark) -> Saved:
    """What a table's larger budgets save: all its cells once at 12, 36 and 108 epochs.

    The paper trained at 4 epochs and scaled linearly: the four budgets together take
    (4 + 12 + 36 + 108) / 4 = 40 times what was spent, so 39 times that was saved. A table that
    holds 4 epochs alone is counted so, which gives the paper's row of five vertices: 121.109
    GPU-days, 1970.495 kWh, 252.571 kgCO2eq (its last digit is cut off, not rounded). Of a table
    that holds all four budgets its own values at the three larger ones are added. Values are
    means over the repeats; a quantity that one cell lacks is not known for the table.

    Raises:
        UnknownBudgetError: the table holds neither 4 epochs alone nor all four budgets.
    """
    budgets: tuple[int, ...]
    if bench.budgets == BUDGETS[:1]:
        how, budgets, factor = "linear", BUDGETS[:1], sum(BUDGETS) / BUDGETS[0] - 1
    elif set(BUDGETS) <= set(bench.budgets):
        how, budgets, factor = "table", BUDGETS[1:], 1.0
    else:
        raise UnknownBudgetError(
            f"table {bench.name} does not tell what the paper's budgets take",
            value=bench.budgets,
            expected="4 epochs alone, or 4, 12, 36 and 108",
            remedy="choose another table",
        )
    return Saved(
        bench.name,
        len(bench.rows),
        how,
        factor * _total(bench, "training_time_s", budgets) / _SECONDS_A_DAY,
        factor * _total(bench, "energy_kwh", budgets),
        factor * _total(bench, "co2_g", budgets) / _GRAMS_A_KILOGRAM,
    )


def saved_sheet(benches: Sequence[Benchmark]) -> Sheet:
    """A line for each table."""
    heads = ("table", "cells", "how", "gpu_days", "energy_kwh", "co2_kg")
    return Sheet.of(
        heads, [tuple(getattr(saved(bench), head) for head in heads) for bench in benches]
    )


def _total(bench: Benchmark, name: str, budgets: Sequence[int]) -> float:
    if name not in bench.metrics:
        return math.nan
    return float(sum(np.sum(bench.values(name, budget)[bench.rows]) for budget in budgets))
