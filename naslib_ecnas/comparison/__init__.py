"""Comparisons of methods over tables and seeds: run, resumed, gathered into one tidy file.

from pathlib import Path

grid = Grid(methods=("semoa", "random"), tables=("5v",), seeds=(0, 1), evaluations=100)
units = compare(grid, Path("comparison"))
results = gather(Path("comparison"), units)
print(summarise(results).by_table())
"""

from naslib_ecnas.comparison.experiment import Grid, compare
from naslib_ecnas.comparison.findings import Findings, findings_of
from naslib_ecnas.comparison.results import Line, Results, Summary, gather, summarise
from naslib_ecnas.comparison.runs import Run, Unit
from naslib_ecnas.comparison.worlds import WorldRanking
from naslib_ecnas.search.methods import method_class, method_names

__all__ = [
    "Findings",
    "Grid",
    "Line",
    "Results",
    "Run",
    "Summary",
    "Unit",
    "WorldRanking",
    "compare",
    "findings_of",
    "gather",
    "method_class",
    "method_names",
    "summarise",
]
