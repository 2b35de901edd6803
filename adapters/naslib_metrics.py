"""NASLib's metrics and ours: which column answers which, and in what unit.

NASLib's `Metric` is an enumeration with members, which Python does not let anyone subclass. So
`extend` adds members to the enumeration itself: `TRAIN_ENERGY` in kWh, `TRAIN_CO2` in g and
`TRAIN_POWER` in W. They are used like NASLib's own, by every module that holds the enumeration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from naslib_ecnas.adapters import naslib_compat
from naslib_ecnas.errors import UnknownMetricError
from naslib_ecnas.record import mean_power, power_parts

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark, Record

__all__ = ["ADDED", "COLUMNS", "column", "extend", "holds", "read"]

#: Members that `extend` adds, and what they mean.
ADDED: dict[str, str] = {
    "TRAIN_ENERGY": "energy of the training in kWh",
    "TRAIN_CO2": "emissions of the training in g of CO2 equivalents",
    "TRAIN_POWER": "mean power in W: energy over time, of the whole run where the table has both",
}

#: Our column for each of NASLib's metrics that a table can answer.
COLUMNS: dict[str, str] = {
    "TRAIN_ACCURACY": "train_accuracy",
    "VAL_ACCURACY": "validation_accuracy",
    "TEST_ACCURACY": "test_accuracy",
    "TRAIN_TIME": "training_time_s",
    "TRAIN_ENERGY": "energy_kwh",
    "TRAIN_CO2": "co2_g",
    "TRAIN_POWER": "average_power_w",
    "PARAMETERS": "parameters",
}

#: NASLib counts accuracies in per cent, we in fractions. Nothing else is scaled.
_PER_CENT = {"train_accuracy", "validation_accuracy", "test_accuracy"}


def extend() -> Any:
    """Add our members to NASLib's `Metric`, once.

    Returns:
        The enumeration.
    """
    metrics = naslib_compat.require("naslib.search_spaces.core.query_metrics").Metric
    for name in ADDED:
        if name not in metrics.__members__:
            _add(metrics, name)
    return metrics


def _add(enumeration: Any, name: str) -> None:
    member = object.__new__(enumeration)
    member._name_ = name
    # A word, since numbers that NASLib gives out later must not meet ours.
    member._value_ = name.lower()
    member.__objclass__ = enumeration
    member._sort_order_ = len(enumeration._member_names_)
    enumeration._member_names_.append(name)
    enumeration._member_map_[name] = member
    enumeration._value2member_map_[member._value_] = member
    # The enumeration's own __setattr__ refuses what is in its map.
    type.__setattr__(enumeration, name, member)


def column(metric: Any) -> str:
    """Our column for a member of `Metric`.

    Raises:
        UnknownMetricError: no table has anything of the kind.
    """
    name = getattr(metric, "name", None)
    if not isinstance(name, str) or name not in COLUMNS:
        raise UnknownMetricError(
            "no such metric in an EC-NAS table",
            value=metric,
            expected="Metric." + ", ".join([*COLUMNS, "RAW", "ALL"]),
            remedy="ask for one of these",
        )
    return COLUMNS[name]


def holds(bench: Benchmark, name: str) -> bool:
    """Whether a benchmark can answer for a column, power computed where that is sound."""
    if name == "average_power_w" and name not in bench.metrics:
        origin = bench.provenance
        energy, time = power_parts(bench.metrics, origin)
        if not (holds(bench, energy) and holds(bench, time)):
            return False
        return origin[energy].same_trainings(origin[time])
    return name == "parameters" or name in bench.metrics


def read(record: Record, name: str, bench: Benchmark) -> float:
    """A column of a record, in NASLib's unit; NaN where the table misses the value.

    Raises:
        UnknownMetricError: the table has no such column.
        ProvenanceError: power is asked for, and energy and time are not of the same trainings.
    """
    if name == "average_power_w" and name not in bench.metrics:
        origin = bench.provenance
        energy, time = power_parts(bench.metrics, origin)
        return float(mean_power(record[energy], record[time], origin[energy], origin[time]))
    value = record[name]
    return 100.0 * value if name in _PER_CENT else value
