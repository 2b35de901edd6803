"""Quality of modelled values: reports in the headers of tables, intervals, and scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import (
    ConfigError,
    FormatError,
    UnknownMetricError,
    check_numbers,
    floats,
)
from naslib_ecnas.files import from_json
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from naslib_ecnas.data.table import Table

__all__ = ["HEADINGS", "Z90", "Quality", "QualityLine", "Scores", "bounds", "kendall_tau", "scores"]

# -- reports ----

#: Headings of `Quality.rows`.
HEADINGS = ("target", "cells", "MAE", "MAPE %", "R2", "tau", "in 90 %")


@dataclass(frozen=True)
class QualityLine:
    """Quality of one modelled target, on trainings that were not used for the fit."""

    target: str
    about: str
    """How these trainings were held out."""
    unit: str
    scores: Mapping[str, float]
    """`cells`, `mae` (in the unit), `mape` (per cent), `r2`, `tau`, `bias` (median of predicted
    over true), `coverage` (share of true values within their 90 % intervals), without those that
    are unknown."""
    by_vertices: Mapping[str, Mapping[str, float]]
    """The same for the cells of each number of vertices."""
    anchor: str
    """Published results on the same target, with their source."""


@dataclass(frozen=True)
class Quality:
    """Quality of all modelled targets; printed as a table.

    Example:
        print(bench.quality)
        bench.quality["energy at 4 epochs"].scores["mape"]
    """

    lines: tuple[QualityLine, ...]

    @classmethod
    def of_headers(cls, headers: Iterable[Mapping[str, Any]]) -> Quality:
        """From `quality` and `anchors` in the headers of weights."""
        lines = []
        for header in headers:
            anchors = header.get("anchors") or {}
            for name, known in (header.get("quality") or {}).items():
                by_vertices = known.get("by_vertices") or {}
                line = QualityLine(
                    target=name,
                    about=str(known.get("about") or header.get("split") or ""),
                    unit=str(known.get("unit") or ""),
                    scores={k: float(v) for k, v in known.items() if _is_number(v)},
                    by_vertices={k: dict(v) for k, v in by_vertices.items()},
                    anchor=str(anchors.get(name) or ""),
                )
                lines.append(line)
        return cls(tuple(lines))

    @classmethod
    def of_table(cls, table: Table) -> Quality:
        """From the attributes of a modelled table.

        Raises:
            UnknownMetricError: the table has no report, such as a measured one.
            FormatError: the report cannot be read.
        """
        text = table.attributes.get("quality")
        if text is None:
            message = f"table {table.name} has no report of quality; the modelled 7v, 5v, 4v have"
            raise UnknownMetricError(message)
        try:
            return cls.of_headers(from_json(text))
        except (ValueError, AttributeError, TypeError) as error:
            message = "the report of quality must be a list of headers as JSON"
            raise FormatError(message, path=table.path) from error

    def __getitem__(self, target: str) -> QualityLine:
        for line in self.lines:
            if line.target == target:
                return line
        targets = ", ".join(line.target for line in self.lines)
        raise UnknownMetricError(f"a target must be one of {targets}", value=target)

    def __iter__(self) -> Iterator[QualityLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self, *, by_vertices: bool = False) -> list[tuple[str, ...]]:
        """Rows of a table under `HEADINGS`, as text."""
        out = []
        for line in self.lines:
            out.append((line.target, *_cells(line.scores, line.unit)))
            if by_vertices:
                for vertices, scores in sorted(line.by_vertices.items()):
                    out.append((f"  {vertices} vertices", *_cells(scores, line.unit)))
        return out

    def __str__(self) -> str:
        table = [HEADINGS, *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(HEADINGS))]
        text = [
            row[0].ljust(widths[0])
            + "".join(f"  {cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
            for row in table
        ]
        return "\n".join(line.rstrip() for line in text)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values."""
        return [asdict(line) for line in self.lines]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cells(scores: Mapping[str, Any], unit: str) -> tuple[str, ...]:
    def shown(name: str, form: str, after: str = "") -> str:
        value = scores.get(name)
        return f"{value:{form}}{after}" if _is_number(value) else "-"

    return (
        shown("cells", ",.0f"),
        shown("mae", ".3g", f" {unit}" if unit else ""),
        shown("mape", ".2f"),
        shown("r2", ".3f"),
        shown("tau", ".3f"),
        shown("coverage", ".3f"),
    )


# -- intervals ----

#: Half width of a 90 % interval of the normal distribution, in standard deviations. The standard
#: deviations of all models are scaled so that such intervals hold 90 % of the trainings.
Z90 = 1.645


def bounds(
    name: str, mean: ArrayLike, std: ArrayLike, coverage: float = 0.9
) -> NDArray[np.float64]:
    """(..., 2) lower and upper bounds of (...) means with (...) standard deviations.

    They are the bounds of a single training, or, for accuracies at 108 epochs, of the mean over
    three. Costs are positive and have relative errors, so their bounds are symmetric in the
    logarithm. Fractions are clipped to 0 and 1.

    Args:
        name: the metric.
        mean, std: in its unit.
        coverage: share of trainings between the bounds; the models are calibrated for 0.9.

    Raises:
        ConfigError: the coverage is not between 0 and 1.
        UnknownMetricError: no metric has this name.
    """
    check_numbers(above=0, below=1, coverage=coverage)
    z = Z90 if coverage == 0.9 else NormalDist().inv_cdf(0.5 + coverage / 2)
    m = floats(mean)
    s = floats(std)
    if metric(name).upper == 1.0:
        return np.clip(np.stack([m - z * s, m + z * s], axis=-1), 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.exp(z * np.where(m > 0, s / m, np.nan))
    return np.stack([m / factor, m * factor], axis=-1)


# -- scores of predictions ----


@dataclass(frozen=True)
class Scores:
    """Quality of predictions on cells that were not used for the fit."""

    cells: int
    mae: float
    """Mean absolute error, in the unit of the target."""
    mape: float
    """Mean absolute error relative to the true value, in per cent."""
    r2: float
    """Coefficient of determination."""
    tau: float
    """Kendall's tau-b."""
    bias: float
    """Median of predicted over true."""
    coverage: float | None = None
    """Share of true values within their 90 % intervals; None without intervals."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a header, without missing ones."""
        known = {k: v for k, v in asdict(self).items() if v is not None and math.isfinite(v)}
        return {k: round(v, 6) for k, v in known.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Scores:
        """The inverse of `to_json`."""
        return cls(**{**dict.fromkeys(("mae", "mape", "r2", "tau", "bias"), float("nan")), **data})


def scores(
    true: ArrayLike,
    predicted: ArrayLike,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
) -> Scores:
    """Scores of (n,) predictions against (n,) true values.

    Args:
        true, predicted: in one unit.
        lower, upper: (n,) bounds of 90 % intervals.

    Raises:
        ConfigError: they are not vectors of one length, or empty.
    """
    t, p = _paired(true, predicted)
    if not len(t):
        raise ConfigError("scores need at least one pair of values")
    error = np.abs(p - t)
    spread = float(((t - t.mean()) ** 2).sum())
    covered = None
    if lower is not None and upper is not None:
        covered = float(np.mean((t >= np.asarray(lower)) & (t <= np.asarray(upper))))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Scores(
            cells=len(t),
            mae=float(error.mean()),
            mape=float(100 * np.mean(error / np.abs(t))),
            r2=1 - float(((p - t) ** 2).sum()) / spread if spread else float("nan"),
            tau=kendall_tau(t, p),
            bias=float(np.median(p / t)),
            coverage=covered,
        )


def kendall_tau(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b of two (n,) vectors, in n log n; NaN if one of them is constant.

    Raises:
        ConfigError: they are not vectors of one length.
    """
    x, y = (np.unique(v, return_inverse=True)[1] for v in _paired(a, b))
    n = len(x)
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    tied_x, tied_y, tied_both = _ties(x), _ties(y), _ties(x * (n + 1) + y)
    pairs = n * (n - 1) // 2
    if tied_x == pairs or tied_y == pairs:
        return float("nan")
    discordant = _inversions(y)
    concordant_less_discordant = pairs - tied_x - tied_y + tied_both - 2 * discordant
    return float(concordant_less_discordant / np.sqrt(float(pairs - tied_x) * (pairs - tied_y)))


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, other = floats(a), floats(b)
    if one.ndim != 1 or one.shape != other.shape:
        shapes = (one.shape, other.shape)
        raise ConfigError("the values must be two vectors of one length", value=shapes)
    return one, other


def _ties(values: NDArray[Any]) -> int:
    count = np.unique(values, return_counts=True)[1].astype(np.int64)
    return int((count * (count - 1) // 2).sum())


def _inversions(values: NDArray[Any]) -> int:
    """Number of pairs in the wrong order, by merging blocks of doubling length."""
    y = np.asarray(values, dtype=np.int64)
    n, total, size = len(y), 0, 1
    top = int(y.max(initial=0)) + 1
    position = np.arange(n)
    while size < n:
        # Sort each pair of blocks; an element of the right block passes the larger ones of the
        # left block.
        pair, right = position // (2 * size), (position // size) % 2
        order = np.argsort((pair * top + y) * 2 + right, kind="stable")
        moved_right = right[order]
        left_so_far = np.cumsum(1 - moved_right)
        start = np.concatenate([[0], left_so_far])[np.minimum(pair * 2 * size, n)]
        left_in_pair = np.minimum((pair + 1) * 2 * size, n) - pair * 2 * size
        left_total = np.minimum(left_in_pair, size)
        passed = left_total - (left_so_far - start)
        total += int(passed[moved_right == 1].sum())
        y = y[order]
        size *= 2
    return total
