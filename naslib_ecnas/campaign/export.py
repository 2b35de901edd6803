"""A campaign's records as a table, in any format, also at budgets that were not trained."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.campaign.measurement import RECORDS, Measurement, read_record, recorded
from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.campaign.validate import alone, common, together
from naslib_ecnas.errors import (
    ConfigError,
    EcnasError,
    FormatError,
    ProvenanceError,
    check_choice,
    check_counts,
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

Array = NDArray[np.float64]

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
#: be mixed; see `validate.common`.
_COMMON = ("device", "recipe", "data", "evaluated images", "rounding", "origin")


class SyntheticError(EcnasError):
    """Trainings on synthetic images, or shortened, or without their GPU are not measurements."""


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
    about = _energy_note(records, cpu=cpu, span=span)
    energy = replace(base, note=f"{base.note}, {about}", pue=pue)
    provenance = {}
    for name in values:
        emitted = "co2" in name
        origin = energy if emitted or name.endswith("energy_kwh") else base
        if intensity is not None and (emitted or "carbon" in name):
            origin = replace(origin, note=f"{origin.note}, carbon intensity {intensity.about}")
        provenance[name] = origin
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
    found = [finding for record in records for finding in alone(record, plan)]
    for finding in (*found, *together(records)):
        if finding.code in _NOT_OF_THE_PLAN:
            path, remedy = folder / RECORDS / f"{finding.unit}.json", "see: ecnas measure validate"
            raise FormatError(finding.text, path=path, remedy=remedy)
    reasons = Counter(why for record in records for why in record.made_up)
    if reasons and not allow_synthetic:
        most = "; ".join(f"{count} x {why}" for why, count in reasons.most_common(3))
        text = f"the records are not measurements of whole trainings on CIFAR-10: {most}"
        remedy = "export them, marked as synthetic, with --allow-synthetic"
        raise SyntheticError(text, remedy=remedy)
    shared = [common(record) for record in records]
    for name in _COMMON:
        different = list(dict.fromkeys(str(each[name]) for each in shared))
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


# -- budgets that were not trained ---------------------------------------------------------------

#: What grows affinely with the epochs -> relative deviation between trainings of a cell, where no
#: training was repeated: root mean square of EC-NAS's four-vertex cells on its RTX 6000.
_AFFINE = {"energy_kwh": 0.027, "training_time_s": 0.0065}


def extrapolated(columns: Columns, epochs: Sequence[int]) -> Columns:
    """Energies and times of the cells at other budgets, with standard deviations of a training.

    Each epoch costs the same and the start-up does not depend on their number, so that every cell
    has a line over the epochs: through its trainings at two budgets, or fitted to more of them with
    equal relative errors. From 4 and 12 epochs to 108 that is off by 1.5 % (median; 4.7 % for 95 of
    100 cells) for single trainings of EC-NAS's four-vertex cells, for a seventh of the energy.

    Args:
        columns: those of a campaign, see `columns_of`.
        epochs: budgets of the result.

    Returns:
        One value for each cell and budget, NaN for a cell with fewer than two budgets. Their
        provenance is `modelled`, or `synthetic` as before.

    Raises:
        ConfigError: a budget is not a positive number, or no cell has two budgets.
    """
    for budget in epochs:
        check_counts(epochs=budget)
    wanted = tuple(sorted(set(epochs)))
    trained = ", ".join(map(str, columns.budgets))
    values: dict[str, Array] = {}
    provenance: dict[str, Provenance] = {}
    for name, deviation in _AFFINE.items():
        means, stds = _lines(columns.values[name], columns.budgets, wanted, deviation)
        values |= {name: means[:, :, None], f"{name}_std": stds[:, :, None]}
        origin = columns.provenance[name]
        note = f"a line over epochs, from trainings of {trained}"
        note = f"{origin.note}, {note}" if origin.note else note
        line = replace(origin, repeats=1, note=note)
        if line.kind != "synthetic":
            line = replace(line, kind="modelled")
        provenance |= {name: line, f"{name}_std": line}
    if not np.isfinite(values["training_time_s"]).any():
        raise ConfigError("a line over epochs needs cells that were trained at two budgets or more")
    about = f"at {', '.join(map(str, wanted))} epochs by lines through {trained}: "
    attributes = {**columns.attributes, "description": about + columns.attributes["description"]}
    shown = replace(columns, values=values, provenance=provenance, budgets=wanted, repeats=1)
    return replace(shown, attributes=attributes)


def _lines(
    values: Array, budgets: Sequence[int], wanted: Sequence[int], deviation: float
) -> tuple[Array, Array]:
    """(n, w) values at the wanted budgets and their deviations, of (n, b, r) values."""
    count = np.isfinite(values).sum(axis=2)
    mean = np.where(count > 0, np.nansum(values, axis=2), math.nan) / np.maximum(count, 1)
    spread, freedom = np.nansum((values / mean[:, :, None] - 1) ** 2), (count - 1).clip(0).sum()
    if freedom:
        deviation = math.sqrt(spread / freedom)
    found, error = (np.full((len(values), len(wanted)), math.nan) for _ in range(2))
    for cell, there in enumerate(count > 0):
        if there.sum() < 2 or not (mean[cell, there] > 0).all():
            continue
        design = np.column_stack([np.ones(there.sum()), np.array(budgets)[there]])
        scale = mean[cell, there] / np.sqrt(count[cell, there])
        # Least squares of relative errors; each row gives a value's share in the line.
        shares = np.linalg.pinv(design / scale[:, None]) / scale
        at = np.column_stack([np.ones(len(wanted)), wanted]) @ shares
        found[cell] = at @ mean[cell, there]
        error[cell] = deviation * np.sqrt((at**2) @ scale**2 + found[cell] ** 2)
    return found, error
