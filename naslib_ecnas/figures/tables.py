"""The paper's tables of the spaces (1) and of the savings (3), computed from benchmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownBudgetError, check_types
from naslib_ecnas.files import Sheet
from naslib_ecnas.topologies import topologies

#: Epochs of the paper's four budgets.
_BUDGETS = (4, 12, 36, 108)
_SECONDS_PER_DAY = 86_400
_GRAMS_PER_KILOGRAM = 1000
#: Metrics whose origin the table of the spaces states.
_COLUMNS = ("energy_kwh", "validation_accuracy", "training_time_s")


# -- savings ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Saved:
    """Cost of training all cells at the larger budgets; NaN if unknown."""

    table: str
    cells: int
    how: str
    """`"linear"`: 39 times the total at 4 epochs; `"table"`: the table's own larger budgets."""
    gpu_days: float
    energy_kwh: float
    co2_kg: float


def saved(bench: Benchmark) -> Saved:
    """Cost of training each cell of a table once at 12, 36 and 108 epochs.

    The paper trained at 4 epochs and scaled linearly: the four budgets together cost
    (4 + 12 + 36 + 108) / 4 = 40 times what was spent, so that 39 times was saved. This is computed
    for a table that holds only 4 epochs. For a table with all four budgets, its own values at the
    three larger ones are added. Values are means over the repeats; a quantity that is missing for
    one cell is NaN.

    Raises:
        UnknownBudgetError: the table holds neither 4 epochs alone nor all four budgets.
    """
    check_types(Benchmark, bench=bench)
    budgets: tuple[int, ...]
    if bench.budgets == _BUDGETS[:1]:
        how, budgets, factor = "linear", _BUDGETS[:1], sum(_BUDGETS) / _BUDGETS[0] - 1
    elif set(_BUDGETS) <= set(bench.budgets):
        how, budgets, factor = "table", _BUDGETS[1:], 1.0
    else:
        message = f"table {bench.name} must hold 4 epochs alone, or 4, 12, 36 and 108"
        raise UnknownBudgetError(message, value=bench.budgets)
    names = ("training_time_s", "energy_kwh", "co2_g")
    seconds, energy_kwh, grams = (factor * _total(bench, name, budgets) for name in names)
    days, co2_kg = seconds / _SECONDS_PER_DAY, grams / _GRAMS_PER_KILOGRAM
    return Saved(bench.name, len(bench.rows), how, days, energy_kwh, co2_kg)


def saved_sheet(benches: Sequence[Benchmark]) -> Sheet:
    """A line for each table."""
    heads = [field.name for field in fields(Saved)]
    return Sheet.of(heads, [astuple(saved(bench)) for bench in benches])


def _total(bench: Benchmark, name: str, budgets: Sequence[int]) -> float:
    if name not in bench.metrics:
        return math.nan
    return float(sum(np.sum(bench.values(name, budget)[bench.rows]) for budget in budgets))


# -- spaces -----------------------------------------------------------------------------------


def spaces_sheet(benches: Sequence[Benchmark]) -> Sheet:
    """Sizes of the spaces of some tables, and the origin of their values.

    Columns: the table; the largest number of vertices and of edges of a cell (input and output
    count as vertices); cells of the space, in all and for each number of vertices from 2 on; cells
    in the table, its budgets and repeats; trainings, the number of cells x budgets x repeats that
    have an energy; and the origin of three metrics: measured, scaled, modelled, ... or absent.
    """
    heads = ("table", "vertices", "edges", "cells", "cells_by_vertices", "cells_in_table")
    rows = [_about(bench) for bench in benches]
    return Sheet.of((*heads, "budgets", "repeats", "trainings", *_COLUMNS), rows)


def _about(bench: Benchmark) -> tuple[object, ...]:
    table = topologies()
    size = len(bench.space)
    topology = np.unique(table.row_topology[:size])
    edges = max(int(code).bit_count() for code in table.code[topology])
    vertices = table.vertices[table.row_topology[:size]]
    counts = np.bincount(vertices)[2:]
    trainings = 0
    if _COLUMNS[0] in bench.metrics:
        for budget in range(len(bench.budgets)):
            trainings += int(np.isfinite(bench.table.at_budget(_COLUMNS[0], budget)).sum())
    by_vertices, budgets = (" ".join(map(str, found)) for found in (counts.tolist(), bench.budgets))
    kinds = [bench.provenance[n].kind if n in bench.metrics else "absent" for n in _COLUMNS]
    space = bench.name, bench.space.vertices, edges, size, by_vertices
    return (*space, len(bench.rows), budgets, bench.repeats, trainings, *kinds)
