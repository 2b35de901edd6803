"""A campaign's records as a table, in any format that the package writes."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naslib_ecnas.campaign.checks import faults, together
from naslib_ecnas.campaign.extrapolate import extrapolated
from naslib_ecnas.campaign.measurement import RECORDS, Measurement, read_record, recorded
from naslib_ecnas.campaign.plan import Plan, check_choice
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    FormatError,
    ProvenanceError,
    check_numbers,
)
from naslib_ecnas.files import read_bytes
from naslib_ecnas.metrics import J_PER_KWH
from naslib_ecnas.space import Space
from naslib_ecnas.training.record import SPLITS

if TYPE_CHECKING:
    from naslib_ecnas.data.carbon import CarbonIntensity
    from naslib_ecnas.data.table import Columns
    from naslib_ecnas.energy.readings import Window
    from naslib_ecnas.provenance import Provenance

#: Parts of a run that `energy_kwh` covers -> what the provenance says about it. `training` is what
#: it covers in EC-NAS's files, `steps` is without the start-up.
_SPANS = {
    "training": "of start-up and training steps; evaluations are in the total alone",
    "steps": "of the training steps alone; start-up and evaluations are in the total",
}
#: Faults of records that would be values of another training.
_NOT_OF_THE_PLAN = ("plan", "copy")
#: Prefixes of metrics and their evaluations.
_POINTS = (("initial_", "start"), ("halfway_", "middle"), ("", "end"))
#: What the records of one column must have in common, since values of different provenance would
#: be mixed.
_COMMON: dict[str, Callable[[Measurement], Any]] = {
    "device": lambda r: r.training.device_name,
    "recipe": lambda r: r.training.recipe,
    "data": lambda r: r.training.data.sha256,
    "evaluated images": lambda r: r.settings.evaluate_images,
    "arithmetic": lambda r: {
        name: value
        for name, value in r.training.arithmetic.items()
        if "precision" in name or "TF32" in name
    },
    "origin": lambda r: bool(r.made_up),
}


class SyntheticError(EcnasError):
    """Synthetic images, shortened trainings or replayed energies are not measurements."""


def export(
    folder: str | PathLike[str],
    out: str | PathLike[str],
    *,
    pue: float = 1.0,
    carbon: float | str | None = None,
    cpu: bool | None = None,
    span: str = "training",
    allow_synthetic: bool = False,
    extrapolate: Sequence[int] = (),
) -> Columns:
    """Write the records of a campaign as .ecnas, .tfrecord, .parquet or .csv.

    Args:
        folder: folder of the campaign.
        out: the file; its suffix gives the format. A TFRecord file has EC-NAS's format.
        pue, carbon, cpu, span, allow_synthetic: see `columns_of`.
        extrapolate: write energy and time at these budgets instead, see `extrapolated`.

    Returns:
        The columns that were written.

    Raises:
        SyntheticError: the records are not measurements, or the format cannot say so.
        ConfigError, ProvenanceError: see `columns_of`; or the suffix is of no format.
        MissingDependencyError: Parquet without pyarrow.
        StorageError: the file cannot be written.
    """
    from naslib_ecnas.data import convert

    convert.check_suffix(out)
    official = Path(out).suffix.lower() == ".tfrecord"
    if official and span != "training":
        text = "energies in a TFRecord file include start-up; the file cannot state another span"
        remedy = "leave --span out, or choose another format"
        raise ConfigError(text, value=span, remedy=remedy)
    columns = columns_of(
        folder, pue=pue, carbon=carbon, cpu=cpu, span=span, allow_synthetic=allow_synthetic
    )
    if extrapolate:
        columns = extrapolated(columns, extrapolate)
    kinds = {origin.kind for origin in columns.provenance.values()} - {"measured"}
    if official and kinds:
        text = f"a TFRecord file cannot state that its numbers are {' and '.join(sorted(kinds))}"
        raise SyntheticError(text, remedy="choose .ecnas, .parquet or .csv")
    convert.export(columns, out)
    return columns


def columns_of(
    folder: str | PathLike[str],
    *,
    pue: float = 1.0,
    carbon: float | str | None = None,
    cpu: bool | None = None,
    span: str = "training",
    allow_synthetic: bool = False,
) -> Columns:
    """The records of a campaign as columns.

    `energy_kwh` covers start-up and training steps without evaluations, as in EC-NAS's files;
    `training_time_s` the steps alone, as there and in NAS-Bench-101's; `total_energy_kwh` and
    `total_time_s` the whole run. `halfway_*` belong to the evaluation in the middle, when the
    recipe says. An energy that was not measured is NaN. PUE and carbon
    intensity enter kWh and grams, not joules. `ecnas surrogate calibrate` reads the attributes
    `energy_span` and `start_up_share` (of a training of 4 epochs, median).

    Args:
        folder: folder of the campaign.
        pue: power usage effectiveness, a factor of energies in kWh.
        carbon: gCO2eq/kWh or a country's code; without it there are no emissions.
        cpu: whether the CPU packages' energy counts; by default if all records have it.
        span: `training`, or `steps` for energies without the start-up.
        allow_synthetic: accept records that are not measurements; their provenance is `synthetic`.

    Raises:
        ConfigError: there are no records, or a number is out of range.
        SyntheticError: records are not measurements.
        ProvenanceError: records of several devices, recipes or data, which one column cannot mix.
        FormatError: a record is damaged, of another plan, or there twice.
    """
    from naslib_ecnas.data.carbon import carbon_intensity
    from naslib_ecnas.data.table import Columns
    from naslib_ecnas.provenance import Provenance

    check_numbers(least=1, pue=pue)
    check_choice(tuple(_SPANS), span=span)
    intensity = None if carbon is None else carbon_intensity(carbon)
    folder = Path(folder)
    plan = Plan.read(folder)
    records = _records(folder, plan, allow_synthetic)
    why = "; ".join(sorted({reason for record in records for reason in record.made_up}))
    if cpu is None:
        cpu = all(record.has_cpu for record in records)

    largest = max(unit.row for unit in plan.units)
    rows, row = np.unique([r.unit.row for r in records], return_inverse=True)
    budgets, budget = np.unique([r.unit.epochs for r in records], return_inverse=True)
    repeat = [r.unit.repeat for r in records]
    try:
        found = [_values(r, pue=pue, cpu=cpu, span=span, carbon=intensity) for r in records]
    except OverflowError as error:
        raise FormatError("an energy of a record is too large for a number") from error
    values: dict[str, Any] = {}
    for name in dict.fromkeys(name for of_record in found for name in of_record):
        values[name] = np.full((len(rows), len(budgets), 1 + max(repeat)), np.nan)
        values[name][row, budget, repeat] = [of_record.get(name, math.nan) for of_record in found]

    base = Provenance(
        "synthetic" if why else "measured",
        device=records[0].training.device_name,
        repeats=1 + max(repeat),
        source=f"campaign {plan.name}",
        sha256=_digest(folder, records),
        note=_note(records, plan, why),
    )
    energy = replace(_noted(base, _energy_note(records, cpu=cpu, span=span)), pue=pue)
    provenance = {}
    for name in values:
        emitted = "co2" in name
        provenance[name] = energy if emitted or name.endswith("energy_kwh") else base
        if intensity is not None and (emitted or "carbon" in name):
            provenance[name] = _noted(provenance[name], f"carbon intensity {intensity.about}")
    return Columns(
        name=plan.name,
        # The smallest space of EC-NAS that contains every row of the plan.
        vertices=next(v for v in (4, 5, 7) if v >= plan.vertices and largest < len(Space(v))),
        rows=rows.astype(np.int32),
        budgets=tuple(budgets.tolist()),
        repeats=1 + max(repeat),
        values=values,
        provenance=provenance,
        attributes=_attributes(records, plan, cpu=cpu, span=span, synthetic=bool(why)),
    )


def _records(folder: Path, plan: Plan, allow_synthetic: bool) -> list[Measurement]:
    """All records of a campaign, which may be in one column."""
    there = recorded(folder)
    records = [read_record(folder, unit) for unit in plan.units if unit.name in there]
    if not records:
        remedy = f"measure them: ecnas measure run {folder}"
        raise ConfigError("the campaign has no records yet", remedy=remedy)
    found = [finding for record in records for finding in faults(record, plan)]
    for finding in (*found, *together(records)):
        if finding.code in _NOT_OF_THE_PLAN:
            path, remedy = folder / RECORDS / f"{finding.unit}.json", "see: ecnas measure validate"
            raise FormatError(finding.text, path=path, remedy=remedy)
    reasons = Counter(why for record in records for why in record.made_up)
    if reasons and not allow_synthetic:
        common = "; ".join(f"{count} x {why}" for why, count in reasons.most_common(3))
        text = f"the records are not measurements of whole trainings on CIFAR-10: {common}"
        remedy = "export them, marked as synthetic, with --allow-synthetic"
        raise SyntheticError(text, remedy=remedy)
    for name, of in _COMMON.items():
        different = list(dict.fromkeys(str(of(record)) for record in records))
        if len(different) > 1:
            text = f"the records have more than one {name}"
            remedy = "make a campaign for each; see: ecnas measure validate"
            raise ProvenanceError(text, value=different, remedy=remedy)
    return records


# -- values --------------------------------------------------------------------------------------


def _values(
    record: Measurement, *, pue: float, cpu: bool, span: str, carbon: CarbonIntensity | None
) -> dict[str, float]:
    """All metrics of one record."""

    def energy(prefix: str, joules: float) -> dict[str, float]:
        values = {f"{prefix}energy_kwh": pue * joules / J_PER_KWH}
        if carbon is not None:
            values[f"{prefix}co2_g"] = values[f"{prefix}energy_kwh"] * carbon.g_per_kwh
            values[f"{prefix}carbon_intensity_g_per_kwh"] = carbon.g_per_kwh
        return values

    def moment(window: Window | None, edge: str) -> float:
        """Whole seconds, since the TFRecord format stores no others; NaN if unknown."""
        return math.nan if window is None else float(round(getattr(window, edge)))

    training, total = record.training, record.window("total")
    began = moment(total, "started_unix")
    steps_per_epoch = training.budget_steps / training.epochs
    found: dict[str, float] = {}
    for prefix, when in _POINTS:
        joules = record.training_j if span == "training" else record.steps_j
        found |= energy(prefix, joules(cpu=cpu, when=when))
        done = record.segments_until(when)
        last = record.window(done[-1].window.name)
        found[f"{prefix}training_time_s"] = math.fsum(s.window.seconds for s in done)
        for split in SPLITS:
            found[f"{prefix}{split}_accuracy"] = training.accuracy(split, when)
        found[f"{prefix}epoch"] = sum(s.steps for s in done) / steps_per_epoch
        found[f"{prefix}started_unix_s"] = began
        found[f"{prefix}stopped_unix_s"] = moment(last, "stopped_unix")
    found |= energy("total_", record.total_j(cpu=cpu))
    found["total_time_s"] = training.total_time_s
    found["total_started_unix_s"] = began
    found["total_stopped_unix_s"] = moment(total, "stopped_unix")
    return found if total is None else found | _devices(total)


def _devices(total: Window) -> dict[str, float]:
    """Joules and watts of GPU and CPU packages over the whole run, as far as they are known."""
    packages = (reading.energy_j for reading in total.cpu_energy_j.values())
    found = {}
    for name, joules in zip(("gpu", "cpu", "cpu1"), (total.gpu_total_j, *packages), strict=False):
        if math.isfinite(joules):
            found[f"{name}_energy_j"] = joules
            found[f"{name}_power_w"] = joules / total.seconds if total.seconds > 0 else math.nan
    return found


# -- where they come from ------------------------------------------------------------------------


def _attributes(
    records: list[Measurement], plan: Plan, *, cpu: bool, span: str, synthetic: bool
) -> dict[str, str]:
    origin = "SYNTHETIC, not measurements" if synthetic else "measured"
    units = f"{len(records)} of {len(plan.units)} units"
    attributes = {
        "description": f"{origin}: campaign {plan.name}, {units}, recipe {plan.recipe}",
        "plan": plan.checksum,
        "energy_span": span,
    }
    shares = [record.start_up_share(cpu=cpu) for record in records]
    if known := list(filter(math.isfinite, shares)):
        attributes["start_up_share"] = f"{statistics.median(known):.6f}"
    if any(record.meter.kind == "nvml" for record in records):
        attributes["gpu"] = records[0].training.device_name
    setups = [setup for record in records for setup in record.meter.setups.values()]
    for name in ("driver", "enforced_power_limit_w"):
        if values := sorted({str(getattr(setup, name)) for setup in setups}):
            attributes[name] = ", ".join(values)
    if any(record.has_cpu for record in records):
        attributes["cpu"] = "cpu:0"
    return attributes


def _digest(folder: Path, records: list[Measurement]) -> str:
    """SHA-256 over the records' files, in the order of their names."""
    digest = sha256()
    for name in sorted(record.unit.name for record in records):
        raw = read_bytes(folder / RECORDS / f"{name}.json")
        digest.update(f"{name}\0{len(raw)}\0".encode() + raw)
    return digest.hexdigest()


def _note(records: list[Measurement], plan: Plan, why: str) -> str:
    parts = [f"SYNTHETIC, not a measurement: {why}"] if why else []
    parts.append(f"recipe {plan.recipe}")
    if departures := sorted({d for r in records for d in r.training.departures if d not in why}):
        parts.append("departures: " + "; ".join(departures))
    return ", ".join(parts)


def _energy_note(records: list[Measurement], *, cpu: bool, span: str) -> str:
    notes = ["gross", "GPU and CPU packages" if cpu else "GPU alone", _SPANS[span]]
    if unmeasured := sum(not record.measured for record in records):
        notes.append(f"{unmeasured} of {len(records)} trainings had no meter: missing")
    if estimated := sum(bool(record.unresolved) for record in records):
        notes.append(f"the first step of {estimated} trainings at the mean power of the others")
    return ", ".join(notes)


def _noted(origin: Provenance, text: str) -> Provenance:
    return replace(origin, note=f"{origin.note}, {text}" if origin.note else text)
