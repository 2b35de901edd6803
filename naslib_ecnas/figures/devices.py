"""Figure 4: energy of training the same cells on different GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures import drawing
from naslib_ecnas.figures.drawing import INK
from naslib_ecnas.files import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METRIC = "energy_kwh"
#: Marker and colour of each device.
_LOOKS = (
    *(("o", "blue"), ("s", "orange"), ("D", "green"), ("^", "purple")),
    *(("v", "vermilion"), ("P", "sky"), ("X", "black")),
)
#: Device of a model -> its full name, as measured tables have it.
_TITLES = {
    "quadro-rtx-6000": "NVIDIA Quadro RTX 6000",
    "rtx-3060": "NVIDIA GeForce RTX 3060",
    "rtx-3090": "NVIDIA GeForce RTX 3090",
    "titan-xp": "NVIDIA Titan Xp",
}


@dataclass(frozen=True, eq=False)
class DeviceEnergies:
    """Energy of cells on several devices, sorted by the mean energy."""

    epochs: int
    devices: tuple[str, ...]
    """Names as in `--device`, or the table's own name of a device without a model."""
    titles: tuple[str, ...]
    """Full names of the devices."""
    caption: str
    rows: NDArray[np.int64]
    """(n,) rows that at least one device has."""
    mean_kwh: NDArray[np.float64]
    """(n,) mean over the devices that have the row, ascending."""
    energy_kwh: NDArray[np.float64]
    """(n, devices) energies, NaN if a device lacks the row."""

    def sheet(self) -> Sheet:
        """A line for each cell."""
        heads = [f"{_METRIC} {device}" for device in self.devices]
        body = zip(self.rows, self.mean_kwh, self.energy_kwh, strict=True)
        rows = [(i, row, mean, *each) for i, (row, mean, each) in enumerate(body, 1)]
        return Sheet.of(("place", "row", f"mean_{_METRIC}", *heads), rows)


def device_energies(benches: Sequence[Benchmark], *, epochs: int | None = None) -> DeviceEnergies:
    """Collect the energies of several tables of one space, one table for each device.

    The default budget is the smallest of the first table, the one that the published four-vertex
    tables measured (their others are scaled from it).

    Raises:
        ConfigError: there is no table, the spaces differ, or two tables have the same device.
        UnknownBudgetError: a table does not hold this budget.
    """
    devices = [
        short_device_name(str(bench.provenance[_METRIC].device or bench.name)) for bench in benches
    ]
    titles = [_TITLES.get(device, device) for device in devices]
    spaces = {bench.space.vertices for bench in benches}
    if len(spaces) != 1 or len(set(devices)) < len(devices):
        named = [(bench.name, device) for bench, device in zip(benches, devices, strict=True)]
        raise ConfigError("the tables must be of one space and of different devices", value=named)
    budget = benches[0].budgets[0] if epochs is None else epochs
    values = np.column_stack([bench.values(_METRIC, budget) for bench in benches])
    rows = np.flatnonzero(~np.isnan(values).all(axis=1))
    mean = np.nanmean(values[rows], axis=1)
    order = np.argsort(mean, kind="stable")
    lacking = np.isnan(values[rows]).sum(axis=0)
    gaps = [f"{d} lacks {n}" for d, n in zip(titles, lacking, strict=True) if n]
    groups: dict[str, list[str]] = {}
    for bench, title in zip(benches, titles, strict=True):
        origin = drawing.origin_of(bench, _METRIC, device=None)
        if bench.provenance[_METRIC].kind == "scaled" and budget == bench.budgets[0]:
            # The smallest budget of a scaled table is measured.
            origin = origin.replace("scaled", "measured", 1)
        groups.setdefault(origin, []).append(title)
    origins = "; ".join(f"{', '.join(names)}: {origin}" for origin, names in groups.items())
    caption = f"{len(rows):,} cells, sorted by their mean energy over the devices, {budget} epochs."
    caption += f" {origins}." + (f" {'; '.join(gaps)} of these cells." if gaps else "")
    columns = rows[order], mean[order], values[rows[order]]
    return DeviceEnergies(budget, tuple(devices), tuple(titles), caption, *columns)


def short_device_name(name: str) -> str:
    """The `--device` name of a device ("titan-xp" for "NVIDIA Titan Xp"), else its own name."""
    from naslib_ecnas.surrogate.devices import device_name

    try:
        return device_name(name)
    except ConfigError:  # no model of this device comes with the package
        return name


def devices_figure(data: DeviceEnergies) -> Figure:
    """Energies over the rank of the cell, with a marker for each device."""
    place = np.arange(1, len(data.rows) + 1)
    many = len(place) >= 1000
    look: dict[str, Any] = {"s": 1 if many else 9, "linewidths": 0, "rasterized": many}
    factor, label = drawing.axis_unit(_METRIC, data.mean_kwh)
    with drawing.captioned(2.9, data.caption) as figure:
        axes = figure.add_subplot()
        for i, (title, energies) in enumerate(zip(data.titles, data.energy_kwh.T, strict=True)):
            marker, ink = _LOOKS[i % len(_LOOKS)]
            look |= {"marker": "." if many else marker, "color": INK[ink], "label": title}
            axes.scatter(place, factor * energies, **look)
        axes.plot(place, factor * data.mean_kwh, color=INK["black"], linewidth=0.8, label="mean")
        axes.set(yscale="log", ylabel=label, xlabel="Cells, sorted by mean energy")
        drawing.log_ticks(axes.yaxis, np.nanmax(data.energy_kwh) / np.nanmin(data.energy_kwh))
        for handle in figure.legend(loc="outside upper left", ncols=2).legend_handles:
            if handle is not None and hasattr(handle, "set_sizes"):
                handle.set_sizes([12.0])
    return figure
