"""Quality of modelled values: reports in the headers of tables, intervals, and scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, FormatError, UnknownMetricError, check_numbers, floats
from naslib_ecnas.files import from_json, from_plain, to_plain
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from naslib_ecnas.data.table import Table

# -- reports ----

# The scores that are shown, by headings, with their formats.
_SHOWN = {
    "cells": ("cells", ",.0f"),
    "MAE": ("mae", ".3g"),
    "MAPE %": ("mape", ".2f"),
    "R2": ("r2", ".3f"),
    "tau": ("tau", ".3f"),
    "in 90 %": ("coverage", ".3f"),
}
#: Headings of `Quality.rows`.
HEADINGS = ("target", *_SHOWN)


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
    by_vertices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same scores for the cells of each number of vertices."""
    anchor: str = ""
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
    def of_table(cls, table: Table) -> Quality:
        """The report in the attributes of a modelled table.

        Raises:
            UnknownMetricError: the table has no report, such as a measured one.
            FormatError: the report cannot be read.
        """
        text = table.attributes.get("quality")
        if text is None:
            message = f"table {table.name} has no report of quality; the modelled 7v, 5v, 4v have"
            raise UnknownMetricError(message)
        try:
            return cls.from_json(from_json(text))
        except ValueError as error:
            message = f"the report of quality cannot be read ({error})"
            raise FormatError(message, path=table.path) from error

    @classmethod
    def from_json(cls, lines: Any) -> Quality:
        """The inverse of `to_json`.

        Raises:
            FormatError: a value is missing or has another type.
        """
        return from_plain(cls, {"lines": lines})

    def to_json(self) -> Any:
        """A list of plain values, as headers of weights and tables keep it."""
        return to_plain(self.lines)

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
            parts = sorted(line.by_vertices.items()) if by_vertices else []
            named = [(line.target, line.scores), *((f"  {n} vertices", part) for n, part in parts)]
            out += [(name, *_cells(scores, line.unit)) for name, scores in named]
        return out

    def __str__(self) -> str:
        table = [HEADINGS, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join(
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in table
        )


def _cells(scores: Mapping[str, float], unit: str) -> Iterator[str]:
    for name, form in _SHOWN.values():
        text = f"{scores[name]:{form}}" if name in scores else "-"
        yield f"{text} {unit}" if unit and name == "mae" and name in scores else text


# -- intervals ----

#: Half width of a 90 % interval in standard deviations, as for a normal distribution. The standard
#: deviations of all models are scaled so that such intervals hold 90 % of the trainings.
Z90 = 1.645

#: Degrees of freedom of Student's t distribution, scaled to the 90 % interval, that has the tails
#: of the errors on unseen trainings: of fractions, of seconds, and of energies and what follows
#: from them. 30 and more would be nearly normal.
_FREEDOM = {"": 10, "s": 5}
_ENERGY_FREEDOM = 3


def t_quantile(freedom: int, probability: float) -> float:
    """Quantile of Student's t distribution with two or more degrees of freedom, above the median.

    The distribution function is the one of Abramowitz and Stegun, Handbook of Mathematical
    Functions, eq. 26.7.3 and 26.7.4, in the angle arctan(t / sqrt(freedom)), which is bisected.
    """
    odd = freedom % 2

    def within(angle: float) -> float:
        """Probability between -t and t."""
        sine, cosine = math.sin(angle), math.cos(angle)
        term = total = sine * cosine**odd
        for k in range(1 + odd, freedom - 1, 2):
            term *= k / (k + 1) * cosine**2
            total += term
        return (angle + total) * 2 / math.pi if odd else total

    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < 2 * probability - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def bounds(
    name: str, mean: ArrayLike, std: ArrayLike, coverage: float = 0.9
) -> NDArray[np.float64]:
    """(..., 2) lower and upper bounds of (...) means with (...) standard deviations.

    They are the bounds of a single training, or, for accuracies at 108 epochs, of the mean over
    three. Costs are positive and have relative errors, so their bounds are symmetric in the
    logarithm. Fractions are clipped to 0 and 1. Errors have heavier tails than a normal
    distribution, the ones of energy most: a 50 % interval of energy is narrower, and a 99 % one
    wider, than its 90 % interval would suggest.

    Args:
        name: the metric.
        mean, std: in its unit.
        coverage: share of trainings between the bounds.

    Raises:
        ConfigError: the coverage is not between 0 and 1.
        UnknownMetricError: no metric has this name.
    """
    check_numbers(above=0, below=1, coverage=coverage)
    freedom = _FREEDOM.get(metric(name).unit, _ENERGY_FREEDOM)
    z = Z90 * t_quantile(freedom, 0.5 + coverage / 2) / t_quantile(freedom, 0.95)
    m, s = floats(mean), floats(std)
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
    tau = kendall_tau(true, predicted)  # which checks the shapes
    t, p = floats(true), floats(predicted)
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
            r2=1 - float(((p - t) ** 2).sum()) / spread if spread else math.nan,
            tau=tau,
            bias=float(np.median(p / t)),
            coverage=covered,
        )


def log_scores(true: ArrayLike, predicted: ArrayLike, sd: ArrayLike) -> Scores:
    """Scores whose intervals follow from standard deviations of log(true / predicted)."""
    mean, factor = floats(predicted), np.exp(Z90 * floats(sd))
    return scores(true, mean, mean / factor, mean * factor)


def kendall_tau(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b of two (n,) vectors, in n log n; NaN if one of them is constant.

    Raises:
        ConfigError: they are not vectors of one length.
    """
    one, other = floats(a), floats(b)
    if one.ndim != 1 or one.shape != other.shape:
        shapes = (one.shape, other.shape)
        raise ConfigError("the values must be two vectors of one length", value=shapes)
    x, y = (np.unique(v, return_inverse=True)[1].astype(np.int64) for v in (one, other))
    n = len(x)
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    tied_x, tied_y, tied_both = _ties(x), _ties(y), _ties(x * (n + 1) + y)
    pairs = n * (n - 1) // 2
    if tied_x == pairs or tied_y == pairs:
        return math.nan
    surplus = pairs - tied_x - tied_y + tied_both - 2 * _inversions(y)
    return float(surplus / np.sqrt(float(pairs - tied_x) * (pairs - tied_y)))


def _ties(values: NDArray[np.int64]) -> int:
    count = np.unique(values, return_counts=True)[1]
    return int((count * (count - 1) // 2).sum())


def _inversions(values: NDArray[np.int64]) -> int:
    """Number of pairs in the wrong order, by the highest bit in which their values differ."""
    y, total = values, 0
    for bit in reversed(range(int(y.max(initial=0)).bit_length())):
        y = y[np.argsort(y >> bit + 1, kind="stable")]
        group, one = y >> bit + 1, y >> bit & 1
        ones_before = np.cumsum(one) - one
        in_group = ones_before - ones_before[np.searchsorted(group, group)]
        total += int(in_group[one == 0].sum())
    return total
