"""Objectives of a NASLib search as a section of its config, as one number, and its record."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.adapters.choices import Evaluation
from naslib_ecnas.adapters.naslib_metrics import COLUMNS, Objective
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import ConfigError, UnknownMetricError, check_counts, check_numbers
from naslib_ecnas.metrics import OBJECTIVES, metric
from naslib_ecnas.records import Record
from naslib_ecnas.search.operators import RHO, chebyshev
from naslib_ecnas.search.output import claimed, write
from naslib_ecnas.search.result import SearchResult, check_objectives, result_of


@dataclass(frozen=True)
class Objectives:
    """The section `objectives:` of a config; make it by `of`."""

    metrics: tuple[str, ...]
    """Names of metrics of ours."""
    weights: tuple[float, ...] | None = None
    """Weights of the weighted sum, one for each metric, which sum to 1."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Metrics and their worst allowed values, in their units."""
    rho: float | None = None
    """Share of the sum in the augmented Chebyshev norm; None with weights or limits."""
    epochs: int | None = None
    """Training budget of every evaluation; None leaves it to the optimiser."""

    @classmethod
    def of(cls, section: Any) -> Objectives:
        """The objectives of a section of a config.

        Args:
            section: a mapping with `metrics`, a list of names, and, for more than one of them,
                one of `weights` (a list), `limits` (a mapping from metrics to values) and
                `chebyshev` (True, or rho); `epochs` for another budget than the optimiser's.

        Raises:
            ConfigError: naming the wrong key.
            UnknownMetricError: a name is no metric.
        """
        keys = ("metrics", *_WAYS, "epochs")
        if not isinstance(section, Mapping) or not set(section) <= set(keys):
            text = f"objectives must be a section with the keys {', '.join(keys)}"
            raise ConfigError(text, value=section)
        names = _names(section.get("metrics"))
        ways = [key for key in _WAYS if section.get(key) not in (None, False)]
        if len(ways) > 1 or (len(names) > 1 and not ways):
            raise ConfigError(
                "several objectives need one of objectives.weights, objectives.limits and "
                "objectives.chebyshev",
                value=ways,
            )
        epochs = section.get("epochs")
        if epochs not in (None, -1):
            check_counts("objectives", epochs=epochs)
        way = ways[0] if ways else "weights"
        name, reader = _WAYS[way]
        found = reader(section[way] if ways else [1.0], names)
        return cls(names, epochs=None if epochs == -1 else epochs, **{name: found})

    def values(self, bench: Benchmark) -> NDArray[np.float64]:
        """(n, m) values of the cells of a table that have all metrics, in the metrics' units.

        Raises:
            UnknownMetricError: it lacks a metric.
            UnknownBudgetError: it lacks the budget.
            ConfigError: no cell has all metrics, or none is within the limits.
        """
        rows = Evaluation(bench, self.metrics, self.epochs, self.limits).rows
        columns = [bench.values(name, self.epochs)[rows] for name in self.metrics]
        return np.column_stack(columns)


def completed(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with energy and accuracy added until there are two."""
    extra = [name for name in OBJECTIVES if name not in names]
    return (*names, *extra[: max(0, 2 - len(names))])


def _names(chosen: Any) -> tuple[str, ...]:
    wanted = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(wanted, list | tuple) or not wanted:
        text = "objectives.metrics must be a list such as [validation_accuracy, energy_kwh]"
        raise ConfigError(text, value=chosen)
    names = tuple(COLUMNS.get(name, name) if isinstance(name, str) else name for name in wanted)
    return check_objectives(names, single=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _weights(found: Any, names: Sequence[str]) -> tuple[float, ...]:
    numbers = found if isinstance(found, list | tuple) else []
    good = len(numbers) == len(names) and all(_is_number(w) and w >= 0 for w in numbers)
    # To a thousandth, so that [0.333, 0.333, 0.334] passes; then to 1 exactly.
    if not good or not abs(sum(numbers) - 1) <= 1e-3:
        text = f"objectives.weights must be {len(names)} numbers from 0 on that sum to 1"
        raise ConfigError(text, value=found)
    return tuple(w / sum(numbers) for w in numbers)


def _limits(found: Any, names: Sequence[str]) -> dict[str, float]:
    if not isinstance(found, Mapping) or not found:
        text = "objectives.limits must be a section of metrics and worst values, as energy_kwh: 0.5"
        raise ConfigError(text, value=found)
    limits = {COLUMNS.get(str(n), str(n)): value for n, value in found.items()}
    if len(limits) != len(names) - 1 or not set(limits) < set(names):
        text = f"objectives.limits must have all of {', '.join(names)} except the one to optimise"
        raise ConfigError(text, value=list(limits))
    check_numbers("objectives.limits", **limits)
    return {name: float(value) for name, value in limits.items()}


def _rho(found: Any, names: Sequence[str]) -> float:
    rho = RHO if found is True else found
    if not _is_number(rho) or not 0 <= rho < 1:
        text = f"objectives.chebyshev must be True (which is {RHO}), or rho from 0 to below 1"
        raise ConfigError(text, value=found)
    return float(rho)


#: Keys of the section that make one number of several metrics -> the field, and its reader.
_WAYS: dict[str, tuple[str, Callable[[Any, Sequence[str]], Any]]] = {
    "weights": ("weights", _weights),
    "limits": ("limits", _limits),
    "chebyshev": ("rho", _rho),
}


class Scalarisation:
    """One number to maximise, in per cent of the best, for the objectives of an evaluation.

    - `weights`: 100 (1 - sum of w_i n_i).
    - `limits`: 100 (1 - n) of the metric without a limit if all limits are kept, else -100 times
      the sum of the excesses, so that a cell within the limits is always better (the constraint
      rule of Deb, 2000).
    - `chebyshev`: 100 (1 - max w_i n_i - rho sum of w_i n_i), the augmented Chebyshev norm
      (Knowles, 2006), with weights drawn uniformly once. ParEGO draws at each turn; NASLib's
      optimisers compare scores of all turns, which new weights would make meaningless.

    n_i is 0 at the best and 1 at the worst value of the objective on the table's true front (on the
    whole table for `limits`, for a single objective, and where the front has one value only). A
    real search does not know the true front; a benchmark does, and with it a weight means the same
    for every table and seed.

    Args:
        objectives: the objectives.
        bench: the table whose front is the scale.
        rng: draws the weights of `chebyshev`; nothing else is random.

    Attributes:
        weights: (m,) weights of the objectives; None with limits.
    """

    def __init__(self, objectives: Objectives, bench: Benchmark, rng: np.random.Generator) -> None:
        self.objectives = objectives
        names, epochs = objectives.metrics, objectives.epochs
        self.weights = objectives.weights
        if objectives.rho is not None:
            self.weights = tuple(rng.dirichlet(np.ones(len(names))).tolist())
        # Times a value it is a cost, of which less is better.
        self._signs = np.array([metric(name).cost(1.0) for name in names])
        costs = objectives.values(bench) * self._signs
        low, span = costs.min(axis=0), np.ptp(costs, axis=0)
        if len(names) > 1 and not objectives.limits:
            front = bench.front(names, epochs).values * self._signs
            varies = np.ptp(front, axis=0) > 0
            low = np.where(varies, front.min(axis=0), low)
            span = np.where(varies, np.ptp(front, axis=0), span)
        self._low, self._span = low, np.where(span > 0, span, 1.0)
        # NaN for the metric without a limit.
        bounds = [objectives.limits.get(name, math.nan) for name in names]
        self._bounds = np.array(bounds) * self._signs

    def __call__(self, values: Sequence[float]) -> float:
        """The number of (m,) values, more is better.

        Raises:
            UnknownMetricError: a value is missing.
        """
        costs = np.asarray(values) * self._signs
        missing = np.isnan(costs)
        if missing.any():
            name = self.objectives.metrics[int(missing.argmax())]
            raise UnknownMetricError(f"the table has no {name} of this cell")
        scaled = (costs - self._low) / self._span
        if self.weights is None:
            free = np.isnan(self._bounds)
            excess = np.maximum((costs - self._bounds) / self._span, 0.0)[~free]
            return (
                -100 * float(excess.sum()) if excess.any() else 100 * (1 - float(scaled[free][0]))
            )
        if self.objectives.rho is not None:
            return 100 * (1 - float(chebyshev(scaled, self.weights, self.objectives.rho)))
        return 100 * (1 - float((scaled * self.weights).sum()))


class Recorder:
    """The evaluations of a search, in order.

    It is part of the `dataset_api` that NASLib passes to every query. The optimiser's performance
    metric becomes a recording objective there: it answers as before, or with the number of a
    section `objectives:`, and records the cell. Queries for NASLib's statistics are not recorded.

    Args:
        bench: the table.
        objectives: objectives that replace the optimiser's performance metric, or None.
        seed: seed of the run, which draws the weights of `chebyshev`.
        method: name of the optimiser.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Objectives | None = None,
        *,
        seed: int = 0,
        method: str = "naslib",
    ) -> None:
        self.bench = bench
        self.objectives = objectives
        self.seed = seed
        self.method = method
        # A stream of its own, so that the search draws the same numbers as without it.
        rng = np.random.default_rng([seed, 0xEC])
        self._scalar = None if objectives is None else Scalarisation(objectives, bench, rng)
        self._objective: Objective | None = None
        self._rows, self._epochs, self._scores = array("i"), array("i"), array("d")

    def __len__(self) -> int:
        """Number of evaluations so far."""
        return len(self._rows)

    def __deepcopy__(self, memo: Any) -> Recorder:
        # NASLib copies its arguments at times; all evaluations belong in one recorder.
        return self

    def recording(self, objective: Objective) -> Objective:
        """The objective as one that records what it evaluates here."""
        if self._objective is None or self._objective.name != objective.name:
            epochs = None if self.objectives is None else self.objectives.epochs
            answer = partial(self._evaluate, Objective(objective.name))
            self._objective = Objective(objective.name, answer, epochs)
        return self._objective

    def _evaluate(self, objective: Objective, record: Record) -> float:
        """Record an evaluation, and return the number that the optimiser maximises."""
        if self._scalar is None:
            score = objective.of(record)
        else:
            names = self._scalar.objectives.metrics
            score = self._scalar([record[name] for name in names])
        self._rows.append(record.row)
        self._epochs.append(record.epochs)
        self._scores.append(score)
        return score

    @property
    def names(self) -> tuple[str, ...]:
        """The recorded objectives: those of the section, or the optimiser's metric and energy or
        accuracy."""
        if self.objectives is not None:
            return completed(self.objectives.metrics)
        if self._objective is None or self._objective.name in OBJECTIVES:
            return OBJECTIVES
        return completed([self._objective.name])

    def result(self) -> SearchResult:
        """Front, hypervolume, knee and costs of the evaluations.

        The front is taken over the evaluations at the largest of their budgets.

        Raises:
            ConfigError: nothing was evaluated.
        """
        return result_of(
            self.bench,
            rows=np.array(self._rows, dtype=np.int32),
            epochs=np.array(self._epochs, dtype=np.int64),
            objectives=self.names,
            method=self.method,
            seed=self.seed,
        )

    def incumbent(self, result: SearchResult | None = None) -> dict[str, Any]:
        """The evaluation of the highest number at the largest budget: the answer of the search.

        Returns:
            Its index, row, cell, budget, score and objectives; with limits, also `limits` and
            whether they are kept, `within_limits`.

        Raises:
            ConfigError: nothing was evaluated.
        """
        result = self.result() if result is None else result
        row_of, epochs_of = np.array(self._rows), np.array(self._epochs)
        index = int(np.where(epochs_of == epochs_of.max(), self._scores, -np.inf).argmax())
        row, epochs = int(row_of[index]), int(epochs_of[index])
        found = dict(zip(self.names, result.values[index].tolist(), strict=True))
        limits = {} if self.objectives is None else self.objectives.limits
        best = {"index": index, "row": row, "cell": str(Cell.from_row(row)), "epochs": epochs}
        best |= {"score": self._scores[index], **found}
        if limits:
            best |= {"limits": limits, "within_limits": self._scores[index] >= 0}
        return best

    def write(self, folder: Path, **settings: Any) -> SearchResult:
        """Write history, front, costs and settings into a folder, replacing an earlier run's.

        The history also has the optimiser's numbers, the front has the incumbent, and the settings
        have the scalarisation and further `settings`.

        Raises:
            ConfigError: nothing was evaluated.
            StorageError: the folder cannot be written.
        """
        result = self.result()
        more: dict[str, dict[str, Any]] = {
            "front": {"incumbent": self.incumbent(result)},
            "config": {**settings},
        }
        if self._scalar is not None:
            section = {**vars(self._scalar.objectives), "weights": self._scalar.weights}
            more["config"] |= {"scalarisation": section}
        with claimed(folder, overwrite=True):
            write(result, folder, notes={"score": self._scores.tolist()}, more=more)
        return result
