"""Costs that are no sums: logarithms of totals, and the most work on one path.

Relative errors are what matters of energy and time, so the models fit their logarithms: a
logarithm of a total is then the straight-line term. The offsets keep the least cells finite and
stand for what every network has (stem, dense layer, launches); they are round figures, not
fitted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.network import STACKS, parameters
from naslib_ecnas.surrogate.cells import SLOTS, labels, shapes
from naslib_ecnas.surrogate.feature import Feature
from naslib_ecnas.surrogate.paths import barriers, longest

__all__ = ["CURVES", "curves"]

_MEGA = 1e-6
_SIDES = tuple(side for _, side in STACKS)
#: Logarithm's name -> (offset, what its sum is, columns of the sums that are added).
_LOGARITHMS: dict[str, tuple[float, str, tuple[str, ...]]] = {
    "log_multiply_adds": (0.05, "1e9 multiply-adds", ("multiply_adds",)),
    "log_multiply_adds_tile_32": (
        0.05,
        "1e9 multiply-adds on tiles of 32 channels",
        ("multiply_adds_tile_32",),
    ),
    "log_vertices_width": (0.2, "widths of all vertices", ("vertices_width",)),
    "log_conv3x3_multiply_adds": (
        0.1,
        "1e9 multiply-adds of vertices conv3x3",
        tuple(f"conv3x3_multiply_adds_{side}" for side in _SIDES),
    ),
    "log_conv3x3_width": (0.2, "widths of vertices conv3x3", ("conv3x3_width",)),
    "log_traffic": (
        0.3,
        "widths that vertices, projections and additions write",
        (
            "conv3x3_width",
            "conv1x1_width",
            "maxpool3x3_width",
            "projections_width",
            "skip",
            "additions_width",
        ),
    ),
}
_PARAMETERS_OFFSET = 0.3
#: Work of each operation on a path, in convolutions of side 1 and 128 channels.
_TAPS = np.array([9, 1, 0, 0], dtype=np.float32)
_IS_CONV3X3 = np.array([1, 0, 0, 0], dtype=np.float32)

CURVES: tuple[Feature, ...] = (
    *(
        Feature(name, "", f"logarithm of {offset} + {what}")
        for name, (offset, what, _) in _LOGARITHMS.items()
    ),
    Feature("log_parameters", "", f"logarithm of {_PARAMETERS_OFFSET} + 1e6 trainable parameters"),
    Feature(
        "longest_work", "width^2", "largest sum over a path of taps times squared width of vertices"
    ),
    Feature("longest_conv3x3", "", "most vertices conv3x3 on a path"),
)


def curves(rows: NDArray[np.int64], sums: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """(n, len(CURVES)) of valid rows, from the columns of their sums by name."""
    columns = []
    for offset, _, names in _LOGARITHMS.values():
        total = sums[names[0]]
        for name in names[1:]:
            total = total + sums[name]
        columns.append(np.log(total + np.float32(offset)))
    columns.append(np.log(parameters(rows) * _MEGA + _PARAMETERS_OFFSET))
    structure, label = labels(rows)
    shape = shapes()
    barred = np.take(barriers(), structure, axis=-1)
    squared = (shape.width**2).astype(np.float32)
    slots = range(SLOTS)
    work = [_TAPS[label[:, slot]] * squared[structure, slot] for slot in slots]
    columns.append(longest(barred, work))
    columns.append(longest(barred, [_IS_CONV3X3[label[:, slot]] for slot in slots]))
    return np.stack(columns, axis=1).astype(np.float32)
