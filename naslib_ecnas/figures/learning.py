"""The learning curve that `ecnas surrogate learning-curve --json` printed, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import FormatError, UnknownTableError
from naslib_ecnas.figures.sheet import Sheet
from naslib_ecnas.json_text import from_json
from naslib_ecnas.storage import is_file

__all__ = ["LearningCurve", "read_learning_curve"]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Error of fits to few and to many cells."""

    sizes: NDArray[np.int64]
    """(k,) cells to fit on, ascending."""
    mean_wh: NDArray[np.float64]
    """(k,) mean over the draws of the mean absolute error."""
    sd_wh: NDArray[np.float64]
    """(k,) standard deviation over the draws (of a sample), NaN with one draw."""
    draws: NDArray[np.int64]
    """(k,) draws of each size."""

    def sheet(self) -> Sheet:
        """A line for each size."""
        rows = list(zip(self.sizes, self.mean_wh, self.sd_wh, self.draws, strict=True))
        return Sheet.of(("training_cells", "mae_wh", "mae_wh_sd", "draws"), rows)


def read_learning_curve(path: str | PathLike[str]) -> LearningCurve:
    """Read what `ecnas surrogate learning-curve --json` printed.

    Raises:
        UnknownTableError: there is no such file.
        FormatError: it is no such list.
    """
    file = Path(path).expanduser()
    if not is_file(file):
        raise UnknownTableError(
            "no such learning curve",
            value=str(path),
            expected="a file that `ecnas surrogate learning-curve --json` printed",
            remedy="make it: ecnas surrogate learning-curve --data DIR --json > FILE",
        )
    try:
        points = from_json(file.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or not even text
        raise _wrong(file, str(error)) from error
    if not isinstance(points, list) or not points or not all(map(_good, points)):
        raise _wrong(file, points[0] if isinstance(points, list) and points else type(points))
    sizes = np.array([point["size"] for point in points])
    errors = np.array([point["mae_wh"] for point in points], dtype=np.float64)
    each = [errors[sizes == size] for size in np.unique(sizes)]
    return LearningCurve(
        np.unique(sizes),
        np.array([e.mean() for e in each]),
        np.array([e.std(ddof=1) if len(e) > 1 else math.nan for e in each]),
        np.array([len(e) for e in each]),
    )


def _good(point: Any) -> bool:
    if not isinstance(point, Mapping):
        return False
    size, error = point.get("size"), point.get("mae_wh")
    return (
        type(size) is int
        and size > 0
        and isinstance(error, (int, float))
        and not isinstance(error, bool)
        and math.isfinite(error)
    )


def _wrong(file: Path, value: Any) -> FormatError:
    return FormatError(
        "not a learning curve",
        path=file,
        value=value,
        expected="a list of objects with size and mae_wh",
        remedy="make it: ecnas surrogate learning-curve --data DIR --json > FILE",
    )
