"""Quality statement of a table, by three criteria for energy-aware NAS benchmarks.

The criteria are those of arXiv 2505.15631, "Guidelines for the Quality Assessment of Energy-Aware
NAS Benchmarks": reliable power measurement, a wide range of GPU usage, holistic cost reporting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.metrics import J_PER_KWH, metric

if TYPE_CHECKING:
    from naslib_ecnas.benchmark import Benchmark

#: Metric -> (budgets, cells) means over the repeats, NaN where missing.
Means = Mapping[str, NDArray[np.float64]]
#: Columns that are costs of a training, and others that the statement looks at.
_COSTS = ("energy_kwh", "total_energy_kwh", "co2_g", "training_time_s", "total_time_s")
_OTHERS = (
    *("energy_kwh_std", "gpu_power_w", "average_power_w", "gpu_energy_j", "gpu_share"),
    "carbon_intensity_g_per_kwh",
)


@dataclass(frozen=True)
class Criterion:
    """What is known about a table by one criterion, in sentences."""

    title: str
    known: list[str]
    unknown: list[str]
    """What neither the values nor their provenance say."""


def statement(bench: Benchmark) -> tuple[Criterion, ...]:
    """The quality of a table by each of the three criteria, from its values and its provenance."""
    means = {
        name: np.stack([bench.values(name, epochs)[bench.rows] for epochs in bench.budgets])
        for name in _COSTS + _OTHERS
        if name in bench.provenance
    }
    means = {name: values for name, values in means.items() if np.isfinite(values).any()}
    return _measurement(bench, means), _usage(bench, means), _costs(bench, means)


def _measurement(bench: Benchmark, means: Means) -> Criterion:
    title, about = "Reliable power measurement", bench.table.attributes
    if "energy_kwh" not in means:
        return Criterion(title, ["The table has no energy of trainings."], [])
    origin, energies = bench.provenance["energy_kwh"], bench.table.column("energy_kwh")
    known, unknown = (
        [f"Origin of the energy: {origin}."],
        ["how the readings behind it compare with an external meter"],
    )
    if "driver" in about:
        limit = about.get("enforced_power_limit_w", "unknown")
        known.append(f"Read by NVML, driver {about['driver']}, power limit {limit} W.")
    else:
        unknown.append("the sensors, how often they were read, and the GPU's power limit")
    if bench.repeats > 1:  # cells with a missing repeat have no variance
        relative = (energies.var(axis=2, ddof=1) / energies.mean(axis=2) ** 2).T
        pooled = [np.mean(r[r >= 0]) if (r >= 0).any() else np.nan for r in relative]
        spread = _at_budgets(bench, [100 * float(np.sqrt(mean)) for mean in pooled])
        known.append(f"Repeats of a training scatter by {spread} (standard deviation, pooled).")
    if "energy_kwh_std" in means:
        deviation = _medians(bench, means["energy_kwh_std"] / means["energy_kwh"])
        known.append(f"Standard deviation of a training's energy: {deviation}.")
    if missing := np.isnan(energies).sum():
        known.append(f"Missing: {missing:,} of {energies.size:,} energies.")
    for line in bench.quality if "quality" in about else ():
        other = "linear" in line.target and "epochs / 4" not in (origin.note or "")
        if line.target.startswith("energy at") and "mape" in line.scores and not other:
            text = f"{line.scores['mape']:.2f} % on {line.scores['cells']:,.0f} cells"
            known.append(f"Mean error of {line.target}: {text} ({line.about}).")
    return Criterion(title, known, unknown)


def _usage(bench: Benchmark, means: Means) -> Criterion:
    size = bench.values("parameters")[bench.rows] / 1e6
    cells = f"{size.size:,} of {len(bench.space):,} cells of up to {bench.space.vertices} vertices"
    known = [f"{cells}, with {size.min():.2g} to {size.max():.2g} million parameters."]
    unknown = ["utilisation and idle power of the GPU, and trainings on several GPUs"]
    for name in ("gpu_power_w", "average_power_w", "energy_kwh"):
        if name in means:
            known.append(_ranges(bench, name, means[name]))
    if "gpu_power_w" not in means:
        unknown.append("the power of the GPU alone")
    if "average_power_w" not in means:
        unknown.append("the mean power: the table lacks energy and time of the same trainings")
    return Criterion("A wide range of GPU usage", known, unknown)


def _costs(bench: Benchmark, means: Means) -> Criterion:
    columns: list[str] = []
    energy = bench.provenance.get("energy_kwh")
    for name in filter(means.__contains__, _COSTS):
        columns.append(f"{metric(name).about} ({name})")
        own = bench.provenance[name]
        if name.startswith("total") and energy and own.note and own.kind != energy.kind:
            columns[-1] += f", {own.note}"  # such as that a 4-epoch run stands at every budget
    known = [f"Costs of a training in this table: {'; '.join(columns) or 'none'}."]
    unknown = ["energy of memory, storage and network, and the manufacture of the hardware"]
    if "energy_kwh" in means:
        whole, origin = "energy_kwh", bench.provenance["energy_kwh"]
        total = bench.provenance.get("total_energy_kwh")
        shares: dict[str, NDArray[np.float64]] = {}
        if "total_energy_kwh" in means and total and not total.differs_in(origin):
            whole = "total_energy_kwh"
            # Scaled energies have one share at all budgets: that of the run which was measured.
            rest = (1 - means["energy_kwh"] / means[whole])[: 1 if total.kind == "scaled" else None]
            shares["all but the training, such as evaluations"] = rest
            gpu = "gpu_energy_j"
            if gpu in means and total.pue and bench.provenance[gpu].same_trainings(total):
                part = means[gpu] * total.pue / J_PER_KWH
                shares["the GPU in the energy of the run"] = part / means[whole]
        if "gpu_share" in means:
            shares["the GPU in the energy of GPU and CPU"] = means["gpu_share"]
        known += [f"Share of {what}: {_medians(bench, share)}." for what, share in shares.items()]
        if origin.kind == "measured":
            took = np.nansum(bench.table.column(whole))
            known.append(f"All trainings of the table took {took:,.4g} kWh.")
        elif np.isfinite(last := means[whole][-1]).any():
            cells = f"each of the {np.isfinite(last).sum():,} cells with a known energy"
            each = f"{np.nansum(last):,.4g} kWh at {bench.budgets[-1]} epochs"
            known.append(f"One training of {cells} would take {each}.")
        if origin.pue is None:
            unknown.append("the power usage effectiveness (PUE) of the place")
        if origin.kind == "modelled":
            unknown.append("what the measurements and fits behind the models took")
    if (name := "carbon_intensity_g_per_kwh") in means:
        known.append(_ranges(bench, name, means[name]))
    if "co2_g" not in means:
        how = "; load(..., carbon_intensity=) computes them" if "energy_kwh" in means else ""
        unknown.append(f"emissions{how}")
    return Criterion("Holistic cost reporting", known, unknown)


# -- numbers as text -----------------------------------------------------------------------------


def _at_budgets(bench: Benchmark, per_cent: list[float]) -> str:
    numbers = ", ".join("unknown" if np.isnan(v) else f"{v:.3g}" for v in per_cent)
    return f"{numbers} % at {', '.join(map(str, bench.budgets[: len(per_cent)]))} epochs"


def _medians(bench: Benchmark, shares: NDArray[np.float64]) -> str:
    """Medians over the cells of (budgets, cells) shares."""
    known = [share[np.isfinite(share)] for share in shares]
    medians = [100 * float(np.median(share)) if len(share) else np.nan for share in known]
    return f"{_at_budgets(bench, medians)} (median)"


def _ranges(bench: Benchmark, name: str, values: NDArray[np.float64]) -> str:
    """Least, median and largest of (budgets, cells) values at each budget, as a sentence."""
    parts, found, note = [], metric(name), bench.provenance[name].note
    for epochs, all_cells in zip(bench.budgets, values, strict=True):
        if len(known := all_cells[np.isfinite(all_cells)]):
            low, middle, high = (f"{f(known):.3g}" for f in (np.min, np.median, np.max))
            parts.append(f"{low} to {high} {found.unit} at {epochs} epochs (median {middle})")
    about = f"{found.about[:1].upper()}{found.about[1:]} ({name}): {', '.join(parts)}"
    return f"{about}; {note}." if note and name != "energy_kwh" else f"{about}."
