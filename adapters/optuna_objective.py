"""A benchmark as an Optuna objective, for any of Optuna's samplers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from naslib_ecnas.adapters.choices import Choices
from naslib_ecnas.adapters.evaluation import Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import MissingDependencyError
from naslib_ecnas.metrics import OBJECTIVES
from naslib_ecnas.structures import OPERATIONS

try:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import BaseTrial
except ImportError as error:
    raise MissingDependencyError("optuna", feature="this adapter", extra="search") from error

__all__ = ["EcnasObjective", "distributions", "params_of", "point_of"]

_EDGE = (False, True)


class EcnasObjective:
    """What `study.optimize` calls: it suggests a cell and answers its objectives.

    The parameters are the choices of `adapters.choices`: a boolean for each possible edge and an
    operation for each interior vertex. Whatever a sampler suggests stands for a cell that the
    table holds, so no trial fails and none has to be pruned. The values are the means over the
    table's repeats, in the metrics' units; a trial's user attributes `row` and `cell` say which
    cell it was.

    A point drawn at random is no cell drawn at random: small cells have more drawings. To start
    from uniformly drawn cells, enqueue `params(row)` of some of them.

    Args:
        bench: the benchmark; its counter counts every trial.
        objectives: one or more metrics; `directions` has the direction of each.
        epochs: training budget; the largest where left out.

    Raises:
        ConfigError, UnknownMetricError, UnknownBudgetError: see `Evaluation`.

    Example:
        objective = EcnasObjective(load("7v"))
        study = optuna.create_study(directions=objective.directions)
        study.optimize(objective, n_trials=100)
        study.best_trials[0].user_attrs["cell"]
    """

    def __init__(
        self,
        bench: Benchmark,
        objectives: Sequence[str] = OBJECTIVES,
        epochs: int | None = None,
    ) -> None:
        self.evaluation = Evaluation(bench, objectives, epochs)
        self.choices = Choices(bench.space, self.evaluation.rows)

    @property
    def directions(self) -> list[str]:
        """`"maximize"` or `"minimize"` for each objective, as `optuna.create_study` takes them."""
        return ["maximize" if m.maximise else "minimize" for m in self.evaluation.metrics]

    @property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        """The search space by parameter, as `study.ask` takes it."""
        return distributions(self.choices)

    def params(self, row: int) -> dict[str, Any]:
        """Parameters of a cell, as `study.enqueue_trial` takes them."""
        return params_of(self.choices, row)

    def suggest(self, trial: BaseTrial) -> int:
        """Row of the cell that a trial suggests."""
        for name, distribution in self.distributions.items():
            trial.suggest_categorical(name, distribution.choices)
        return self.row(trial.params)

    def row(self, params: dict[str, Any]) -> int:
        """Row of the cell of a trial's parameters."""
        return int(self.choices.decode([point_of(self.choices, params)])[0])

    def __call__(self, trial: BaseTrial) -> tuple[float, ...]:
        row = self.suggest(trial)
        trial.set_user_attr("row", row)
        trial.set_user_attr("cell", str(self.choices.space.cell(row)))
        return tuple(self.evaluation.values([row])[0].tolist())


def distributions(choices: Choices) -> dict[str, CategoricalDistribution]:
    """Optuna's distribution of each choice."""
    edge, operation = (CategoricalDistribution(values) for values in (_EDGE, OPERATIONS))
    kinds = [edge] * len(choices.edges) + [operation] * len(choices.interior)
    return dict(zip(choices.names, kinds, strict=True))


def params_of(choices: Choices, row: int, rng: np.random.Generator | None = None) -> dict[str, Any]:
    """Parameters of a cell; `rng` draws the operations of vertices that it does not use."""
    point = choices.encode([row], rng)[0].tolist()
    edges = len(choices.edges)
    values = [_EDGE[n] for n in point[:edges]] + [OPERATIONS[n] for n in point[edges:]]
    return dict(zip(choices.names, values, strict=True))


def point_of(choices: Choices, params: dict[str, Any]) -> list[int]:
    """The inverse of `params_of`, for any parameters."""
    edges = choices.names[: len(choices.edges)]
    operations = choices.names[len(edges) :]
    return [int(params[n]) for n in edges] + [OPERATIONS.index(params[n]) for n in operations]
