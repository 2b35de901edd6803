"""The table of the spaces: how many cells there are, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.figures.sheet import Sheet
from naslib_ecnas.structures import structures

__all__ = ["spaces_sheet"]

_COLUMNS = ("energy_kwh", "validation_accuracy", "training_time_s")


def spaces_sheet(benches: Sequence[Benchmark]) -> Sheet:
    """Sizes of the spaces behind some tables, and the origin of their values.

    Columns: the table; the most vertices and the most edges of a cell (input and output count as
    vertices); cells of the space, and of each number of vertices from 2 on; cells in the table,
    its budgets and repeats; trainings, which are cells x budgets x repeats that have an energy;
    and the kind of three columns: measured, scaled, modelled, ... or absent.
    """
    heads = ("table", "vertices", "edges", "cells", "cells_by_vertices", "cells_in_table")
    rows = [(*_sizes(bench), *_content(bench)) for bench in benches]
    return Sheet.of((*heads, "budgets", "repeats", "trainings", *_COLUMNS), rows)


def _sizes(bench: Benchmark) -> tuple[object, ...]:
    table = structures()
    size = len(bench.space)
    structure = np.unique(table.row_structure[:size])
    edges = max(int(code).bit_count() for code in table.code[structure])
    vertices = table.vertices[table.row_structure[:size]]
    counts = np.bincount(vertices)[2:]
    return (
        bench.name,
        bench.space.vertices,
        edges,
        size,
        " ".join(map(str, counts.tolist())),
        len(bench.rows),
    )


def _content(bench: Benchmark) -> tuple[object, ...]:
    trainings = 0
    if _COLUMNS[0] in bench.metrics:
        for budget in range(len(bench.budgets)):
            trainings += int(np.isfinite(bench.table.at_budget(_COLUMNS[0], budget)).sum())
    kinds = [
        bench.provenance[name].kind if name in bench.metrics else "absent" for name in _COLUMNS
    ]
    budgets = " ".join(map(str, bench.budgets))
    return (budgets, bench.repeats, trainings, *kinds)
