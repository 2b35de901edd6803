"""A campaign's records as a table, in any format that the package writes."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from naslib_ecnas.campaign.measurement import (
    RECORDS,
    Measurement,
    has_cpu,
    is_measured,
    record_path,
    recorded,
    run_j,
    segments_before,
    start_up_share,
    total_j,
    training_j,
    unresolved,
)
from naslib_ecnas.campaign.plan import Plan
from naslib_ecnas.data.carbon import CarbonIntensity, carbon_intensity
from naslib_ecnas.data.convert import check_suffix
from naslib_ecnas.data.convert import export as export_table
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import ConfigError, EcnasError, ProvenanceError, check_numbers
from naslib_ecnas.provenance import Kind, Provenance
from naslib_ecnas.space import Space

__all__ = ["SyntheticError", "columns_of", "export"]

#: Parts of a run that `energy_kwh` covers: the run up to the evaluation, as in EC-NAS's files, or
#: the steps of training alone.
_SPANS = ("run", "steps")

_J_PER_KWH = 3.6e6

#: Prefixes of metrics and their evaluations.
_POINTS = (("initial_", "start"), ("halfway_", "half"), ("", "end"))


class SyntheticError(EcnasError):
    """Synthetic images, shortened trainings or replayed energies are not measurements."""


def export(
    folder: Path,
    out: Path,
    *,
    pue: float = 1.0,
    carbon: float | str | None = None,
    cpu: bool | None = None,
    span: str = "run",
    allow_synthetic: bool = False,
) -> Columns:
    """Write the records of a campaign as .ecnas, .tfrecord, .parquet or .csv.

    Args:
        folder: folder of the campaign.
        out: the file; its suffix gives the format. A TFRecord file has EC-NAS's format.
        pue, carbon, cpu, span, allow_synthetic: see `columns_of`.

    Returns:
        The columns that were written.

    Raises:
        SyntheticError: the records are not measurements, or the format cannot say so.
        ConfigError, ProvenanceError: see `columns_of`; or the suffix is of no format.
        MissingDependencyError: Parquet without pyarrow.
        StorageError: the file cannot be written.
    """
    check_suffix(out)
    official = out.suffix.lower() == ".tfrecord"
    if official and span != "run":
        raise ConfigError(
            "energies in a TFRecord file are of runs, and the file cannot state another span",
            value=span,
            remedy="leave --span out, or choose another format",
        )
    columns = columns_of(
        folder, pue=pue, carbon=carbon, cpu=cpu, span=span, allow_synthetic=allow_synthetic
    )
    synthetic = any(origin.kind == "synthetic" for origin in columns.provenance.values())
    if synthetic and official:
        raise SyntheticError(
            "a TFRecord file cannot state that its numbers are synthetic",
            remedy="choose .ecnas, .parquet or .csv",
        )
    if out.suffix.lower() == ".ecnas":
        write_table(out, columns)
        return columns
    # The other writers take a table.
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "table.ecnas"
        write_table(path, columns)
        export_table(Table.open(path), out)
    return columns


def columns_of(
    folder: Path,
    *,
    pue: float = 1.0,
    carbon: float | str | None = None,
    cpu: bool | None = None,
    span: str = "run",
    allow_synthetic: bool = False,
) -> Columns:
    """The records of a campaign as columns.

    `energy_kwh` covers the run up to the evaluation, start-up and earlier evaluations included, as
    in all other tables; `training_time_s` covers the steps alone, as in NAS-Bench-101.
    `total_energy_kwh` and `total_time_s` cover the whole run. An energy that was not measured is
    NaN. Joules are as measured; PUE and carbon intensity enter kWh and grams only. The attributes
    `energy_span` and `start_up_share` (of a run of 4 epochs, median) are read by
    `ecnas surrogate calibrate`.

    Args:
        folder: folder of the campaign.
        pue: power usage effectiveness, a factor of energies in kWh.
        carbon: gCO2eq/kWh or a country's code; without it there are no emissions.
        cpu: whether the CPU packages' energy counts; by default if all records have it.
        span: `run`, or `steps` for energies of the steps of training alone.
        allow_synthetic: accept records that are not measurements; their provenance is `synthetic`.

    Raises:
        ConfigError: there are no records, or a number is out of range.
        SyntheticError: records are not measurements.
        ProvenanceError: records of several devices, recipes or data, which one column cannot mix.
        FormatError: a record is damaged.
    """
    check_numbers(least=1, pue=pue)
    if span not in _SPANS:
        raise ConfigError(f"span must be {' or '.join(_SPANS)}", value=span)
    intensity = None if carbon is None else carbon_intensity(carbon)
    plan = Plan.read(folder)
    there = recorded(folder)
    records = [
        Measurement.read(record_path(folder, unit)) for unit in plan.units if unit.name in there
    ]
    if not records:
        raise ConfigError(
            "the campaign has no records yet", remedy=f"measure them: ecnas measure run {folder}"
        )
    why = _made_up(records, allow_synthetic)
    _of_one_kind(records)
    if cpu is None:
        cpu = all(map(has_cpu, records))
    place = _Places(records)
    values: dict[str, Any] = {}
    for record in records:
        found = _values(record, pue=pue, cpu=cpu, span=span, carbon=intensity)
        for name, value in found.items():
            place.put(values, name, record, value)
    device = records[0].training.device_name
    kind: Kind = "synthetic" if why else "measured"
    base = Provenance(
        kind,
        device=device,
        repeats=place.repeats,
        source=f"campaign {plan.name}",
        sha256=_digest(folder, records),
        note=_note(records, plan, why),
    )
    energy = _energy_provenance(base, records, pue=pue, cpu=cpu, span=span)
    provenance = {
        name: energy if name.endswith("energy_kwh") or "co2" in name else base for name in values
    }
    if intensity is not None:
        for name in values:
            if "co2" in name or "carbon" in name:
                origin = provenance[name]
                provenance[name] = _noted(origin, f"carbon intensity {intensity.about}")
    attributes = {
        "description": ("SYNTHETIC, not measurements: " if why else "measured: ")
        + f"campaign {plan.name}, {len(records)} of {len(plan.units)} units, recipe {plan.recipe}",
        "plan": plan.checksum,
        "energy_span": span,
    }
    shares = [start_up_share(record, cpu=cpu) for record in records]
    shares = [share for share in shares if math.isfinite(share)]
    if shares:
        attributes["start_up_share"] = f"{statistics.median(shares):.6f}"
    gpu = any(is_measured(r) and r.meter.kind == "nvml" for r in records)
    if gpu:
        attributes["gpu"] = device
    if any(map(has_cpu, records)):
        attributes["cpu"] = "cpu:0"
    return Columns(
        name=plan.name,
        vertices=_vertices(plan),
        rows=place.rows,
        budgets=place.budgets,
        repeats=place.repeats,
        values=values,
        provenance=provenance,
        attributes=attributes,
    )


def _made_up(records: list[Measurement], allowed: bool) -> str:
    """Why records are not measurements; empty if they are."""
    reasons = Counter(why for record in records for why in record.made_up)
    if reasons and not allowed:
        common = "; ".join(f"{count} x {why}" for why, count in reasons.most_common(3))
        raise SyntheticError(
            f"the records are not measurements of whole trainings on CIFAR-10: {common}",
            remedy="export them, marked as synthetic, with --allow-synthetic",
        )
    return "; ".join(sorted(reasons))


def _of_one_kind(records: list[Measurement]) -> None:
    """Raise if values of different provenance would be mixed in one column."""
    aspects: dict[str, Callable[[Measurement], Any]] = {
        "device": lambda r: r.training.device_name,
        "recipe": lambda r: r.training.recipe,
        "data": lambda r: r.training.data.sha256,
        "evaluated images": lambda r: r.settings.evaluate_images,
        "origin": lambda r: bool(r.made_up),
    }
    for name, of in aspects.items():
        found = Counter(of(record) for record in records)
        if len(found) > 1:
            raise ProvenanceError(
                f"the records have more than one {name}",
                value=[str(key) for key in found],
                remedy="make a campaign for each; see: ecnas measure validate",
            )


class _Places:
    """Index of each record's values in columns of shape (cells, budgets, repeats)."""

    def __init__(self, records: list[Measurement]) -> None:
        units = [record.unit for record in records]
        self.rows = np.unique([unit.row for unit in units]).astype(np.int32)
        self.budgets = tuple(sorted({unit.epochs for unit in units}))
        self.repeats = 1 + max(unit.repeat for unit in units)
        self._row = {row: i for i, row in enumerate(self.rows.tolist())}

    def put(self, values: dict[str, Any], name: str, record: Measurement, value: float) -> None:
        """Set a value of one record; all other values are NaN until they are set."""
        shape = len(self.rows), len(self.budgets), self.repeats
        column = values.setdefault(name, np.full(shape, np.nan))
        unit = record.unit
        column[self._row[unit.row], self.budgets.index(unit.epochs), unit.repeat] = value


def _values(
    record: Measurement, *, pue: float, cpu: bool, span: str, carbon: CarbonIntensity | None
) -> dict[str, float]:
    training = record.training
    total = record.window("total")
    began = math.nan if total is None else total.started_unix
    found: dict[str, float] = {}
    per_epoch = training.budget_steps / training.epochs
    for prefix, when in _POINTS:
        at = next(e for e in training.evaluations if e.when == when)
        segments = segments_before(record, when)
        joules = (
            run_j(record, cpu=cpu, when=when)
            if span == "run"
            else training_j(record, cpu=cpu, segments=segments)
        )
        _add_energy(found, prefix, joules, pue, carbon)
        done = training.segments[:segments]
        found[f"{prefix}training_time_s"] = math.fsum(s.window.seconds for s in done)
        for split in ("train", "validation", "test"):
            found[f"{prefix}{split}_accuracy"] = training.accuracy(split, when)
        found[f"{prefix}epoch"] = at.steps / per_epoch
        last = record.window(done[-1].window.name)
        # The TFRecord format stores times in whole seconds.
        found[f"{prefix}started_unix_s"] = _whole(began)
        found[f"{prefix}stopped_unix_s"] = _whole(math.nan if last is None else last.stopped_unix)
    _add_energy(found, "total_", total_j(record, cpu=cpu), pue, carbon)
    found["total_time_s"] = training.total_time_s
    found["total_started_unix_s"] = _whole(began)
    found["total_stopped_unix_s"] = _whole(math.nan if total is None else total.stopped_unix)
    if total is not None:
        _add_devices(found, total)
    return found


def _add_energy(
    found: dict[str, float], prefix: str, joules: float, pue: float, carbon: CarbonIntensity | None
) -> None:
    kwh = pue * joules / _J_PER_KWH
    found[f"{prefix}energy_kwh"] = kwh
    if carbon is not None:
        found[f"{prefix}co2_g"] = kwh * carbon.g_per_kwh
        found[f"{prefix}carbon_intensity_g_per_kwh"] = carbon.g_per_kwh


def _add_devices(found: dict[str, float], total: Any) -> None:
    """Joules and watts of GPU and CPU packages over the whole run, as far as they are known."""
    parts = [("gpu", total.gpu_total_j)]
    readings = list(total.cpu_energy_j.values())[:2]
    parts += [(name, r.energy_j) for name, r in zip(("cpu", "cpu1"), readings, strict=False)]
    for name, joules in parts:
        if math.isfinite(joules):
            found[f"{name}_energy_j"] = joules
            found[f"{name}_power_w"] = joules / total.seconds if total.seconds > 0 else math.nan


def _whole(moment: float) -> float:
    return float(round(moment)) if math.isfinite(moment) else moment


def _digest(folder: Path, records: list[Measurement]) -> str:
    """SHA-256 over the records' files, in the order of their names."""
    digest = sha256()
    for name in sorted(record.unit.name for record in records):
        raw = (folder / RECORDS / f"{name}.json").read_bytes()
        digest.update(f"{name}\0{len(raw)}\0".encode() + raw)
    return digest.hexdigest()


def _note(records: list[Measurement], plan: Plan, why: str) -> str:
    departures = sorted({d for r in records for d in r.training.departures if d not in why})
    parts = [f"SYNTHETIC, not a measurement: {why}"] if why else []
    parts.append(f"recipe {plan.recipe}")
    if departures:
        parts.append("departures: " + "; ".join(departures))
    return ", ".join(parts)


def _energy_provenance(
    base: Provenance, records: list[Measurement], *, pue: float, cpu: bool, span: str
) -> Provenance:
    unmeasured = sum(not is_measured(record) for record in records)
    parts = "GPU and CPU packages" if cpu else "GPU alone"
    of = (
        "from the start of the run to the evaluation, start-up and earlier evaluations included"
        if span == "run"
        else "of the steps of training alone; start-up and evaluations are in the total"
    )
    notes = [f"gross, {parts}, {of}"]
    if unmeasured:
        notes.append(f"{unmeasured} of {len(records)} trainings had no meter: missing")
    estimated = sum(bool(unresolved(record)) for record in records)
    if estimated:
        notes.append(f"the first step of {estimated} trainings at the mean power of the others")
    return _noted(replace(base, pue=pue), ", ".join(notes))


def _noted(origin: Provenance, text: str) -> Provenance:
    note = f"{origin.note}, {text}" if origin.note else text
    return replace(origin, note=note)


def _vertices(plan: Plan) -> int:
    """Number of vertices (4, 5 or 7) of the smallest space that contains every row of the plan."""
    rows = max(unit.row for unit in plan.units)
    sizes = ((v, len(Space(v))) for v in (4, 5, 7) if v >= plan.vertices)
    return next(v for v, size in sizes if rows < size)
