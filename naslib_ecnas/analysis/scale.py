"""The yardstick of a table: its objectives from best to worst, and a hypervolume of at most 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.analysis.anytime import anytime
from naslib_ecnas.analysis.costs import costs_of, normalised
from naslib_ecnas.analysis.hypervolume import hypervolume
from naslib_ecnas.checked import check_counts
from naslib_ecnas.errors import ConfigError
from naslib_ecnas.metrics import Metric, metric
from naslib_ecnas.nondominated import checked_points, complete, nondominated

__all__ = ["NADIR_MARGIN", "Reference", "Scale", "checkpoints", "costs_of", "normalised"]

#: What lies at 1: the table's worst values, those of its front and a margin, or given ones.
Reference = Literal["worst", "nadir"] | Sequence[float]

#: How far the reference "nadir" lies behind the true front's worst values, as a share of the
#: front's range. Without it the front's extremes would lie on the reference and count nothing.
NADIR_MARGIN = 0.1


@dataclass(frozen=True)
class Scale:
    """Ideal and reference point of a table at one budget, and the volume of its true front.

    Make it by `Scale.of`. Which reference it has decides what the hypervolume sees:

    - `"worst"`, the worst value of each objective in the table. Every cell counts, but most of
      a space lies far behind its front and one gross outlier widens the scale, so that searches
      of very different worth all come near 1: fit to show a run from its first cells on.
    - `"nadir"`, the true front's own worst value of each objective and a margin behind it. Only
      cells that come near the front count, none of the rest of the table has a say, and
      differences between good searches show: fit to compare methods.
    - numbers: fit to compare tables with one another.

    Two hypervolumes can be compared only if their scales are equal.
    """

    objectives: tuple[str, ...]
    ideal: tuple[float, ...]
    """Best value of each objective over the table, in the metric's unit."""
    reference: tuple[float, ...]
    """Value of each objective that becomes 1, in the metric's unit."""
    volume: float
    """Normalised hypervolume of the table's true front, 0 to 1, before it is made 1."""

    @classmethod
    def of(
        cls, values: ArrayLike, objectives: Sequence[str], *, reference: Reference = "worst"
    ) -> Scale:
        """The scale of a table.

        Args:
            values: (n, m) values of every cell, in the metrics' units. Cells with a NaN in any
                objective are left out.
            objectives: m names of metrics.
            reference: `"worst"`, `"nadir"` or m values in the metrics' units. In costs, nadir is
                worst + 0.1 (worst - best) over the true front (`NADIR_MARGIN`); an objective in
                which the whole front is equal takes the worst value in the table.

        Raises:
            ConfigError: no cell has all objectives, the shapes do not fit, or the reference is
                not worse than the best cell in every objective.
        """
        array = checked_points(values, what="the values")
        known = complete(array)
        if not known.any():
            raise ConfigError(
                "no cell has a value in every objective",
                value=tuple(objectives),
                expected="metrics that the table holds at this budget",
                remedy="choose other objectives or another budget",
            )
        if not known.all():
            array = array[known]
        front = array[nondominated(costs_of(array, objectives))]
        metrics = [metric(name) for name in objectives]
        ideal = tuple(m.best(c) for m, c in zip(metrics, front.T, strict=True))
        corner = _corner(reference, metrics, ideal, front, array)
        points = normalised(front, objectives, ideal, corner)
        volume = hypervolume(points, np.ones(len(objectives)))
        return cls(tuple(objectives), ideal, corner, volume)

    def costs(self, values: ArrayLike) -> NDArray[np.float64]:
        """(n, m) values in the metrics' units as costs from 0, the ideal, to 1, the reference."""
        return normalised(values, self.objectives, self.ideal, self.reference)

    def hypervolume(self, values: ArrayLike) -> float:
        """Hypervolume of some cells as a share of the true front's, so that one has exactly 1.

        Args:
            values: (n, m) values in the metrics' units; rows with a NaN, and those not better
                than the reference in every objective, add nothing.

        Returns:
            0 to 1 for cells of the table; NaN where the true front spans no volume at all, as
            when every cell on it is the worst in one objective.
        """
        if self.volume == 0:
            return float("nan")
        return hypervolume(self.costs(values), np.ones(len(self.objectives))) / self.volume

    def anytime(self, values: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
        """Hypervolume of the first evaluations of a run, for several numbers of them.

        Args:
            values: (n, m) values in the order of evaluation.
            counts: (k,) ascending numbers of evaluations, each at most n.

        Returns:
            (k,) float64, never falling.
        """
        array = checked_points(values, what="the values")
        numbers = np.asarray(counts)
        if numbers.size and (np.any(np.diff(numbers) < 0) or numbers[0] < 0):
            raise ConfigError(
                "the numbers of evaluations do not ascend",
                value=numbers.tolist(),
                expected="ascending numbers from 0",
                remedy="sort them",
            )
        return anytime(array, np.arange(1.0, len(array) + 1), numbers, self)


def checkpoints(evaluations: int, steps: int = 50) -> NDArray[np.int64]:
    """Numbers of evaluations at which to look at a run: geometric, from 1 to all of them.

    They depend on the length of the run alone, so that curves of one length can be averaged.

    Example:
        >>> checkpoints(100, steps=5).tolist()
        [1, 3, 10, 32, 100]

    Raises:
        ConfigError: one of the two is no whole number of at least 1.
    """
    check_counts(evaluations=evaluations, steps=steps)
    return np.unique(np.rint(np.geomspace(1, evaluations, steps)).astype(np.int64))


def _corner(
    reference: Reference,
    metrics: Sequence[Metric],
    ideal: tuple[float, ...],
    front: NDArray[np.float64],
    table: NDArray[np.float64],
) -> tuple[float, ...]:
    """The values of the reference point."""
    if isinstance(reference, str):
        if reference not in ("worst", "nadir"):
            raise ConfigError(
                "no such reference",
                value=reference,
                expected="'worst', 'nadir' or a value for each objective",
                remedy="'nadir' compares methods, 'worst' shows a run from its start",
            )
        worst = tuple(m.worst(c) for m, c in zip(metrics, table.T, strict=True))
        if reference == "worst":
            return worst
        nadir = [m.worst(c) for m, c in zip(metrics, front.T, strict=True)]
        return tuple(
            w if n == i else float(m.from_cost(m.cost(n) + NADIR_MARGIN * (m.cost(n) - m.cost(i))))
            for m, i, n, w in zip(metrics, ideal, nadir, worst, strict=True)
        )
    corner = tuple(float(value) for value in reference)
    if len(corner) != len(metrics) or not all(
        m.cost(r) > m.cost(i) for m, i, r in zip(metrics, ideal, corner, strict=True)
    ):
        raise ConfigError(
            "the reference is not worse than the best cell in every objective",
            value=corner,
            expected=", ".join(
                f"{m.name} worse than {i:g}" for m, i in zip(metrics, ideal, strict=True)
            ),
            remedy="give a value for each objective, in the metrics' units",
        )
    return corner
