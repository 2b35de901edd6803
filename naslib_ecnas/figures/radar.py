"""The chosen cells of a front on four axes: energy, accuracy, time and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from naslib_ecnas.figures.drawing import INK
from naslib_ecnas.figures.study import CHOSEN

if TYPE_CHECKING:
    from matplotlib.projections.polar import PolarAxes

__all__ = ["RADAR_INK", "radar", "radar_limits"]

#: Axes from the top, clockwise, with the unit and the form of the number at their end.
_AXES = {
    "E": ("E", "{:.2g} kWh"),
    "Pv": ("$P_v$", "{:.2f}"),
    "T": ("T", "{:.4g} s"),
    "|theta|": (r"log$_{10}|\theta|$", "{:.2f}"),
}
#: Colour and line of each chosen cell.
RADAR_INK = {
    "r0": (INK["blue"], "-"),
    "rk": (INK["vermilion"], "--"),
    "r1": (INK["green"], ":"),
}

Means = Mapping[str, Mapping[str, float]]


def radar_limits(every: Sequence[Means]) -> dict[str, float]:
    """End of each axis: the largest value over all chosen cells; 1 where none is known."""
    out = {}
    for key in _AXES:
        values = np.array([means[which][key] for means in every for which in CHOSEN])
        values = values[np.isfinite(values)]
        out[key] = float(values.max()) if values.size and values.max() > 0 else 1.0
    return out


def radar(axes: PolarAxes, means: Means, limits: Mapping[str, float], *, size: float = 6.0) -> None:
    """Draw the means of `mean_quantities`, each axis from 0 to its limit.

    An axis whose values are unknown says so, and the polygons have a corner at 0 there.

    Args:
        axes: polar axes.
        means: by chosen cell and quantity.
        limits: end of each axis.
        size: of the text, in points.
    """
    angles = np.linspace(0, 2 * np.pi, len(_AXES), endpoint=False)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    labels = []
    for key, (letter, form) in _AXES.items():
        known = any(np.isfinite(means[which][key]) for which in CHOSEN)
        labels.append(f"{letter}\n{form.format(limits[key]) if known else 'unknown'}")
    for which in CHOSEN:
        shares = np.array([means[which][key] / limits[key] for key in _AXES])
        shares = np.nan_to_num(shares)
        colour, line = RADAR_INK[which]
        corners = np.append(angles, angles[0]), np.append(shares, shares[0])
        label = f"$r_{which[1]}$"
        axes.plot(*corners, color=colour, linestyle=line, linewidth=1.1, label=label)
        axes.fill(*corners, color=colour, alpha=0.08)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], [""] * 4)
    axes.set_xticks(angles, labels, fontsize=size)
    for text, angle in zip(axes.get_xticklabels(), angles, strict=True):
        if abs(np.sin(angle)) > 0.5:
            text.set_horizontalalignment("left" if np.sin(angle) > 0 else "right")
    axes.tick_params(axis="x", pad=2, length=0)
    axes.grid(linewidth=0.4, color="#BBBBBB")
    axes.spines["polar"].set_linewidth(0.4)
