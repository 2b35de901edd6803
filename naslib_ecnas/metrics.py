"""Every metric that a table can contain: name, unit, direction, possible and plausible bounds.

Only this module knows which direction is better: code that minimises uses `Metric.cost` and
writes no sign of its own.
"""

from __future__ import annotations

import math
from collections import UserDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, UnknownMetricError
from naslib_ecnas.plugins import installed, plugin

#: Joules, in which meters count, of a kWh, in which tables do.
J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Metric:
    """A quantity of a trained cell; ConfigError if its bounds do not ascend."""

    name: str
    unit: str
    """Unit of the stored numbers, empty for fractions and counts."""
    maximise: bool
    """Whether more is better."""
    lower: float
    upper: float
    """Possible values lie from `lower` to `upper`; others are errors."""
    about: str
    """Name in words, for tables and axes."""
    positive: bool = False
    """Whether 0 is impossible."""
    plausible: tuple[float, float] = (-math.inf, math.inf)
    """Bounds, with room to spare, of what one training on CIFAR-10 may take. Values outside are
    mostly in another unit."""

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            bounds = (self.lower, self.upper)
            raise ConfigError(f"the bounds of {self.name} must ascend", value=bounds)

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

    def fault(self, values: ArrayLike) -> tuple[int, str] | None:
        """Position and reason of the first impossible value of an array; NaN means missing."""
        array = np.asarray(values, dtype=np.float64).ravel()
        wrong = (array <= 0 if self.positive else array < self.lower) | (array > self.upper)
        wrong |= np.isinf(array)
        if not wrong.any():
            return None
        at = int(wrong.argmax())
        least = "above 0" if self.positive else f"at least {self.lower:,.12g}"
        most = f"at most {self.upper:,.12g}" if math.isfinite(self.upper) else "finite"
        hint = self._units(float(array[at]))
        return at, f"{self.name} must be {least} and {most}{hint}, got {array[at]:g}"

    def doubt(self, values: ArrayLike) -> str | None:
        """What is implausible about the values of a column, and the unit that they may have."""
        array = np.asarray(values, dtype=np.float64).ravel()
        low, high = self.plausible
        odd = array[(array < low) | (array > high)]
        if not odd.size:
            return None
        many, hint = f"{odd.size} of {np.isfinite(array).sum()} values", self._units(float(odd[0]))
        return f"{many} are outside {low:g} to {high:g} {self.unit}{hint}, such as {odd[0]:g}"

    def _units(self, value: float) -> str:
        """Other units in which a value would be plausible, as a question; "" if there are none."""
        low, high = self.plausible
        units = _OTHER_UNITS.get(self.unit, {}).items()
        found = [unit for unit, size in units if low <= value * size <= high < math.inf]
        return f" (in {' or '.join(found)}?)" if found else ""

    @property
    def label(self) -> str:
        """Name in words and unit, for an axis or a column heading."""
        return f"{self.about} ({self.unit})" if self.unit else self.about


#: For each unit the units that are taken for it, with their sizes in it.
_OTHER_UNITS = {
    "": {"per cent": 0.01},
    "kWh": {"J": 1 / J_PER_KWH, "Wh": 1e-3},
    "J": {"kWh": J_PER_KWH, "Wh": 3.6e3},
    "s": {"ms": 1e-3, "min": 60.0, "h": 3600.0},
    "W": {"mW": 1e-3, "kW": 1e3},
    "gCO2eq": {"mg": 1e-3, "kg": 1e3},
    "g/kWh": {"kg/kWh": 1e3},
}

#: For each unit of a cost the largest possible value, and plausible bounds. The published tables
#: have up to 4.8 kWh, 7,312 s, 222 g, 24 to 291 g/kWh, and 11 to 336 W for a device.
_COSTS = {
    "kWh": (1e4, 1e-5, 50.0),
    "s": (1e8, 1.0, 1e6),
    "gCO2eq": (1e7, 1e-3, 1e5),
    "g/kWh": (5e3, 1.0, 1500.0),
    "W": (1e6, 0.5, 2e4),
    "J": (3.6e10, 10.0, 1.8e8),
}


def _fraction(name: str, about: str) -> Metric:
    return Metric(name, "", True, 0.0, 1.0, about, plausible=(0.0, 1.0))


def _cost(name: str, unit: str, about: str) -> Metric:
    upper, low, high = _COSTS.get(unit, (math.inf, -math.inf, math.inf))
    # A deviation may be 0, and so may what was used before the first step.
    whole = name in _WHOLE or "power" in name or "intensity" in name
    plausible = (low if whole else -math.inf, high)
    return Metric(name, unit, False, 0.0, upper, about, name in _WHOLE, plausible)


#: Energies and times that no training can do without.
_WHOLE = ("energy_kwh", "training_time_s", "total_energy_kwh", "total_time_s")


def _moment(name: str, about: str) -> Metric:
    """A time in seconds since 1970, of the years 1 to 9999."""
    return Metric(name, "s", False, -62_135_596_800, 253_402_300_799, about, plausible=(1e9, 4e9))


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
        _moment(f"{prefix}started_unix_s", f"start, {when}"),
        _moment(f"{prefix}stopped_unix_s", f"end, {when}"),
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
    _moment("started_unix_s", "start of the training window"),
    _moment("stopped_unix_s", "end of the training window"),
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
    _moment("total_started_unix_s", "start of the whole run"),
    _moment("total_stopped_unix_s", "end of the whole run"),
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


class _Metrics(UserDict[str, Metric]):
    """Metrics by name: this package's, then those that installed packages add."""

    def __missing__(self, name: str) -> Metric:
        if name not in installed("metric"):
            raise KeyError(name)

        def same(found: object) -> Metric | None:
            return found if isinstance(found, Metric) and found.name == name else None

        return plugin("metric", name, same, "a Metric of this name")

    def __contains__(self, name: object) -> bool:
        return name in self.data or name in installed("metric")

    def __iter__(self) -> Iterator[str]:
        return iter({**self.data, **installed("metric")})

    def __len__(self) -> int:
        return len(list(iter(self)))


#: Every metric by name.
METRICS = _Metrics({m.name: m for m in _ALL})

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
        some = ", ".join(names[:8])
        raise UnknownMetricError(f"a metric must be a name such as {some}", value=name)
    return found


def missing_metric_remedy(name: object) -> str | None:
    """Remedy for an error that a table does not contain this metric; None if there is none."""
    if isinstance(name, str) and name.removesuffix("_std").removesuffix("_repeat").endswith(
        "co2_g"
    ):
        return "give the carbon intensity: load(..., carbon_intensity='world'), or in g/kWh"
    return None
