"""Searches of several methods with several seeds, and what is read from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures.sheet import Sheet
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search import METHODS, SearchResult, run

__all__ = ["CHOSEN", "QUANTITIES", "Study", "chosen_sheet", "mean_quantities", "study"]

#: What is told of a chosen cell (the columns of the paper's table), by the paper's letters.
QUANTITIES = {
    "T": "training_time_s",
    "Pv": "validation_accuracy",
    "E": "energy_kwh",
    "|theta|": "parameters_log10",
}
#: The cells that stand for a front: least energy, knee, highest accuracy.
CHOSEN = ("r0", "rk", "r1")


@dataclass(frozen=True, eq=False)
class Study:
    """Finished searches of one table at one budget, alike but for method and seed."""

    table: str
    epochs: int
    evaluations: int
    seeds: tuple[int, ...]
    runs: dict[str, tuple[SearchResult, ...]]
    """One result for each seed, by method."""


def study(
    bench: Benchmark,
    methods: Sequence[str] | None = None,
    *,
    seeds: int = 10,
    evaluations: int = 500,
    epochs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Run every method with every seed on energy and validation accuracy.

    Args:
        bench: the table.
        methods: names of methods, by default all there are, SEMOA first.
        seeds: how many, from seed 0.
        evaluations: of each run.
        epochs: training budget; the largest where left out.
        on_progress: called with the runs finished and the runs in all.

    Raises:
        ConfigError: no methods, one named twice or unknown, fewer than one seed or evaluation.
        UnknownBudgetError: the table does not hold this budget.
        UnknownMetricError: the table lacks energies or accuracies.
    """
    names = tuple(sorted(METHODS, key=lambda name: (name != "semoa", name)))
    names = names if methods is None else tuple(methods)
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            "no set of methods",
            value=names,
            expected="each method once, of " + ", ".join(METHODS),
            remedy="such as --methods semoa,random",
        )
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ConfigError("no seeds", value=seeds, expected="1 or more", remedy="such as 10")
    runs: dict[str, tuple[SearchResult, ...]] = {}
    total = len(names) * seeds
    for name in names:
        found = []
        for seed in range(seeds):
            found.append(run(bench, name, epochs=epochs, evaluations=evaluations, seed=seed))
            if on_progress is not None:
                on_progress(len(runs) * seeds + seed + 1, total)
        runs[name] = tuple(found)
    budget = bench.budgets[-1] if epochs is None else epochs
    return Study(bench.name, budget, evaluations, tuple(range(seeds)), runs)


def mean_quantities(results: Sequence[SearchResult]) -> dict[str, dict[str, float]]:
    """Means over the runs of what the chosen cells cost and reach.

    Returns:
        By the names of `CHOSEN` and then of `QUANTITIES`: s, a fraction, kWh, and the logarithm to
        base 10 of the number of parameters (the paper prints that under the head M). NaN where
        the table does not hold a quantity.
    """
    out = {}
    for which in CHOSEN:
        rows = [_quantities(result, _index(result, which)) for result in results]
        out[which] = {key: float(np.mean([row[key] for row in rows])) for key in QUANTITIES}
    return out


def chosen_sheet(data: Study) -> Sheet:
    """The paper's table 1: the chosen cells of every method, means and deviations over seeds.

    `r0` is the cell of least energy on the front, `r1` that of the highest accuracy, `rk` the
    knee: the least sum of the objectives scaled to 0 .. 1 on the front. `sd` is the standard
    deviation over the seeds (of a sample; NaN with one seed).
    """
    heads = ["method", "cell"]
    heads += [text for name in QUANTITIES.values() for text in (name, f"{name}_sd")]
    rows = []
    for method, results in data.runs.items():
        for which in CHOSEN:
            found = [_quantities(result, _index(result, which)) for result in results]
            row: list[object] = [method, which]
            for key in QUANTITIES:
                values = np.array([f[key] for f in found])
                spread = values.std(ddof=1) if len(values) > 1 else np.nan
                row += [float(values.mean()), float(spread)]
            rows.append(row)
    return Sheet.of(heads, rows)


def _index(result: SearchResult, which: str) -> int:
    """Evaluation of a chosen cell."""
    if which == "rk":
        return result.knee
    name = OBJECTIVES[0] if which == "r0" else OBJECTIVES[1]
    return result.extremes[result.config.objectives.index(name)]


def _quantities(result: SearchResult, index: int) -> dict[str, float]:
    detail: dict[str, NDArray[np.float64]] = dict(result.details)
    if "parameters" in detail:
        detail["parameters_log10"] = np.log10(detail["parameters"])
    nothing = np.full(len(result.rows), np.nan)
    return {key: float(detail.get(name, nothing)[index]) for key, name in QUANTITIES.items()}
