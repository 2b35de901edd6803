"""What a search found, what it evaluated on the way and what that cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.analysis import (
    Scale,
    checkpoints,
    costs_of,
    extremes,
    knee,
    nondominated,
)
from naslib_ecnas.benchmark import Spent
from naslib_ecnas.provenance import Provenance

__all__ = ["SearchConfig", "SearchResult"]


@dataclass(frozen=True)
class SearchConfig:
    """All that decides a run: the same one gives the same run, bit for bit."""

    method: str
    paper: bool
    table: str
    checksum: str
    """SHA-256 that names the table's content."""
    vertices: int
    objectives: tuple[str, ...]
    epochs: int
    """Training budget of every evaluation."""
    evaluations: int
    seed: int
    provenance: Mapping[str, Provenance]
    """Origin of each objective's values."""
    versions: Mapping[str, str]
    """Of this package and of what its numbers pass through."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A finished search. Evaluations are counted from 0, in the order they were made."""

    config: SearchConfig
    rows: NDArray[np.int32]
    """(n,) row of each evaluation; a cell that was asked for again is there again."""
    values: NDArray[np.float64]
    """(n, m) objectives of each evaluation, in the metrics' units."""
    details: Mapping[str, NDArray[np.float64]]
    """(n,) further metrics of each evaluation, those of them that the table holds."""
    cumulative: Mapping[str, NDArray[np.float64]]
    """(n,) what was spent up to and with each evaluation, by the names of `Spent`."""
    spent: Spent
    """What the trainings of all evaluations would have cost."""
    scale: Scale
    """The yardstick of the table at this budget."""
    front: NDArray[np.int64]
    """(k,) evaluations on the front that was found, from the best to the worst in the first
    objective; each point of objective space once, at its first evaluation."""
    knee: int
    """Evaluation of the front's knee (r_k)."""
    extremes: tuple[int, ...]
    """Evaluation of the best cell in each objective (r_0, r_1, ...)."""
    hypervolume: float
    """Share of the table's true hypervolume, 0 to 1."""
    anytime_counts: NDArray[np.int64]
    """(c,) numbers of evaluations."""
    anytime_hypervolume: NDArray[np.float64]
    """(c,) hypervolume after so many evaluations."""

    @property
    def front_rows(self) -> NDArray[np.int32]:
        """(k,) rows on the front that was found."""
        return self.rows[self.front]

    @property
    def front_values(self) -> NDArray[np.float64]:
        """(k, m) objectives on the front that was found, in the metrics' units."""
        return self.values[self.front]

    @classmethod
    def of(
        cls,
        config: SearchConfig,
        *,
        rows: NDArray[np.int32],
        values: NDArray[np.float64],
        details: Mapping[str, NDArray[np.float64]],
        cumulative: Mapping[str, NDArray[np.float64]],
        spent: Spent,
        scale: Scale,
    ) -> SearchResult:
        """The result of a history: front, knee, extremes and hypervolume are derived from it."""
        costs = costs_of(values, config.objectives)
        front = np.flatnonzero(nondominated(costs))
        front = front[np.lexsort(costs[front].T[::-1])]
        best = values[front]
        counts = checkpoints(len(rows))
        return cls(
            config=config,
            rows=rows,
            values=values,
            details=details,
            cumulative=cumulative,
            spent=spent,
            scale=scale,
            front=front,
            knee=int(front[knee(best, config.objectives)]),
            extremes=tuple(int(front[i]) for i in extremes(best, config.objectives)),
            hypervolume=scale.hypervolume(best),
            anytime_counts=counts,
            anytime_hypervolume=scale.anytime(values, counts),
        )
