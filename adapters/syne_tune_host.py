"""Syne Tune: a benchmark as a blackbox for its simulator of parallel workers.

Syne Tune's multi-fidelity schedulers observe a trial at one budget after another. In EC-NAS each
budget is a training of its own, with its own learning rate schedule, so the trial's elapsed time
is the sum of its trainings at all budgets up to the present one.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.adapters.choices import Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError, MissingDependencyError, whole_numbers
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.search.result import check_objectives

try:
    from syne_tune.blackbox_repository.blackbox import Blackbox
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.config_space import choice, ordinal
except ImportError as error:
    raise MissingDependencyError("syne-tune", feature="this adapter", extra="hosts") from error


class EcnasBlackbox(Blackbox):  # type: ignore[misc]
    """A table as a blackbox; nothing of it is copied.

    A result has each objective in its unit and as `cost_<objective>`, of which less is better,
    `training_time_s`, `elapsed_time_s` of the trial so far, and the cell's `row`. Schedulers have
    one direction for all metrics, so give them `costs`.

    Args:
        bench: the benchmark; its counter counts every training that is looked up.
        objectives: one or more metrics, in any direction.
        budgets: budgets in epochs at which a trial is observed; all of the table by default.

    Attributes:
        costs: names of the costs of the objectives.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        budgets: Sequence[int] | None = None,
    ) -> None:
        epochs = None if budgets is None else max(whole_numbers(budgets, "budgets"), default=0)
        if epochs == 0:
            raise ConfigError("budgets must be one or more", value=budgets)
        names = check_objectives(objectives, single=True)
        # Cells without a time are left out.
        more = () if "training_time_s" in names else ("training_time_s",)
        self.evaluation: Evaluation = Evaluation(bench, (*names, *more), epochs, budgets=budgets)
        self.costs: list[str] = [f"cost_{name}" for name in names]
        named = self.evaluation.choices.categories.items()
        super().__init__(
            {name: choice(list(values)) for name, values in named},
            {"epochs": ordinal(list(self.evaluation.budgets))},
            [*self.costs, *self.evaluation.objectives, "elapsed_time_s", "row"],
        )

    @property
    def fidelity_values(self) -> NDArray[np.int64]:
        """(k,) budgets in epochs, ascending."""
        return np.array(self.evaluation.budgets)

    def _objective_function(
        self, configuration: dict[str, Any], fidelity: Any = None, seed: Any = None
    ) -> dict[str, float] | NDArray[np.float64]:
        """(k, n) results of a trial at all budgets, or the one at `fidelity` by name."""
        budgets, row = self.evaluation.budgets, self.evaluation.choices.row(configuration)
        last = budgets[-1] if fidelity is None else fidelity["epochs"]
        elapsed, results = 0.0, []
        for epochs in (*(b for b in budgets if b < last), last):
            found = self.evaluation(row, epochs)
            elapsed += found.record.training_time_s
            results.append([*found.costs[: len(self.costs)], *found.values, elapsed, row])
        if fidelity is None:
            return np.array(results)
        return dict(zip(self.objectives_names, results[-1], strict=True))


class EcnasBackend(UserBlackboxBackend):  # type: ignore[misc]
    """The simulator over a benchmark, whose counter counts every result that is reported.

    The simulator looks up all budgets of a trial when it starts; what a scheduler stops before is
    not counted, nor is a training that is stopped while it runs.

    Args:
        bench, objectives, budgets: see `EcnasBlackbox`.
        settings: further settings of the simulator. `support_checkpointing` is False by default:
            a trial that is paused and resumed trains again from its first budget.
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        budgets: Sequence[int] | None = None,
        **settings: Any,
    ) -> None:
        self.bench: Benchmark = bench
        blackbox = EcnasBlackbox(copy(bench), objectives, budgets)  # with a counter of its own
        super().__init__(blackbox, "elapsed_time_s", **{"support_checkpointing": False, **settings})

    def fetch_status_results(self, trial_ids: list[int]) -> tuple[Any, list[tuple[int, Any]]]:
        """Status of trials and the results since the last call, which are counted."""
        status, results = super().fetch_status_results(trial_ids)
        for _, result in results:
            self.bench.query(int(result["row"]), int(result["epochs"]))
        return status, results
