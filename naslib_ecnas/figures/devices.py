"""Figure 4: energy of training the same cells on different GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.benchmark import Benchmark
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.figures.drawing import COLUMN_WIDTH, INK, add_caption, new_figure, style
from naslib_ecnas.files import Sheet
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DeviceEnergies", "device_energies", "devices_figure", "short_device_name"]

_METRIC = "energy_kwh"
_MARKS = "osD^vPX"
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

    Args:
        benches: the tables.
        epochs: training budget; by default the smallest of the first table, the one that the
            published four-vertex tables measured (their others are scaled from it).

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
        origin = replace(bench.provenance[_METRIC], device=None, source=None, note=None)
        groups.setdefault(_at_budget(str(origin), bench, budget), []).append(title)
    origin_text = "; ".join(f"{', '.join(names)}: {origin}" for origin, names in groups.items())
    caption = (
        f"{len(rows):,} cells, sorted by their mean energy over the devices, {budget} "
        f"epochs. {origin_text}." + (f" {'; '.join(gaps)} of these cells." if gaps else "")
    )
    return DeviceEnergies(
        epochs=budget,
        devices=tuple(devices),
        titles=tuple(titles),
        caption=caption,
        rows=rows[order].astype(np.int64),
        mean_kwh=mean[order],
        energy_kwh=values[rows][order],
    )


def short_device_name(name: str) -> str:
    """The `--device` name of a device ("titan-xp" for "NVIDIA Titan Xp"), else its own name."""
    from naslib_ecnas.surrogate.devices import device_name

    try:
        return device_name(name)
    except ConfigError:  # no model of this device comes with the package
        return name


def _at_budget(origin: str, bench: Benchmark, budget: int) -> str:
    """The origin at one budget: the smallest budget of a scaled table is measured."""
    if bench.provenance[_METRIC].kind == "scaled" and budget == bench.budgets[0]:
        return origin.replace("scaled", "measured", 1)
    return origin


def devices_figure(data: DeviceEnergies) -> Figure:
    """Energies over the rank of the cell, with a marker for each device.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    inks = [INK[n] for n in ("blue", "orange", "green", "purple", "vermilion", "sky", "black")]
    n = len(data.rows)
    with style():
        from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

        figure = new_figure(COLUMN_WIDTH, 2.9)
        axes = figure.add_subplot()
        place = np.arange(1, n + 1)
        for i, title in enumerate(data.titles):
            axes.scatter(
                place,
                1000 * data.energy_kwh[:, i],
                s=9 if n < 1000 else 1,
                marker=_MARKS[i % len(_MARKS)] if n < 1000 else ".",
                color=inks[i % len(inks)],
                linewidths=0,
                rasterized=n >= 1000,
                label=title,
            )
        axes.plot(place, 1000 * data.mean_kwh, color=INK["black"], linewidth=0.8, label="mean")
        axes.set_yscale("log")
        span = np.nanmax(data.energy_kwh) / np.nanmin(data.energy_kwh)
        if span < 100:
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        about = metric(_METRIC).about
        axes.set_ylabel(f"{about[0].upper()}{about[1:]} (Wh)")
        axes.set_xlabel("Cells, sorted by mean energy")
        legend = figure.legend(loc="outside upper left", ncols=2, borderpad=0, labelspacing=0.3)
        for handle in legend.legend_handles:
            if handle is not None and hasattr(handle, "set_sizes"):
                handle.set_sizes([12.0])
        add_caption(figure, data.caption)
    return figure
