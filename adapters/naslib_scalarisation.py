"""The section `objectives:` of a config: what a NASLib optimiser shall look for, as one number.

NASLib's optimisers maximise one number. `Objectives` says of which metrics it is made, and
`Scalarisation` makes it, on a scale in per cent where 100 is the best there is:

- `weights`: 100 (1 - sum of w_i n_i).
- `limits`: 100 (1 - n) of the one metric without a limit where all limits are kept, else minus 100
  times what they are exceeded by, so that a cell which keeps them is always the better one
  (the constraint rule of Deb, 2000).
- `chebyshev`: 100 (1 - max w_i n_i - rho sum of w_i n_i), with weights drawn anew, uniformly, at
  every evaluation (augmented Chebyshev as in ParEGO; Knowles, 2006).

n_i is 0 at the best and 1 at the worst value of the objective on the table's true front (on the
whole table for `limits`, for a single objective, and where the front has one value only). A
benchmark knows its front and a real search would not; what the weights mean is the same for every
table and every seed that way.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.adapters.naslib_metrics import COLUMNS
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, UnknownBudgetError, UnknownMetricError
from naslib_ecnas.metrics import METRICS, metric
from naslib_ecnas.search.scalarisation import RHO, chebyshev, weighted_sum

__all__ = ["KEYS", "Objectives", "Scalarisation", "completed"]

#: Keys of the section.
KEYS = ("metrics", "weights", "limits", "chebyshev", "epochs")
#: Names of metrics that an error lists; the table's further ones are seldom meant.
_USUAL = ("validation_accuracy", "test_accuracy", "energy_kwh", "co2_g", "training_time_s")


@dataclass(frozen=True)
class Objectives:
    """What a search looks for; make it by `of`."""

    metrics: tuple[str, ...]
    """Our names; each knows its own direction."""
    weights: tuple[float, ...] | None = None
    """Of the weighted sum, one for each metric, together 1."""
    limits: tuple[tuple[str, float], ...] = ()
    """Metrics and the worst value that they may take, in their units."""
    rho: float | None = None
    """Share of the sum in the augmented Chebyshev norm; None where another way is taken."""
    epochs: int | None = None
    """Budget of every evaluation; None leaves it to the optimiser."""

    @classmethod
    def of(cls, section: Any) -> Objectives:
        """The objectives of a section of a config.

        Args:
            section: a mapping with `metrics`, a list of names, and, for more than one of them,
                one of `weights` (a list), `limits` (a mapping from metrics to values) and
                `chebyshev` (True, or rho); `epochs` where the budget shall not be the largest.

        Raises:
            ConfigError: it is no such section; says which key and what is possible.
        """
        if not isinstance(section, Mapping):
            raise ConfigError(
                "objectives has to be a section",
                value=section,
                expected="keys in it: metrics, and one of weights, limits, chebyshev",
            )
        unknown = next((key for key in section if key not in KEYS), None)
        if unknown is not None:
            raise ConfigError(
                "objectives knows no such key", value=unknown, expected=", ".join(KEYS)
            )
        names = _names(section.get("metrics"))
        ways = [key for key in KEYS[1:4] if section.get(key) not in (None, False)]
        if len(ways) > 1 or (len(names) > 1 and not ways):
            raise ConfigError(
                "several objectives need one way to make one number of them",
                value=", ".join(ways) or "none",
                expected="one of objectives.weights, objectives.limits, objectives.chebyshev",
                remedy="such as weights: [0.5, 0.5] for two",
            )
        way = ways[0] if ways else None
        found = section.get(way) if way else None
        return cls(
            metrics=names,
            weights=_weights(found, names) if way in ("weights", None) else None,
            limits=_limits(found, names) if way == "limits" else (),
            rho=_rho(found) if way == "chebyshev" else None,
            epochs=_epochs(section.get("epochs")),
        )

    def check(self, bench: Benchmark) -> None:
        """Refuse a table that lacks what they ask for.

        Raises:
            UnknownMetricError: it lacks a metric.
            UnknownBudgetError: it lacks the budget.
            ConfigError: no cell of it keeps the limits.
        """
        if self.epochs is not None and self.epochs not in bench.budgets:
            raise UnknownBudgetError(
                f"objectives.epochs is no budget of the table {bench.name}",
                value=self.epochs,
                expected=", ".join(map(str, bench.budgets)) + " epochs",
            )
        columns = {name: bench.values(name, self.epochs) for name in self.metrics}
        for name, column in columns.items():
            if np.isnan(column).all():
                raise UnknownMetricError(
                    f"the table {bench.name} has no values of this objective",
                    value=name,
                    expected=", ".join(n for n in bench.metrics if n in _USUAL),
                )
        kept = np.ones(len(bench.space), dtype=bool)
        for name, limit in self.limits:
            cost, bound = metric(name).cost(columns[name]), metric(name).cost(limit)
            kept &= cost <= bound
            if not kept.any():
                best = metric(name).best(columns[name])
                raise ConfigError(
                    f"no cell of the table {bench.name} keeps objectives.limits",
                    value=f"{name}: {limit:g}",
                    expected=f"a limit that leaves some; the best value there is {best:g}",
                )

    def recorded(self) -> tuple[str, ...]:
        """The metrics that are recorded of every evaluation, two at least, for a front."""
        return completed(self.metrics)


def completed(names: Sequence[str]) -> tuple[str, ...]:
    """Names of metrics with energy and accuracy added until there are two."""
    extra = [n for n in ("energy_kwh", "validation_accuracy") if n not in names]
    return (*names, *extra[: max(0, 2 - len(names))])


class Scalarisation:
    """One number to maximise, of an evaluation's objectives.

    Args:
        objectives: what counts.
        bench: the table, whose front is the scale.
        rng: draws the weights of `chebyshev`; nothing else is random.
    """

    def __init__(self, objectives: Objectives, bench: Benchmark, rng: np.random.Generator) -> None:
        objectives.check(bench)
        self.objectives = objectives
        self._rng = rng
        names, epochs = objectives.metrics, objectives.epochs
        self._metrics = [metric(name) for name in names]
        columns = np.column_stack([bench.values(name, epochs) for name in names])
        columns = columns[~np.isnan(columns).any(axis=1)]
        low, span = self._ends(columns)
        if len(names) > 1 and not objectives.limits:
            front_low, front_span = self._ends(bench.front(names, epochs).values)
            low, span = (
                np.where(front_span > 0, front_low, low),
                np.where(front_span > 0, front_span, span),
            )
        self._low, self._span = low, np.where(span > 0, span, 1.0)
        limits = dict(objectives.limits)
        self._limits = np.array([limits.get(name, math.nan) for name in names])

    def _ends(self, values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        costs = self._costs(values)
        low: NDArray[np.float64] = costs.min(axis=0)
        return low, costs.max(axis=0) - low

    def _costs(self, values: ArrayLike) -> NDArray[np.float64]:
        array = np.atleast_2d(np.asarray(values, dtype=np.float64))
        return np.column_stack(
            [m.cost(column) for m, column in zip(self._metrics, array.T, strict=True)]
        )

    def __call__(self, values: Sequence[float]) -> tuple[float, tuple[float, ...] | None]:
        """The number of one evaluation.

        Args:
            values: (m,) values in the metrics' units.

        Returns:
            the number, more is better, and the weights that were drawn for it, if any were.

        Raises:
            UnknownMetricError: a value is missing, and a search must not go on without it.
        """
        costs = self._costs(values)[0]
        if np.isnan(costs).any():
            raise UnknownMetricError(
                "an objective is missing for this cell",
                value=self.objectives.metrics[int(np.flatnonzero(np.isnan(costs))[0])],
                expected="a table that has it for every cell",
                remedy="choose another table or another objective",
            )
        scaled = (costs - self._low) / self._span
        if self.objectives.limits:
            return self._within_limits(costs, scaled), None
        if self.objectives.rho is not None:
            drawn = self._rng.dirichlet(np.ones(len(scaled)))
            worst = float(chebyshev(scaled, drawn, self.objectives.rho))
            return 100 * (1 - worst), tuple(drawn.tolist())
        return 100 * (1 - float(weighted_sum(scaled, self.objectives.weights or (1.0,)))), None

    def _within_limits(self, costs: NDArray[np.float64], scaled: NDArray[np.float64]) -> float:
        limited = ~np.isnan(self._limits)
        bounds = np.array(
            [float(m.cost(limit)) for m, limit in zip(self._metrics, self._limits, strict=True)]
        )
        excess = np.maximum((costs - bounds) / self._span, 0.0)[limited]
        if excess.any():
            return -100 * float(excess.sum())
        return 100 * (1 - float(scaled[~limited][0]))


# -- the keys -------------------------------------------------------------------------------


def _names(chosen: Any) -> tuple[str, ...]:
    wanted = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(wanted, (list, tuple)) or not wanted:
        raise ConfigError(
            "objectives.metrics has to be a list of metrics",
            value=chosen,
            expected="such as [validation_accuracy, energy_kwh]",
        )
    names = tuple(COLUMNS.get(name, name) if isinstance(name, str) else name for name in wanted)
    for name in names:
        if name not in METRICS:
            near = difflib.get_close_matches(str(name), METRICS, 1)
            raise ConfigError(
                "no such objective",
                value=name,
                expected=", ".join(_USUAL) + ", or another one of naslib_ecnas.METRICS",
                remedy=f"did you mean {near[0]}?" if near else None,
            )
    if len(set(names)) < len(names):
        raise ConfigError("an objective is there twice", value=list(names), expected="each once")
    return names


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    return float(value)


def _weights(found: Any, names: Sequence[str]) -> tuple[float, ...]:
    if found is None:
        return (1.0,)
    numbers = [_number(w) for w in found] if isinstance(found, (list, tuple)) else []
    good = len(numbers) == len(names) and all(w >= 0 for w in numbers)
    # To a thousandth, so that [0.333, 0.333, 0.334] passes; then to 1 exactly.
    if not good or abs(sum(numbers) - 1) > 1e-3:
        raise ConfigError(
            "objectives.weights do not fit",
            value=list(found) if isinstance(found, (list, tuple)) else found,
            expected=f"{len(names)} numbers from 0 on that sum to 1: {', '.join(names)}",
        )
    return tuple(w / sum(numbers) for w in numbers)


def _limits(found: Any, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    if not isinstance(found, Mapping) or not found:
        raise ConfigError(
            "objectives.limits has to be a section",
            value=found,
            expected="metrics and the worst value that each may take, such as energy_kwh: 0.5",
        )
    limits = {COLUMNS.get(str(n), str(n)): _number(value) for n, value in found.items()}
    free = [name for name in names if name not in limits]
    if len(free) != 1 or any(name not in names for name in limits):
        raise ConfigError(
            "objectives.limits has to leave one of the metrics free",
            value=", ".join(map(str, limits)),
            expected=f"all of {', '.join(names)} but the one to optimise",
        )
    wrong = next((name for name, value in limits.items() if not math.isfinite(value)), None)
    if wrong is not None:
        raise ConfigError(
            f"objectives.limits.{wrong} is no number",
            value=found.get(wrong),
            expected=f"a value of {metric(wrong).label}",
        )
    return tuple(limits.items())


def _rho(found: Any) -> float:
    if found is True:
        return RHO
    rho = _number(found)
    if not 0 <= rho < 1:
        raise ConfigError(
            "objectives.chebyshev is not possible",
            value=found,
            expected=f"True (which is {RHO}), or rho from 0 to below 1",
        )
    return rho


def _epochs(found: Any) -> int | None:
    if found in (None, -1):
        return None
    if type(found) is not int:
        raise ConfigError("objectives.epochs is no budget", value=found, expected="such as 108")
    return found
