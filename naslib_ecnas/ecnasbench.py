"""EC-NAS-Bench's own API over any table of this package.

A program that has EC-NAS-Bench's `from ecnas.api import nasbench101` changes only this import and
the name of the file:

    from naslib_ecnas import ecnasbench as nasbench101

    benchmark = nasbench101.ECNASBench("5v-4epochs")
    data = benchmark.query(benchmark.get_model_spec(matrix, ops), epochs=4)

Names and keys are those of PedramBakh/EC-NAS-Bench, `ecnas/api/nasbench101.py`. Unlike there, the
query of a valid cell that the table does not contain raises OutOfDomainError and no KeyError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from naslib_ecnas.nasbench101 import KEYS, ModelSpec, NASBench, OutOfDomainError, statistics_of
from naslib_ecnas.topologies import OPERATIONS, labels_of_rows, topologies

__all__ = ["ECNASBench", "ModelSpec", "OutOfDomainError"]

#: Keys of the original by metric, beside those of NAS-Bench-101.
_KEYS = {
    "total_started_unix_s": "total_start_emission",
    "total_stopped_unix_s": "total_stop_emission",
    "total_time_s": "total_time",
    "total_carbon_intensity_g_per_kwh": "overall_avg_intensity (gCO2/kWh)",
    "total_energy_kwh": "total_energy (kWh)",
    "total_co2_g": "total_co2eq (g)",
    "started_unix_s": "start_emission",
    "stopped_unix_s": "stop_emission",
    "carbon_intensity_g_per_kwh": "avg_intensity (gCO2/kWh)",
    "predicted_time_s": "predicted_training_time",
    "predicted_carbon_intensity_g_per_kwh": "predicted_avg_intensity (gCO2/kWh)",
    "energy_kwh": "energy (kWh)",
    "co2_g": "co2eq (g)",
    "predicted_energy_kwh": "predicted_energy (kWh)",
    "predicted_co2_g": "predicted_co2eq (g)",
}


class ECNASBench(NASBench):
    """EC-NAS-Bench's object for queries, of which the rest is as in `NASBench`.

    Every answer has all keys of the original. A value that the table does not have is NaN, where
    the original has 0, so that an energy or emission of 0 is never taken for the least one.

    Args:
        dataset_file: a benchmark, a table, a file, or a name for `ecnas.load`. Emissions of a
            modelled table need a carbon intensity: `ecnas.load("7v", carbon_intensity="DK")`.
        seed: not used: a query is of the first training, as in the original.
    """

    def query(
        self, model_spec: Any, epochs: int = 108, stop_halfway: bool = False
    ) -> dict[str, Any]:
        """The first of the cell's trainings; arguments and errors as in `NASBench.query`.

        With `stop_halfway`, time and accuracies are those at half the budget, and energies and
        emissions are those of the whole, as in the original.
        """
        row, trainings = self._trainings(model_spec, epochs)
        found = {**statistics_of(row), **trainings[0]}
        halves = {key: found.pop(key) for key in KEYS.values()}
        prefix = "halfway_" if stop_halfway else "final_"
        found |= {k.removeprefix(prefix): v for k, v in halves.items() if k.startswith(prefix)}
        spent = epochs // 2 if stop_halfway else epochs
        self._counter.count(spent, (found["training_time"],))
        return found

    def get_model_spec(self, matrix: Any, labels: Sequence[str]) -> ModelSpec:
        """The `ModelSpec` of a matrix and its operations."""
        return ModelSpec(matrix, labels)

    def get_intermediate_ops(self) -> list[str]:
        """The operations that interior vertices of the table's cells have."""
        labels = np.unique(labels_of_rows(self.benchmark.rows))
        return [OPERATIONS[label] for label in labels[labels >= 0].tolist()]

    def info(self) -> None:
        """Print what the table contains, and the sums over all its trainings."""
        table, graphs = self.benchmark.table, topologies()
        which = graphs.row_topology[table.rows]
        sizes, counts = np.unique(graphs.vertices[which], return_counts=True)
        vertices = {f"{v}V": f"{n} models" for v, n in zip(sizes, counts, strict=True)}
        edges = max(code.bit_count() for code in graphs.code[np.unique(which)].tolist())
        there = np.array([~np.isnan(table.column(name)) for name in table.metrics])
        lines = {
            "Datapoints": there.any(axis=0).sum(),
            "Unique models": len(table.rows),
            "Module vertices": json.dumps(vertices, indent=2),
            "Max edges": edges,
            "Operations": ", ".join(["input", *self.get_intermediate_ops(), "output"]),
            "Epoch budgets": list(table.budgets),
            "Aggregate training time (days)": self._sum("training_time_s", 1 / 86_400),
            "Aggregate energy consumption (kWh)": self._sum("energy_kwh"),
            "Aggregate co2eq emission (g)": self._sum("co2_g"),
        }
        print(f"EC-NAS-Bench ({table.name}):")
        print(*(f"{name}: {text}" for name, text in lines.items()), sep="\n")

    def _sum(self, name: str, factor: float = 1.0) -> str:
        """Sum of a metric over the trainings that have it, and how many have not."""
        if name not in self.benchmark.metrics:
            return "unknown"
        values = self.benchmark.table.column(name)
        missing = int(np.isnan(values).sum())
        note = f" without {missing} unknown" if missing else ""
        return f"{factor * float(np.nansum(values)):.3f}{note}"

    def _training(self, values: dict[str, float]) -> dict[str, Any]:
        found: dict[str, Any] = {
            key: values.get(name, math.nan) for name, key in (KEYS | _KEYS).items()
        }
        for key, seconds in found.items():
            if key.endswith("emission") and not math.isnan(seconds):
                moment = datetime.fromtimestamp(seconds, timezone.utc)
                found[key] = moment.strftime("%Y-%m-%d %H:%M:%S")
        # As a message of protocol buffers becomes a dictionary.
        power: dict[str, dict[str, list[dict[str, float]]]] = {}
        for device, names in (("gpu", ("gpu",)), ("cpu", ("cpu", "cpu1"))):
            for unit, what in (("W", "power_w"), ("J", "energy_j")):
                each = [values[f"{n}_{what}"] for n in names if f"{n}_{what}" in values]
                if each:
                    usages = [{"avgPowerUsage": value} for value in each]
                    power.setdefault(device, {})[f"avgPowerUsages{unit}"] = usages
        return {**found, "avg_power_usages": power}
