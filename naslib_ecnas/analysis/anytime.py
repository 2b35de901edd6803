"""How good the front of a run was after so many evaluations, or so many kWh.

Everything here is a step function: what a run has found counts from the evaluation at which it
was paid for, and nothing is known beyond the run's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.costs import costs_of
from naslib_ecnas.checked import check_counts, floats
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.nondominated import nondominated

if TYPE_CHECKING:
    from naslib_ecnas.analysis.scale import Scale

__all__ = ["AnytimeBand", "anytime", "band", "common_budgets"]

Indicator = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True, eq=False)
class AnytimeBand:
    """Median and quartiles of several runs of one method at common budgets."""

    budgets: NDArray[np.float64]
    """(k,) in the unit of what was spent."""
    runs: int
    lower: NDArray[np.float64]
    """(k,) a quarter of the runs lies no higher."""
    median: NDArray[np.float64]
    upper: NDArray[np.float64]
    """(k,) three quarters of the runs lie no higher."""


def anytime(
    values: ArrayLike,
    cumulative: ArrayLike,
    budgets: ArrayLike,
    scale: Scale,
    *,
    indicator: Indicator | None = None,
    end: float | None = None,
) -> NDArray[np.float64]:
    """What a run had reached by the time that it had spent each of several budgets.

    An evaluation counts for a budget if it was paid for whole within it.

    Args:
        values: (n, m) values in the order of evaluation, in the metrics' units.
        cumulative: (n,) what was spent up to and with each evaluation, never falling: numbers of
            evaluations, kWh, seconds, ... (`SearchResult.cumulative`).
        budgets: (k,) budgets in the same unit, in any order.
        scale: the table's.
        indicator: a number for the (j, m) values of a front in the metrics' units; the scale's
            hypervolume where left out. Such as `lambda found: igd_plus(found, front, scale)`. It
            must be one that dominated cells do not change, and also have a value for no cells.
        end: budget that the run was given, where that is more than what it spent: one that
            stopped because no further evaluation fitted in stays what it was up to there.

    Returns:
        (k,) float64; NaN for a budget beyond the end, since nothing says what the run would have
        reached.

    Raises:
        ConfigError: the shapes do not fit, or what was spent falls or is not known.

    Example:
        >>> from naslib_ecnas.analysis import Scale
        >>> table = [[0.0, 0.5], [1.0, 1.0], [2.0, 0.0]]
        >>> scale = Scale.of(table, ("energy_kwh", "validation_accuracy"))
        >>> anytime(table[:2], [3.0, 5.0], [1, 3, 4, 5, 6], scale).round(2).tolist()
        [0.0, 0.67, 0.67, 1.0, nan]
    """
    costs = costs_of(values, scale.objectives)
    spent = _ascending(cumulative, len(costs))
    wanted = _finite(budgets)
    last = spent[-1] if len(spent) else 0.0
    if end is not None:
        if not end >= last:
            raise ConfigError(
                "a run cannot end before its last evaluation",
                value=end,
                expected=f"{last:g} or more",
                remedy="give the budget that the run was allowed",
            )
        last = end
    array = floats(values)
    measure = indicator or scale.hypervolume
    counts = np.searchsorted(spent, wanted, side="right")
    curve = np.full(len(wanted), np.nan)
    kept = np.empty(0, dtype=np.int64)
    done = 0
    for count in np.unique(counts[wanted <= last]).tolist():
        # What one part dominates, all later parts do: only the front need be carried on.
        kept = np.concatenate([kept, np.arange(done, count)])
        kept = kept[nondominated(costs[kept])]
        curve[(counts == count) & (wanted <= last)] = measure(array[kept])
        done = count
    return curve


def common_budgets(cumulatives: Sequence[ArrayLike], steps: int = 50) -> NDArray[np.float64]:
    """Budgets at which several runs can be compared: geometric, and every run has got there.

    They go from the first budget at which every run has made an evaluation to the last one that
    no run falls short of.

    Args:
        cumulatives: (n_i,) what each run had spent after each evaluation, n_i >= 1 and above 0.
        steps: how many, at least 2.

    Returns:
        (steps,) ascending float64 with these two as its exact ends; fewer where they are equal.

    Raises:
        ConfigError: no runs, a run without evaluations or with costs that are not known, or no
            budget that all have reached.
    """
    check_counts(least=None, steps=steps)
    if steps < 2 or not len(cumulatives):
        raise ConfigError(
            "no common budgets",
            value=steps if steps < 2 else "no runs",
            expected="at least one run and 2 steps",
            remedy="give what each run had spent after each of its evaluations",
        )
    spent = [_ascending(one) for one in cumulatives]
    first = max((float(one[0]) if len(one) else np.inf) for one in spent)
    last = min((float(one[-1]) if len(one) else 0.0) for one in spent)
    if not 0 < first <= last:
        raise ConfigError(
            "the runs have no budget in common",
            value=(first, last),
            expected="each run's first evaluation paid for, above 0, before any of them ends",
            remedy="leave out the runs that are too short, or compare at one budget",
        )
    budgets = np.geomspace(first, last, steps)
    # Rounding must not put the last one beyond the run's end, or the first before its start.
    budgets[0], budgets[-1] = first, last
    return np.unique(np.clip(budgets, first, last))


def band(curves: ArrayLike, budgets: ArrayLike) -> AnytimeBand:
    """Median and quartiles over runs, interpolated between neighbouring runs (numpy's linear).

    Args:
        curves: (r, k) one row for each run, r >= 1, as `anytime` gives them. A run may be
            infinite (IGD+ before its first evaluation); where one has a NaN the band is NaN,
            since the others alone would be another selection of runs.
        budgets: (k,) at which the curves were taken.

    Raises:
        ConfigError: the shapes do not fit.
    """
    array = floats(curves)
    at = _finite(budgets)
    if array.ndim != 2 or not len(array) or array.shape[1] != len(at):
        raise ConfigError(
            "the curves do not fit the budgets",
            value=array.shape,
            expected=f"shape (runs, {len(at)}) with at least one run",
            remedy="give one row for each run and one column for each budget",
        )
    ordered = np.sort(array, axis=0)
    lower, median, upper = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return AnytimeBand(at, len(array), lower, median, upper)


def _quantile(ordered: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """(k,) quantile of (r, k) sorted columns; numpy's own makes NaN of two infinite values."""
    place = share * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    part = place - np.floor(place)
    equal = (below == above) | (part == 0)
    with np.errstate(invalid="ignore"):
        out = np.where(equal, below, below + part * (above - below))
    # Sorting puts NaN last.
    return np.where(np.isnan(ordered[-1]), np.nan, out)


def _ascending(cumulative: ArrayLike, length: int | None = None) -> NDArray[np.float64]:
    spent = floats(cumulative)
    fits = spent.ndim == 1 and (length is None or len(spent) == length)
    if not fits or not np.isfinite(spent).all() or (np.diff(spent) < 0).any():
        raise ConfigError(
            "this is not what a run had spent after each evaluation",
            value=spent.tolist() if fits else spent.shape,
            expected=f"{'n' if length is None else length} finite numbers that never fall",
            remedy="where a table does not say what a training costs, count evaluations",
        )
    return spent


def _finite(budgets: ArrayLike) -> NDArray[np.float64]:
    wanted = np.array(floats(budgets), dtype=np.float64)
    if wanted.ndim != 1 or np.isnan(wanted).any():
        raise ConfigError(
            "no budgets",
            value=wanted.tolist(),
            expected="a list of numbers",
            remedy="give them in the unit of what was spent",
        )
    return wanted
