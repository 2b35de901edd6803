"""EC-NAS: neural architecture search with the energy of training, as a benchmark of OptunaHub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optunahub
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import BaseTrial, FrozenTrial

try:
    from naslib_ecnas import Spent, load
    from naslib_ecnas.adapters.optuna_host import EcnasObjective
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("Please run `pip install naslib-ecnas` to use `ecnas`.") from error


class Problem(optunahub.benchmarks.BaseProblem):
    """Objectives and constraints of the cells of NAS-Bench-101, looked up in a table.

    Args:
        table: name of a table, such as "4v", "5v" and "7v", or the path of one.
        metric_names: one or more metrics, such as "test_accuracy" or "training_time_s".
        epochs: training budget; the largest of the table by default.
        constraints: limit of each constrained metric in its unit, the smallest value allowed for a
            metric of which more is better, else the largest.
        budgets: smaller budgets, of a single metric, at which each cell is trained and reported
            first, and may be pruned.
    """

    def __init__(
        self,
        table: str = "7v",
        metric_names: Sequence[str] = ("energy_kwh", "validation_accuracy"),
        epochs: int | None = None,
        constraints: Mapping[str, float] | None = None,
        budgets: Sequence[int] = (),
    ) -> None:
        self._objective = EcnasObjective(load(table), metric_names, epochs, constraints, budgets)

    def __call__(self, trial: BaseTrial) -> tuple[float, ...]:
        """Train the trial's cell; sets constraints and the user attributes of `EcnasObjective`."""
        return self._objective(trial)

    @property
    def search_space(self) -> dict[str, BaseDistribution]:
        """The distribution of each parameter."""
        return {**self._objective.search_space}

    @property
    def metric_names(self) -> list[str]:
        """The names of the objectives."""
        return list(self._objective.evaluation.objectives)

    @property
    def directions(self) -> list[StudyDirection]:
        """The direction of each objective, as the metrics have it."""
        return [StudyDirection[name.upper()] for name in self._objective.directions]

    @property
    def spent(self) -> Spent:
        """Evaluations, epochs, time and energy that all calls would have cost."""
        return self._objective.evaluation.bench.spent

    def evaluate(self, params: dict[str, Any]) -> list[float]:
        """The objectives of a cell; counts a training."""
        return list(self._objective.evaluation(params).values)

    def evaluate_constraints(self, params: dict[str, Any]) -> dict[str, float]:
        """How far a cell is past each limit, at most 0 if it keeps it; counts a training."""
        return self._objective.evaluation(params).violations

    def constraints_func(self, trial: FrozenTrial) -> list[float]:
        """The constraints that the trial has already, for samplers that ask for them."""
        return list(trial.constraints.values())

    def runtime(self, trial: BaseTrial) -> float:
        """Training time of an evaluated trial in s, for `benchmarks/async_opt_simulator`."""
        return self._objective.runtime(trial)


__all__ = ["Problem"]
