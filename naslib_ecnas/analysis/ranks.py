"""Scores of methods paired by table and seed, and the methods' ranks over them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError

__all__ = ["PairedScores", "mean_ranks"]


@dataclass(frozen=True, eq=False)
class PairedScores:
    """One score of each method in each block. A block is what makes runs comparable.

    As a rule that is a table, a budget and a seed: all methods start from the same conditions
    there, and no score says anything beside one from another block. Make it by
    `PairedScores.of`, which refuses what is not paired.
    """

    methods: tuple[str, ...]
    blocks: tuple[Hashable, ...]
    scores: NDArray[np.float64]
    """(b, m) score of each method in each block."""
    maximise: bool
    """Whether more is better, as of a hypervolume, or less, as of IGD+."""

    @classmethod
    def of(cls, scores: Mapping[str, Mapping[Hashable, float]], *, maximise: bool) -> PairedScores:
        """The scores of a comparison.

        Args:
            scores: of each method its score in each block, such as
                `{"semoa": {("7v", 0): 0.97, ("7v", 1): 0.98}, "random": {...}}`. Blocks stand in
                the order of the first method's.
            maximise: whether more is better.

        Raises:
            ConfigError: fewer than two methods, no block, or a block in which a method has no
                finite score; `value` names each of these as `"method in block"`.
        """
        methods = tuple(scores)
        blocks = tuple(dict.fromkeys(block for of in scores.values() for block in of))
        if len(methods) < 2 or not blocks:
            raise ConfigError(
                "nothing to compare",
                value=f"{len(methods)} methods in {len(blocks)} blocks",
                expected="at least two methods and one block",
                remedy="run two methods with the same tables and seeds",
            )
        table = np.array(
            [[scores[m].get(block, np.nan) for m in methods] for block in blocks], dtype=np.float64
        )
        missing = [f"{methods[m]} in {blocks[b]}" for b, m in np.argwhere(~np.isfinite(table))]
        if missing:
            raise ConfigError(
                f"the methods are not paired: {len(missing)} of {table.size} scores are missing",
                value=missing,
                expected="a finite score of every method in every block",
                remedy="make these runs, or leave their blocks out for all methods",
            )
        return cls(methods, blocks, table, bool(maximise))

    @property
    def ranks(self) -> NDArray[np.float64]:
        """(b, m) rank of each method within its block, 1 the best; equal scores share the mean."""
        here, others = self.scores[:, :, np.newaxis], self.scores[:, np.newaxis, :]
        better = others > here if self.maximise else others < here
        # Each method is equal to itself, which is not a tie.
        ties = (others == here).sum(axis=2) - 1
        return np.asarray(1.0 + better.sum(axis=2) + ties / 2, dtype=np.float64)

    def column(self, method: str) -> NDArray[np.float64]:
        """(b,) scores of one method.

        Raises:
            ConfigError: there is no such method.
        """
        if method not in self.methods:
            raise ConfigError(
                "no scores of this method",
                value=method,
                expected="one of " + ", ".join(self.methods),
                remedy="name a method that was compared",
            )
        return self.scores[:, self.methods.index(method)]


def mean_ranks(scores: PairedScores) -> dict[str, float]:
    """Mean rank of each method over the blocks, the best method first.

    1 is the best rank in every block, the number of methods the worst; equal means stand in the
    order of the methods.

    Example:
        >>> paired = PairedScores.of(
        ...     {"a": {0: 0.9, 1: 0.8}, "b": {0: 0.7, 1: 0.8}}, maximise=True
        ... )
        >>> mean_ranks(paired)
        {'a': 1.25, 'b': 1.75}
    """
    means = scores.ranks.mean(axis=0)
    order = np.argsort(means, kind="stable")
    return {scores.methods[i]: float(means[i]) for i in order}
