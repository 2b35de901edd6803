"""Quality of modelled values: reports in the headers of tables, intervals, and scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.errors import ConfigError, FormatError, UnknownMetricError, check_numbers, floats
from naslib_ecnas.files import from_json, from_plain, to_plain
from naslib_ecnas.metrics import metric

if TYPE_CHECKING:
    from naslib_ecnas.data.table import Table

# -- reports ----

# Columns of the tables of a report: templates of scores, by headings.
_ERRORS = {
    "cells": "{cells:,.0f}",
    "MAE": "{mae:.3g} {unit}",
    "MAPE %": "{mape:.2f}",
    "R2": "{r2:.3f}",
    "tau": "{tau:.3f}",
    "in 50/90/99 %": "{within}",
}
_RANKS = {
    "cells": _ERRORS["cells"],
    "MAE": _ERRORS["MAE"],
    "too high": "{offset:+.2g}",
    "tau": _ERRORS["tau"],
    "overlap": "{overlap:.2f}",
    "in 50/90/99 %": _ERRORS["in 50/90/99 %"],
}
_COUNTS = {
    "cells": _ERRORS["cells"],
    "expected": "{expected:.4g} +- {expected_error:.2g}",
    "seen": "{seen:.4g}",
}
#: Headings of the errors of all targets.
HEADINGS = ("target", *_ERRORS)


@dataclass(frozen=True)
class QualityLine:
    """Quality of one modelled target, on trainings that were not used for the fit."""

    target: str
    about: str
    """How these trainings were held out, or that they were not."""
    unit: str
    scores: Mapping[str, float]
    """`cells`, `mae` (in the unit), `mape` (per cent), `r2`, `tau`, `bias` (median of predicted
    over true), `coverage_50`, `coverage` and `coverage_99` (shares of true values within their 50,
    90 and 99 % intervals), without those that are unknown. Where single trainings are counted or
    ordered: `cells`, `expected`, `expected_error` (its standard deviation) and `seen`."""
    by_vertices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same scores for the cells of each number of vertices."""
    anchor: str = ""
    """Published results on the same target, with their source."""
    by_rank: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same scores and those of `ranked_scores` for the cells of the lowest and the highest
    predictions."""


@dataclass(frozen=True)
class Quality:
    """Quality of all modelled targets; printed as a table.

    Examples:
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
        if isinstance(lines, list):  # some weights say nothing of ranks
            lines = [{"by_rank": {}, **v} if isinstance(v, dict) else v for v in lines]
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

    def tables(self, *, by_vertices: bool = False) -> list[list[tuple[str, ...]]]:
        """The report as text: tables, of which each has its headings first and at least one row.

        The first has the errors of all targets, the second those of the cells of the lowest and
        the highest predictions, and the third counts and orders of single trainings.
        """
        errors, ranks, counts = [], [], []
        for line in self.lines:
            if "seen" not in line.scores:
                errors.append((line.target, *_cells(_ERRORS, line.scores, line.unit)))
                for n, part in sorted(line.by_vertices.items()) if by_vertices else ():
                    errors.append((f"  {n} vertices", *_cells(_ERRORS, part, line.unit)))
            if line.by_rank:
                ranks.append((line.target, *[""] * len(_RANKS)))
                for name, part in line.by_rank.items():
                    ranks.append((f"  {name}", *_cells(_RANKS, part, line.unit)))
            if "seen" in line.scores:
                counts.append((line.target, *_cells(_COUNTS, line.scores, line.unit)))
        tables = (
            [HEADINGS, *errors],
            [("by prediction", *_RANKS), *ranks],
            [("single trainings", *_COUNTS), *counts],
        )
        return [table for table in tables if len(table) > 1]

    def __str__(self) -> str:
        return "\n\n".join(map(_aligned, self.tables() or [[HEADINGS]]))


def _cells(columns: Mapping[str, str], scores: Mapping[str, float], unit: str) -> Iterator[str]:
    """The scores as text, in the order of the columns; "-" for those that are unknown."""
    known = {**scores, "unit": unit, "within": "/".join(_shares(scores))}
    for template in columns.values():
        text = template.format_map(_Unknown(known)).strip()
        yield text if any(map(str.isdigit, text)) else "-"


def _shares(scores: Mapping[str, float]) -> Iterator[str]:
    for name, coverage in COVERAGES.items():
        # .52, .900 or 1.00: a point and so many digits, or as many digits.
        digits = 2 if coverage < 0.9 else 3
        known = name in scores
        yield f"{scores[name]:.{digits}f}".removeprefix("0")[: digits + 1] if known else "-"


class _Unknown(dict[str, Any]):
    """Formats what it lacks as "-"."""

    def __missing__(self, name: str) -> Any:
        return self

    def __format__(self, form: str) -> str:
        return "-"


def _aligned(table: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rows = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in table)
    return "\n".join("  ".join(row).rstrip() for row in rows)


# -- intervals ----

#: Half width of a 90 % interval in standard deviations, as for a normal distribution. The standard
#: deviations of all models are scaled so that such intervals hold 90 % of the trainings.
Z90 = 1.645

#: Degrees of freedom of Student's t distribution, scaled to the 90 % interval, that has the tails
#: of the errors on unseen trainings: of fractions, of seconds, and of energies and what follows
#: from them. 30 and more would be nearly normal.
_FREEDOM = {"": 10, "s": 5}
_ENERGY_FREEDOM = 4


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
    from scipy.special import stdtrit  # quantiles of Student's t

    freedom = _FREEDOM.get(metric(name).unit, _ENERGY_FREEDOM)
    z = Z90 * float(stdtrit(freedom, 0.5 + coverage / 2) / stdtrit(freedom, 0.95))
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
    coverage_50: float | None = None
    coverage_99: float | None = None
    """The same for 50 and 99 % intervals."""

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a header, without missing ones."""
        known = {k: v for k, v in asdict(self).items() if v is not None and math.isfinite(v)}
        return {k: round(v, 6) for k, v in known.items()}


def scores(true: ArrayLike, predicted: ArrayLike) -> Scores:
    """Scores of (n,) predictions against (n,) true values in the same unit, without intervals.

    Raises:
        ConfigError: they are not vectors of one length, empty, or a value is NaN.
    """
    tau = kendall_tau(true, predicted)  # which checks the shapes
    t, p = floats(true), floats(predicted)
    if not len(t):
        raise ConfigError("scores need at least one pair of values")
    error = np.abs(p - t)
    spread = float(((t - t.mean()) ** 2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        return Scores(
            cells=len(t),
            mae=float(error.mean()),
            mape=float(100 * np.mean(error / np.abs(t))),
            r2=1 - float(((p - t) ** 2).sum()) / spread if spread else math.nan,
            tau=tau,
            bias=float(np.median(p / t)),
        )


def _within(true: NDArray[np.float64], lower: ArrayLike, upper: ArrayLike) -> float:
    return float(np.mean((true >= np.asarray(lower)) & (true <= np.asarray(upper))))


#: Coverages of intervals, by the name of the score of each.
COVERAGES = {"coverage_50": 0.5, "coverage": 0.9, "coverage_99": 0.99}


def metric_scores(name: str, true: ArrayLike, predicted: ArrayLike, std: ArrayLike) -> Scores:
    """Scores of (n,) predictions of a metric, with the intervals of `bounds`.

    Args:
        name: the metric.
        true, predicted, std: in one unit; for costs it may be any.
    """
    half, most, nearly = (
        _within(floats(true), *bounds(name, predicted, std, coverage).T)
        for coverage in COVERAGES.values()
    )
    found = scores(true, predicted)
    return replace(found, coverage_50=half, coverage=most, coverage_99=nearly)


def log_scores(true: ArrayLike, predicted: ArrayLike, sd: ArrayLike) -> Scores:
    """Scores of energies whose intervals follow from deviations of log(true / predicted)."""
    mean = floats(predicted)
    return metric_scores("energy_kwh", true, mean, mean * floats(sd))


#: Parts of the cells in the order of their predictions: shares from below, or negative from above.
_PARTS = {"lowest 1 %": 0.01, "highest 5 %": -0.05, "highest 1 %": -0.01}

#: Fewer cells are no statistic.
LEAST_CELLS = 10


def ranked_scores(
    name: str, true: ArrayLike, predicted: ArrayLike, std: ArrayLike
) -> dict[str, dict[str, float]]:
    """Scores of the cells with the lowest 1 %, and the highest 5 and 1 % of the predictions.

    Beside the scores of `metric_scores` they are `offset`, the mean of predicted less true values,
    `offset_error`, its standard error, and `overlap`, the share of these cells that belong to the
    same part in the order of the true values. Parts of fewer than ten cells are left out.
    """
    arrays = tuple(map(floats, (true, predicted, std)))
    by_true, by_prediction = (np.argsort(values, kind="stable") for values in arrays[:2])
    found = {}
    for part, share in _PARTS.items():
        cells = round(abs(share) * len(by_true))
        where = slice(cells) if share > 0 else slice(-cells, None)
        if cells < LEAST_CELLS:
            continue
        chosen = by_prediction[where]
        off = arrays[1][chosen] - arrays[0][chosen]
        more = {
            "offset": off.mean(),
            "offset_error": off.std(ddof=1) / math.sqrt(cells),
            "overlap": np.isin(chosen, by_true[where]).mean(),
        }
        own = metric_scores(name, *(a[chosen] for a in arrays)).to_json()
        found[part] = own | {key: round(float(value), 6) for key, value in more.items()}
    return found


def kendall_tau(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b of two (n,) vectors; NaN if one of them is constant.

    Raises:
        ConfigError: they are not vectors of one length, or a value is NaN.
    """
    one, other = floats(a), floats(b)
    if one.ndim != 1 or one.shape != other.shape:
        shapes = (one.shape, other.shape)
        raise ConfigError("the values must be two vectors of one length", value=shapes)
    if np.isnan(one).any() or np.isnan(other).any():
        raise ConfigError("the values must be known, not NaN", value=(a, b))
    from scipy.stats import kendalltau  # takes half a second, which only scores need

    return float(kendalltau(one, other).statistic) if len(one) > 1 else math.nan
