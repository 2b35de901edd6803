"""The paper's tables of the spaces (1) and of the savings (3), and tables as Markdown or LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import UnknownBudgetError, check_types
from naslib_ecnas.figures.drawing import capitalised
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import METRICS
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


# -- for papers and notes ---------------------------------------------------------------------

#: Characters that LaTeX takes for commands, and those that its fonts lack -> what to write.
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{MINUS SIGN}": "$-$"}


def shown(value: object) -> str:
    """A value as a reader wants it: "unknown" if it is missing, few digits, commas."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    if isinstance(value, float):
        if abs(value) < 1:
            return f"{value:.4g}"
        return f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def formatted(sheet: Sheet, about: str, kind: str) -> str:
    """A sheet as a table in Markdown or LaTeX (with booktabs), with `about` below or above it.

    Headings are names and units in words; a column and its standard deviation (`..._sd`) become
    one: mean and deviation. In LaTeX, what is the same in all of several rows is no column: it is
    told behind `about`, a comment that can become the caption.
    """
    columns = dict(zip(sheet.headings, zip(*sheet.rows, strict=True), strict=True))
    body: dict[str, list[str]] = {}
    places = []
    for name, values in columns.items():
        if name.removesuffix("_sd") in columns and name.endswith("_sd"):
            continue
        numbers = any(isinstance(value, int | float) for value in values)
        heading, cells = _heading(name, numbers), _with_sd(values, columns.get(f"{name}_sd"))
        if kind == "latex" and len(cells) > 1 and len(set(cells)) == 1:
            about += f" {heading}: {cells[0]}."
            continue
        places.append("r" if numbers else "l")
        body[heading] = cells
    rows = list(zip(*body.values(), strict=True))
    if kind == "markdown":
        rule = [{"r": "--:", "l": "---"}[place] for place in places]
        every = [list(body), rule, *rows]
        lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in every]
        return "\n".join([*lines, "", about])
    lines = [
        " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\"
        for row in (list(body), *rows)
    ]
    begin = rf"\begin{{tabular}}{{{''.join(places)}}}"
    top = [f"% {about}", "% needs: \\usepackage{booktabs}", begin]
    end = [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*top, r"\toprule", lines[0], r"\midrule", *lines[1:], *end])


def _heading(name: str, numbers: bool) -> str:
    """The name of a column in words, with the unit if it holds numbers."""
    found = METRICS.get(name)
    if found is not None:
        return capitalised(found.label if numbers else found.about)
    words = {"gpu_days": "GPU-days", "co2_kg": "kgCO2eq", "parameters_log10": "log10 of parameters"}
    return words.get(name) or capitalised(name.replace("_", " "))


def _with_sd(values: Sequence[Any], spread: Sequence[float] | None) -> list[str]:
    """The cells of a column; with deviations as "0.92 \N{PLUS-MINUS SIGN} 0.01", all to the
    decimal that gives a typical deviation two digits."""
    if spread is None or any(map(math.isnan, spread)):
        return list(map(shown, values))
    real = [sd for value, sd in zip(values, spread, strict=True) if sd > 1e-9 * abs(value)]
    typical = sorted(real)[len(real) // 2] if real else 0.01
    digits = max(0, 1 - math.floor(math.log10(typical)))
    pairs = zip(values, spread, strict=True)
    return [f"{v:,.{digits}f} \N{PLUS-MINUS SIGN} {sd:,.{digits}f}" for v, sd in pairs]
