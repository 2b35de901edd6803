"""What a search found, what it evaluated on the way and what that cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
from naslib_ecnas.errors import ConfigError
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
    """The run's own training budget: evaluations at it make the front."""
    evaluations: int
    """How many were made and charged."""
    seed: int
    provenance: Mapping[str, Provenance]
    """Origin of each objective's values."""
    versions: Mapping[str, str]
    """Of this package and of what its numbers pass through."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """What the run was allowed to spend, by the names of `Spent`."""
    charge_repeats: bool = True
    """Whether a cell that came again was charged again."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Settings of the method that are not its defaults."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A finished search. Evaluations are counted from 0, in the order they were made.

    Only evaluations at the run's own budget enter the front, the hypervolume, the knee, the
    extremes and the anytime curve; those at smaller budgets are charged, and that is all. A run
    that ended before its first evaluation at its own budget has an empty front.
    """

    config: SearchConfig
    rows: NDArray[np.int32]
    """(n,) row of each evaluation; a cell that was evaluated again is there again."""
    epochs: NDArray[np.int64]
    """(n,) budget of each evaluation."""
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
    hypervolume: float
    """Share of the table's true hypervolume, 0 to 1."""
    anytime_counts: NDArray[np.int64]
    """(c,) numbers of evaluations."""
    anytime_hypervolume: NDArray[np.float64]
    """(c,) hypervolume after so many evaluations."""
    skipped: int = 0
    """Proposals of a paper setting that were no cell, or not in the table: not evaluated, not
    charged."""
    answered: int = 0
    """Cells that came again and were answered without a charge (`charge_repeats` off)."""
    ended_by: str = "evaluations"
    """The quantity whose limit ended the run, by the names of `Spent`, or `repeats`."""

    @property
    def knee(self) -> int:
        """Evaluation of the front's knee (r_k).

        Raises:
            ConfigError: the front is empty.
        """
        self._need_a_front()
        return int(self.front[knee(self.front_values, self.config.objectives)])

    @property
    def extremes(self) -> tuple[int, ...]:
        """Evaluation of the best cell in each objective (r_0, r_1, ...).

        Raises:
            ConfigError: the front is empty.
        """
        self._need_a_front()
        found = extremes(self.front_values, self.config.objectives)
        return tuple(int(self.front[i]) for i in found)

    def _need_a_front(self) -> None:
        if not len(self.front):
            raise ConfigError(
                f"the search ended before its first evaluation at {self.config.epochs} epochs",
                value=f"{len(self.rows)} evaluations at smaller budgets",
                expected="a front with a knee and extremes",
                remedy="let the search spend more",
            )

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
        epochs: NDArray[np.int64] | None = None,
        skipped: int = 0,
        answered: int = 0,
        ended_by: str = "evaluations",
    ) -> SearchResult:
        """The result of a history: front and hypervolume are derived from it.

        Args:
            epochs: (n,) budget of each evaluation; the run's own where left out.
        """
        each = np.full(len(rows), config.epochs) if epochs is None else np.asarray(epochs)
        # What is not at the run's own budget is not known there: NaN is on no front.
        own = np.where((each == config.epochs)[:, None], values, np.nan)
        costs = costs_of(own, config.objectives)
        front = np.flatnonzero(nondominated(costs))
        front = front[np.lexsort(costs[front].T[::-1])]
        counts = checkpoints(len(rows))
        return cls(
            config=config,
            rows=rows,
            epochs=each.astype(np.int64),
            values=values,
            details=details,
            cumulative=cumulative,
            spent=spent,
            scale=scale,
            front=front,
            hypervolume=scale.hypervolume(own[front]),
            anytime_counts=counts,
            anytime_hypervolume=scale.anytime(own, counts),
            skipped=skipped,
            answered=answered,
            ended_by=ended_by,
        )
