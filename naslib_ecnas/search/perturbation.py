"""The perturbation of EC-NAS's algorithm 1 for searches: many tries at once, the first good one.

`Space.mutate` draws the same distribution, but goes on until the last of its rows is a cell, which
for the few parents of one generation costs more than all the rest of a search. Here every parent
gets a block of tries, and the placement of each structure among the V vertices is looked up.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.space import Space
from naslib_ecnas.structures import (
    EDGES,
    MAX_VERTICES,
    drawings,
    moved,
    slot_map_labels,
    structures,
)

__all__ = ["classified", "perturb", "tries"]

_OUTPUT = MAX_VERTICES - 1
_SLOTS = MAX_VERTICES - 2
# Two tries in three give another cell of seven vertices, but few do from the smallest cells.
_TRIES, _ROUNDS = 16, 40


def perturb(
    space: Space,
    parents: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    allowed: NDArray[np.bool_],
    edge_changes: float = 2.0,
    op_changes: float = 0.5,
) -> NDArray[np.int32]:
    """One changed, valid and allowed cell for each parent, distributed as by `Space.mutate`.

    Args:
        space: the space.
        parents: (n,) rows of it.
        rng: source of randomness.
        allowed: (n_cells,) mask of what may come out.
        edge_changes: expected number of flipped edges in a try.
        op_changes: expected number of changed operations in a try.

    Returns:
        (n,) int32 rows, none equal to its parent; -1 where some 600 tries were in vain.

    Raises:
        ConfigError: rates that change nothing.
    """
    if not (0 <= edge_changes < np.inf and 0 <= op_changes < np.inf and edge_changes + op_changes):
        raise ConfigError(
            "a perturbation that changes nothing",
            value=(edge_changes, op_changes),
            expected="two rates of at least 0, not both 0",
            remedy="the paper has 2 edges and 0.5 operations",
        )
    children = np.full(len(parents), -1, dtype=np.int32)
    left = np.arange(len(parents))
    for _ in range(_ROUNDS):
        if not len(left):
            break
        from_ = np.repeat(parents[left], _TRIES)
        found = tries(space, from_, rng, edge_changes=edge_changes, op_changes=op_changes)
        good = (found >= 0) & (found != from_) & allowed[found]
        good = good.reshape(len(left), _TRIES)
        first = good.argmax(axis=1)
        hit = good[np.arange(len(left)), first]
        children[left[hit]] = found.reshape(len(left), _TRIES)[hit, first[hit]]
        left = left[~hit]
    return children


def tries(
    space: Space,
    parents: NDArray[np.int32],
    rng: np.random.Generator,
    *,
    edge_changes: float,
    op_changes: float,
) -> NDArray[np.int32]:
    """One try for each parent: (n,) int32 rows, -1 where it is no cell, the parent where nothing
    changed.

    A parent is laid out at random among the V vertices, its unused vertices with random
    operations; then each possible edge is flipped and each interior vertex given another operation
    with the probabilities that give the expected numbers of changes.
    """
    table, places = structures(), _places(space.vertices)
    n, slots = len(parents), space.vertices - 2
    structure = table.row_structure[parents]
    used = table.vertices[structure].astype(np.intp) - 2
    pick = (rng.random(n) * places.count[used]).astype(np.intp)
    subset = places.subsets[used, pick]
    codes = places.codes[structure, subset]
    codes = codes ^ (
        (rng.random((n, len(places.bits))) < _rate(edge_changes, places)) @ places.bits
    )
    if not slots:
        return classified(space, codes, np.zeros((n, 0), dtype=np.intp))
    own = places.digits[used[:, None], table.row_ops[parents][:, None], places.ranks[subset]]
    labels = np.where(own < 0, rng.integers(0, 3, (n, slots)), own)
    # 1 or 2 further on in the circle of three operations is another one.
    change = (rng.random((n, slots)) < min(1.0, op_changes / slots)) * rng.integers(
        1, 3, (n, slots)
    )
    return classified(space, codes, (labels + change) % 3)


def _rate(edge_changes: float, places: _Places) -> float:
    return min(1.0, edge_changes / len(places.bits))


def classified(
    space: Space, codes: NDArray[np.int32], labels: NDArray[np.integer]
) -> NDArray[np.int32]:
    """(n,) rows of (n,) codes with (n, V - 2) labels, -1 where there is no cell of the space."""
    table, raw = structures(), drawings()
    weights = 3 ** np.arange(_SLOTS - 1, _SLOTS - 1 - labels.shape[1], -1, dtype=np.intp)
    structure = raw.structure[codes]
    labelling = slot_map_labels()[raw.slot_map[codes], labels @ weights]
    rows: NDArray[np.int32] = table.row_of[table.first[structure] + labelling]
    rows[(structure < 0) | (rows >= len(space))] = -1
    return rows


class _Places:
    """Where a structure can lie among the V vertices of a space.

    Attributes:
        codes: (n_structures, 2**slots) code with its interior vertices at the slots of a subset.
        subsets: (slots + 1, ...) the subsets of each size, padded; `count` says how many.
        ranks: (2**slots, slots) which of the subset's slots each slot is, -1 outside.
        digits: (slots + 1, 243, slots + 1) the operations of a labelling; -1 in the last column,
            which rank -1 reads.
        bits: (edges,) the bit of each possible edge.
    """

    def __init__(self, vertices: int) -> None:
        table, slots = structures(), vertices - 2
        used = table.vertices.astype(np.intp) - 2
        sizes = [bin(s).count("1") for s in range(1 << slots)]
        self.count = np.bincount(sizes, minlength=_SLOTS + 1)
        self.subsets = np.zeros((_SLOTS + 1, max(self.count)), dtype=np.intp)
        self.codes = np.zeros((len(table.code), 1 << slots), dtype=np.int32)
        self.ranks = np.full((1 << slots, slots), -1, dtype=np.intp)
        for size in range(slots + 1):
            self.subsets[size, : self.count[size]] = [s for s, k in enumerate(sizes) if k == size]
        for subset, size in enumerate(sizes):
            kept = [s for s in range(slots) if subset >> s & 1]
            self.ranks[subset, kept] = np.arange(size)
            fits = used == size
            target = {a + 1: b + 1 for a, b in enumerate(kept)}
            self.codes[fits, subset] = moved(table.code[fits], target)
        self.digits = np.full((_SLOTS + 1, 3**_SLOTS, _SLOTS + 1), -1, dtype=np.int8)
        for size in range(_SLOTS + 1):
            for a in range(size):
                number = np.arange(3**_SLOTS)
                self.digits[size, :, a] = number // 3 ** (size - 1 - a) % 3
        inside = {*range(vertices - 1), _OUTPUT}
        edges = [b for b, (i, j) in enumerate(EDGES) if i in inside and j in inside]
        self.bits = 1 << np.array(edges, dtype=np.int32)


@lru_cache(maxsize=MAX_VERTICES)
def _places(vertices: int) -> _Places:
    return _Places(vertices)
