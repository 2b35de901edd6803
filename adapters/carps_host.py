"""CARP-S: a benchmark as an objective function with virtual time.

Any optimiser of CARP-S runs on the tasks of `docs/examples/carps`::

    python -m carps.run 'hydra.searchpath=[file://docs/examples/carps]' \\
        +optimizer/randomsearch=config +task/ecnas=multi_objective seed=1
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from naslib_ecnas.adapters.choices import Choices, Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.loading import load
from naslib_ecnas.metrics import OBJECTIVES

try:
    from carps.objective_functions.objective_function import ObjectiveFunction
    from carps.utils.trials import TrialInfo, TrialValue
    from ConfigSpace import ConfigurationSpace
except ImportError as error:
    raise MissingDependencyError("carps", feature="this adapter", extra="hosts") from error


class EcnasObjectiveFunction(ObjectiveFunction):  # type: ignore[misc]
    """Costs of cells, of which less is better; an accuracy is returned with a minus sign.

    A trial's virtual time is its training time, which CARP-S's `time_budget` counts. Its
    additional information has the row, the budget and all metrics of the table. A trial's budget,
    in epochs, must be one of the table's; each is a training of its own.

    Args:
        table: a table's name, or a benchmark, whose counter counts every trial.
        metric: one or more objectives, in any direction.
        epochs: training budget of trials without one; the largest by default.
        seed: seed of the configuration space, from which random search draws.
        loggers: CARP-S's loggers.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`.
    """

    def __init__(
        self,
        table: str | Benchmark = "7v",
        metric: str | Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
        seed: int | None = None,
        loggers: list[Any] | None = None,
    ) -> None:
        super().__init__(loggers)
        bench = load(table) if isinstance(table, str) else table
        self.evaluation: Evaluation = Evaluation(bench, metric, epochs, budgets=None)
        self._configspace = self.evaluation.choices.configspace(seed)

    @property
    def configspace(self) -> ConfigurationSpace:
        """The parameters of a cell (`Choices`)."""
        return self._configspace

    def _evaluate(self, trial_info: TrialInfo) -> TrialValue:
        epochs: Any = trial_info.budget
        if isinstance(epochs, Real):  # Hyperband divides: 3.9999999999999996 epochs are 4
            epochs = round(epochs, 6)
        found = self.evaluation(dict(trial_info.config), epochs)
        about = {"row": found.record.row, "epochs": found.record.epochs, **found.record}
        return TrialValue(
            cost=found.costs[0] if len(found.costs) == 1 else list(found.costs),
            virtual_time=found.record.training_time_s,
            additional_info=about,
        )


def configspace(table: str = "7v", seed: int | None = None) -> ConfigurationSpace:
    """The parameters of a table's cells, for the input space of a task."""
    return Choices(load(table).space).configspace(seed)
