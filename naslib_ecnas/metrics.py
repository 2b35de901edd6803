"""Every metric that a table can contain: name, unit, direction, bounds.

Only this module knows which direction is better: code that minimises uses `Metric.cost` and
writes no sign of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import UnknownMetricError


@dataclass(frozen=True)
class Metric:
    """A quantity of a trained cell."""

    name: str
    unit: str
    """Unit of the stored numbers, empty for fractions and counts."""
    maximise: bool
    """Whether more is better."""
    lower: float
    upper: float
    about: str
    """Name in words, for tables and axes."""

    def cost(self, values: ArrayLike) -> NDArray[np.float64]:
        """The values with the sign with which less is better, as a new array."""
        array = np.array(values, dtype=np.float64)
        return -array if self.maximise else array

    def from_cost(self, cost: ArrayLike) -> NDArray[np.float64]:
        """The inverse of `cost`."""
        return self.cost(cost)

    def best(self, values: ArrayLike) -> float:
        """The best of the values that are not NaN; NaN if there are none."""
        return self._extreme(values, self.maximise)

    def worst(self, values: ArrayLike) -> float:
        """The worst of the values that are not NaN; NaN if there are none."""
        return self._extreme(values, not self.maximise)

    @staticmethod
    def _extreme(values: ArrayLike, largest: bool) -> float:
        array = np.asarray(values, dtype=np.float64)
        array = array[~np.isnan(array)]
        if not array.size:
            return math.nan
        return float(array.max() if largest else array.min())

    @property
    def label(self) -> str:
        """Name in words and unit, for an axis or a column heading."""
        return f"{self.about} ({self.unit})" if self.unit else self.about


def _fraction(name: str, about: str) -> Metric:
    return Metric(name, "", True, 0.0, 1.0, about)


def _cost(name: str, unit: str, about: str) -> Metric:
    return Metric(name, unit, False, 0.0, math.inf, about)


def _std(name: str, unit: str, about: str) -> list[Metric]:
    """Standard deviations of a modelled value: of a training, and between trainings of a cell.

    The first is how far a training may be off the table's mean, the second the part of it that
    repeating the training shows; the rest is doubt of the mean. 90 % of the trainings that do not
    fail lie within 1.645 of it on either side (in the logarithm for energy, emissions and time).
    """
    return [
        _cost(f"{name}_std", unit, f"standard deviation of {about}"),
        _cost(f"{name}_repeat_std", unit, f"standard deviation of {about} between trainings"),
    ]


def _window(prefix: str, when: str) -> list[Metric]:
    """The metrics of one evaluation of a training; energies are sums from its start."""
    return [
        _cost(f"{prefix}energy_kwh", "kWh", f"training energy until the evaluation {when}"),
        _cost(f"{prefix}co2_g", "gCO2eq", f"training emissions until the evaluation {when}"),
        _cost(f"{prefix}carbon_intensity_g_per_kwh", "g/kWh", f"carbon intensity, {when} window"),
        _cost(f"{prefix}training_time_s", "s", f"training time, {when}"),
        _fraction(f"{prefix}train_accuracy", f"training accuracy, {when}"),
        _fraction(f"{prefix}validation_accuracy", f"validation accuracy, {when}"),
        _fraction(f"{prefix}test_accuracy", f"test accuracy, {when}"),
        _cost(f"{prefix}epoch", "epochs", f"epoch of the evaluation, {when}"),
        Metric(f"{prefix}started_unix_s", "s", False, -math.inf, math.inf, f"start, {when}"),
        Metric(f"{prefix}stopped_unix_s", "s", False, -math.inf, math.inf, f"end, {when}"),
    ]


_ALL = [
    _cost("energy_kwh", "kWh", "training energy"),
    _cost("co2_g", "gCO2eq", "training emissions"),
    _cost("carbon_intensity_g_per_kwh", "g/kWh", "carbon intensity during training"),
    _cost("average_power_w", "W", "average power of all that the energy covers"),
    _cost("training_time_s", "s", "training time"),
    _fraction("train_accuracy", "training accuracy"),
    _fraction("validation_accuracy", "validation accuracy"),
    _fraction("test_accuracy", "test accuracy"),
    _cost("epoch", "epochs", "epoch of the last evaluation"),
    Metric("started_unix_s", "s", False, -math.inf, math.inf, "start of the training window"),
    Metric("stopped_unix_s", "s", False, -math.inf, math.inf, "end of the training window"),
    *_std("energy_kwh", "kWh", "training energy"),
    *_std("co2_g", "gCO2eq", "training emissions"),
    *_std("training_time_s", "s", "training time"),
    *_std("validation_accuracy", "", "validation accuracy"),
    *_std("test_accuracy", "", "test accuracy"),
    Metric("failure_probability", "", False, 0.0, 1.0, "probability that a training fails"),
    _fraction("gpu_share", "share of the GPU in the energy of GPU and CPU"),
    *_window("initial_", "before training"),
    *_window("halfway_", "halfway"),
    _cost("total_energy_kwh", "kWh", "energy of the whole run, start-up and evaluations included"),
    _cost("total_co2_g", "gCO2eq", "emissions of the whole run"),
    _cost("total_carbon_intensity_g_per_kwh", "g/kWh", "carbon intensity over the whole run"),
    _cost("total_time_s", "s", "wall time of the whole run"),
    Metric("total_started_unix_s", "s", False, -math.inf, math.inf, "start of the whole run"),
    Metric("total_stopped_unix_s", "s", False, -math.inf, math.inf, "end of the whole run"),
    _cost("predicted_energy_kwh", "kWh", "energy predicted by the tracker"),
    _cost("predicted_co2_g", "gCO2eq", "emissions predicted by the tracker"),
    _cost("predicted_time_s", "s", "wall time predicted by the tracker"),
    _cost("predicted_carbon_intensity_g_per_kwh", "g/kWh", "carbon intensity predicted"),
    _cost("gpu_power_w", "W", "average power of the GPU"),
    _cost("gpu_energy_j", "J", "energy of the GPU"),
    _cost("cpu_power_w", "W", "average power of the first CPU package"),
    _cost("cpu_energy_j", "J", "energy of the first CPU package"),
    _cost("cpu1_power_w", "W", "average power of the second CPU package"),
    _cost("cpu1_energy_j", "J", "energy of the second CPU package"),
    _cost("parameters", "", "trainable parameters"),
    _cost("multiply_adds", "", "multiply-adds for one image"),
    _cost("activation_elements", "", "activation elements for one image"),
    _cost("depth", "layers", "layers on the longest path"),
]

#: Every metric by name.
METRICS: dict[str, Metric] = {m.name: m for m in _ALL}

#: Default objectives of a search: less energy, higher accuracy.
OBJECTIVES = ("energy_kwh", "validation_accuracy")


def metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        UnknownMetricError: no metric has this name.
    """
    found = METRICS.get(name) if isinstance(name, str) else None
    if found is None:
        from difflib import get_close_matches

        names = get_close_matches(name if isinstance(name, str) else "", METRICS) or list(METRICS)
        raise UnknownMetricError(f"a metric must be a name such as {', '.join(names)}", value=name)
    return found


def missing_metric_remedy(name: object) -> str | None:
    """Remedy for an error that a table does not contain this metric; None if there is none."""
    if isinstance(name, str) and name.removesuffix("_std").removesuffix("_repeat").endswith(
        "co2_g"
    ):
        return "give the carbon intensity: load(..., carbon_intensity='world'), or in g/kWh"
    return None
