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
_COLOURS = ("blue", "orange", "green", "purple", "vermilion", "sky", "black")
_LOOKS = list(zip("osD^vPX", _COLOURS, strict=True))
#: Device of a model -> its full name, as measured tables have it.
_TITLES = {
    "quadro-rtx-6000": "NVIDIA Quadro RTX 6000",
    "rtx-3060": "NVIDIA GeForce RTX 3060",
    "rtx-3090": "NVIDIA GeForce RTX 3090",
    "titan-xp": "NVIDIA Titan Xp",
}
#: An energy is an outlier if it is this many times what the other devices let expect.
_FACTOR = 2.0


@dataclass(frozen=True, eq=False)
class DeviceEnergies:
    """Energy of cells on several devices, sorted by the median energy."""

    epochs: int
    devices: tuple[str, ...]
    """Names as in `--device`, or the table's own name of a device without a model."""
    titles: tuple[str, ...]
    """Full names of the devices."""
    caption: str
    rows: NDArray[np.int64]
    """(n,) rows that at least one device has."""
    median_kwh: NDArray[np.float64]
    """(n,) median over the devices that have the row, ascending."""
    energy_kwh: NDArray[np.float64]
    """(n, devices) energies, NaN if a device lacks the row."""
    outlier: NDArray[np.bool_]
    """(n, devices) whether an energy is more than twice, or less than half, the cell's median
    times the median ratio of the device to it."""

    def sheet(self) -> Sheet:
        """A line for each cell; `outliers` names the devices whose energy is one."""
        heads = [f"{_METRIC} {device}" for device in self.devices]
        rows = []
        columns = (self.rows, self.median_kwh, self.energy_kwh, self.outlier)
        for i, (row, median, each, odd) in enumerate(zip(*columns, strict=True), 1):
            names = " ".join(d for d, is_odd in zip(self.devices, odd, strict=True) if is_odd)
            rows.append((i, row, median, *each, names or None))
        return Sheet.of(("place", "row", f"median_{_METRIC}", *heads, "outliers"), rows)


def device_energies(benches: Sequence[Benchmark], *, epochs: int | None = None) -> DeviceEnergies:
    """Collect the energies of several tables of one space, one table for each device.

    The default budget is the smallest of the first table, the one that the published four-vertex
    tables measured (their others are scaled from it).

    Raises:
        ConfigError: there is no table, the spaces differ, or two tables have the same device.
        UnknownBudgetError: a table does not hold this budget.
    """
    names = [str(bench.provenance[_METRIC].device or bench.name) for bench in benches]
    devices = list(map(short_device_name, names))
    titles = [_TITLES.get(device, device) for device in devices]
    spaces = {bench.space.vertices for bench in benches}
    if len(spaces) != 1 or len(set(devices)) < len(devices):
        named = [(bench.name, device) for bench, device in zip(benches, devices, strict=True)]
        raise ConfigError("the tables must be of one space and of different devices", value=named)
    budget = benches[0].budgets[0] if epochs is None else epochs
    values = np.column_stack([bench.values(_METRIC, budget) for bench in benches])
    rows = np.flatnonzero(~np.isnan(values).all(axis=1))
    values = values[rows]
    # Medians, since a single gross outlier would decide a cell's mean.
    median = np.nanmedian(values, axis=1)
    ratio = values / median[:, None]
    ratio /= np.nanmedian(ratio, axis=0)
    outlier = np.abs(np.log(np.nan_to_num(ratio, nan=1.0))) > np.log(_FACTOR)
    lacking, odd = (zip(titles, w.sum(axis=0), strict=True) for w in (np.isnan(values), outlier))
    notes = [f"{title} lacks {n} of them" for title, n in lacking if n]
    if outlier.any():
        found = " and ".join(f"{n} on {title}" for title, n in odd if n)
        about = f"more than {_FACTOR:g} times what the other devices let expect ({found})"
        notes.append(f"Ringed: outliers, {about}; an arrow marks one beyond the axis")
    groups: dict[str, list[str]] = {}
    for bench, title in zip(benches, titles, strict=True):
        groups.setdefault(drawing.origin_of(bench, _METRIC, budget, device=None), []).append(title)
    notes += [f"{', '.join(names)}: {origin}" for origin, names in groups.items()]
    caption = f"{len(rows):,} cells, sorted by their median energy over the devices, {budget} "
    caption += f"epochs. {'. '.join(notes)}."
    order = np.argsort(median, kind="stable")
    sorted_by = rows[order], median[order], values[order], outlier[order]
    return DeviceEnergies(budget, tuple(devices), tuple(titles), caption, *sorted_by)


def short_device_name(name: str) -> str:
    """The `--device` name of a device ("titan-xp" for "NVIDIA Titan Xp"), else its own name."""
    from naslib_ecnas.surrogate.devices import device_name

    try:
        return device_name(name)
    except ConfigError:  # no model of this device comes with the package
        return name


def devices_figure(data: DeviceEnergies) -> Figure:
    """Energies over the rank of the cell, with a marker for each device.

    Outliers are ringed; they do not stretch the axis, at whose end an arrow stands for them.
    """
    place = np.arange(1, len(data.rows) + 1)
    many = len(place) >= 1000
    look: dict[str, Any] = {"s": 1 if many else 9, "linewidths": 0, "rasterized": many}
    factor, label = drawing.axis_unit(_METRIC, data.median_kwh)
    energies = factor * data.energy_kwh
    usual = energies[~data.outlier & ~np.isnan(energies)]
    low, high = 0.9 * usual.min(), 1.4 * usual.max()
    with drawing.panels(data.caption, height=2.3) as (figure, (axes,)):
        for i, title in enumerate(data.titles):
            marker, ink = _LOOKS[i % len(_LOOKS)]
            look |= {"marker": "." if many else marker, "color": INK[ink], "label": title}
            axes.scatter(place, energies[:, i], **look)
        median = factor * data.median_kwh
        axes.plot(place, median, color=INK["black"], linewidth=0.8, label="median")
        axes.set(ylabel=label, xlabel="Cells, sorted by median energy")
        drawing.log_axis(axes, "y", low, high)
        for cell, device in np.argwhere(data.outlier):
            value, colour = energies[cell, device], INK[_LOOKS[device % len(_LOOKS)][1]]
            ring: dict[str, Any] = {"s": 40, "facecolors": "none", "edgecolors": INK["black"]}
            if low < value < high:
                axes.scatter(place[cell], value, linewidths=0.7, **ring)
                continue
            end, away = (high, -12) if value > high else (low, 12)
            look = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 6}
            look["arrowprops"] = {"arrowstyle": "->", "color": colour, "shrinkA": 2, "shrinkB": 0}
            axes.annotate(f"{value:.0f}", (place[cell], end), (0, away), color=colour, **look)
        axes.set_ylim(low, high)
        drawing.legend(figure, axes)
    return figure
