"""mf-prior-bench: a benchmark by its protocol; the fidelity is the training budget in epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, fields, make_dataclass
from typing import Any, ClassVar

import numpy as np

from naslib_ecnas.adapters.choices import Choices, Evaluation
from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import MissingDependencyError, UnknownBudgetError
from naslib_ecnas.metrics import metric
from naslib_ecnas.records import COSTS, Spent
from naslib_ecnas.space import Space
from naslib_ecnas.topologies import MAX_VERTICES

try:
    from mfpbench import Benchmark as HostBenchmark
    from mfpbench import Config, Metric, Result
except ImportError as error:
    raise MissingDependencyError("mf-prior-bench", feature="this adapter", extra="hosts") from error


class _Config(Config):  # type: ignore[misc]
    def as_dict(self) -> dict[str, Any]:
        """The parameters without those that a smaller space lacks, which are None."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in named if value is not None}


_names = [(name, Any, None) for name in Choices(Space(MAX_VERTICES)).names]
_ways: dict[str, Any] = {"bases": (_Config,), "frozen": True, "eq": False, "unsafe_hash": True}
#: A cell by the parameters of `Choices`.
EcnasConfig = make_dataclass("EcnasConfig", _names, **_ways)
EcnasConfig.__module__ = __name__  # where pickle finds it


def _metrics(*names: str) -> dict[str, Metric]:
    """Metrics of mf-prior-bench; the error of a cost, which has no upper bound, is the cost."""
    bounds = {name: (0.0, 1.0 if metric(name).maximise else math.inf) for name in names}
    return {name: Metric(not metric(name).maximise, bounds[name]) for name in names}


@dataclass(frozen=True)
class EcnasCosts(Result):  # type: ignore[misc]
    """What a training costs."""

    metric_defs: ClassVar[Mapping[str, Metric]] = _metrics("energy_kwh", "training_time_s")
    default_value_metric: ClassVar[str] = "energy_kwh"
    default_value_metric_test: ClassVar[str | None] = None
    default_cost_metric: ClassVar[str] = "training_time_s"

    energy_kwh: Metric.Value
    training_time_s: Metric.Value


@dataclass(frozen=True)
class EcnasResult(EcnasCosts):
    """What a training costs and how well the cell performs."""

    metric_defs: ClassVar[Mapping[str, Metric]] = {
        **EcnasCosts.metric_defs,
        **_metrics("validation_accuracy", "test_accuracy"),
    }
    default_value_metric: ClassVar[str] = "validation_accuracy"
    default_value_metric_test: ClassVar[str | None] = "test_accuracy"

    validation_accuracy: Metric.Value
    test_accuracy: Metric.Value


class EcnasMfBenchmark(HostBenchmark):  # type: ignore[misc]
    """A table as a benchmark of mf-prior-bench, over the cells that have all metrics of a result.

    Args:
        bench: the benchmark; its counter counts every result, each a training of its own.
        costs_only: results are `EcnasCosts`, and fidelities all whole epochs from the smallest
            to the largest budget: energy and time grow linearly with the epochs and are
            interpolated. By default results are `EcnasResult`, and a fidelity that is not a
            budget of the table is an error, since an accuracy is not interpolated.
        settings: mf-prior-bench's `seed`, `prior`, `perturb_prior`, `value_metric`,
            `value_metric_test` and `cost_metric`.

    Raises:
        ConfigError, UnknownMetricError: see `Evaluation`.
    """

    def __init__(self, bench: Benchmark, *, costs_only: bool = False, **settings: Any) -> None:
        result = EcnasCosts if costs_only else EcnasResult
        self.evaluation: Evaluation = Evaluation(bench, tuple(result.metric_defs), budgets=None)
        self._uncounted = copy(bench)
        super().__init__(
            name=f"ecnas_{bench.name}",
            space=self.evaluation.choices.configspace(settings.get("seed")),
            config_type=EcnasConfig,
            result_type=result,
            fidelity_range=(bench.budgets[0], bench.budgets[-1], None),  # they have no one step
            fidelity_name="epochs",
            **settings,
        )

    def query(
        self, config: Config | Mapping[str, Any], *, at: int | None = None, **metrics: Any
    ) -> Result:
        """The result at a fidelity, the largest by default; UnknownBudgetError if it has none."""
        return super().query(config, at=self._fidelity(at), **metrics)

    def _fidelity(self, at: int | None) -> int:
        first, last = self.evaluation.budgets[0], self.evaluation.budgets[-1]
        if self.Result is EcnasResult or at is None:
            return self.evaluation.bench.budget(at)
        if at not in range(first, last + 1):
            message = f"costs are known at whole epochs from {first} to {last}"
            raise UnknownBudgetError(message, value=at)
        return int(at)

    def iter_fidelities(
        self, frm: int | None = None, to: int | None = None, step: int | None = None
    ) -> Iterator[int]:
        """The table's budgets from `frm` to `to`, or every `step`-th epoch, both ends included."""
        first, last = self.start if frm is None else frm, self.end if to is None else to
        budgets = (b for b in self.evaluation.budgets if first <= b <= last)
        yield from budgets if step is None else range(first, last + 1, step)

    def _objective_function(self, config: Mapping[str, Any], *, at: int) -> dict[str, float]:
        names, budgets = self.evaluation.objectives, self.evaluation.budgets
        if self._fidelity(at) in budgets:
            return dict(zip(names, self.evaluation(config, at).values, strict=True))
        row = self.evaluation.choices.row(config)
        records = [self._uncounted.query(row, epochs) for epochs in budgets]
        costs = {  # of all that is counted; NaN where the table does not know it
            name: float(np.interp(at, budgets, [r.get(name, math.nan) for r in records]))
            for name in COSTS.values()
        }
        self.evaluation.bench.absorb(Spent.of([at], {n: [costs[m]] for n, m in COSTS.items()}))
        return {name: costs[name] for name in names}
