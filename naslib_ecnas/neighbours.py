"""Cells one edge or one operation apart, whatever way they are drawn.

Adding an edge can bring in a vertex that no path used before, so a small cell has as many
neighbours as there are ways to hang unused vertices to it: 52,602 for the smallest. Growth is
therefore held to one vertex at a time; shrinking goes as far as pruning takes it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.structures import (
    EDGES,
    MAX_VERTICES,
    drawings,
    slot_maps,
    structures,
)

__all__ = ["neighbours"]

_SLOTS = MAX_VERTICES - 2
#: In a step, a slot whose operation was free before: its vertex was on no path.
_FREE = _SLOTS


def neighbours(row: int, vertices: int) -> NDArray[np.int32]:
    """(n,) sorted neighbours of a row among the cells of up to `vertices` vertices."""
    table = structures()
    structure = int(table.row_structure[row])
    slots = int(table.vertices[structure]) - 2
    first = int(table.first[structure])
    class_of = table.row_of[first : first + 3**slots]
    # Automorphisms give one cell several labellings; an edge may suit any of them.
    labellings = np.flatnonzero(class_of == row)
    digits = labellings[:, None] // 3 ** np.arange(slots - 1, -1, -1) % 3

    found = []
    for slot in range(slots):
        weight = 3 ** (slots - 1 - slot)
        for change in (1, 2):
            turned = (digits[0, slot] + change) % 3
            found.append(class_of[labellings[0] + (turned - digits[0, slot]) * weight])
    by_edge = [_after(digits, target, sources) for target, sources in _steps(structure, vertices)]
    every = np.concatenate([np.array(found, dtype=np.int32), *by_edge])
    distinct: NDArray[np.int32] = np.unique(every[every != row])
    return distinct


def _after(digits: NDArray[np.int64], target: int, sources: tuple[int, ...]) -> NDArray[np.int32]:
    """Rows of a target structure whose slots take the operations of `sources`."""
    table = structures()
    numbers = np.zeros(len(digits), dtype=np.int64)
    for source in sources:
        if source == _FREE:
            numbers = (numbers.reshape(-1, 1) * 3 + np.arange(3)).ravel()
        else:
            copies = len(numbers) // len(digits)
            numbers = numbers * 3 + np.repeat(digits[:, source], copies)
    rows: NDArray[np.int32] = table.row_of[int(table.first[target]) + numbers]
    return rows


@lru_cache(maxsize=4096)
def _steps(structure: int, vertices: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """What flipping one edge of any drawing of a structure leads to.

    Returns:
        Distinct pairs of the structure reached and, for each of its slots, the slot of the
        first structure that the vertex was, or `_FREE`.
    """
    raw = drawings()
    order, start = _drawings_by_structure(vertices)
    codes = order[start[structure] : start[structure + 1]]
    codes = codes[_loose_vertices(codes) <= 1]
    maps = _sources()[raw.slot_map[codes]]
    size = structures().vertices
    reached: set[tuple[int, ...]] = set()
    for bit, (i, j) in enumerate(EDGES):
        if not _within(vertices, i, j):
            continue
        flipped = codes ^ (1 << bit)
        target = raw.structure[flipped]
        ok = (target >= 0) & (size[target] <= size[structure] + 1)
        # Raw slot of each slot of the target, then the old slot that sat there.
        after = _padded_maps()[raw.slot_map[flipped[ok]]]
        sources = np.take_along_axis(maps[ok], after, axis=1)
        joined = np.column_stack([target[ok], sources])
        reached.update(map(tuple, np.unique(joined, axis=0).tolist()))
    return tuple(sorted({(t, tuple(s[: int(size[t]) - 2])) for t, *s in reached}))


def _loose_vertices(codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n,) interior vertices that have an edge but lie on no path."""
    live = (_sources()[drawings().slot_map[codes]][:, :_SLOTS] != _FREE).astype(np.int64)
    count = np.zeros(len(codes), dtype=np.int64)
    for slot in range(_SLOTS):
        edges = sum(1 << b for b, edge in enumerate(EDGES) if slot + 1 in edge)
        count += ((codes & edges) != 0) & (live[:, slot] == 0)
    return count


def _within(vertices: int, i: int, j: int) -> bool:
    return all(v < vertices - 1 or v == MAX_VERTICES - 1 for v in (i, j))


@lru_cache(maxsize=MAX_VERTICES)
def _drawings_by_structure(vertices: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Codes within the first V vertices sorted by structure, and where each structure starts."""
    structure = drawings().structure
    outside = sum(1 << b for b, (i, j) in enumerate(EDGES) if not _within(vertices, i, j))
    codes = np.arange(len(structure), dtype=np.int32)
    codes = codes[(codes & outside == 0) & (structure >= 0)]
    order = codes[np.argsort(structure[codes], kind="stable")]
    bounds = np.arange(len(structures().code) + 1)
    return order, np.searchsorted(structure[order], bounds)


@lru_cache(maxsize=1)
def _padded_maps() -> NDArray[np.int64]:
    """(n_maps, 5) raw slot of each slot; 5, a slot that is never used, past the last."""
    return np.array([[*m, *[_SLOTS] * (_SLOTS - len(m))] for m in slot_maps()], dtype=np.int64)


@lru_cache(maxsize=1)
def _sources() -> NDArray[np.int64]:
    """(n_maps, 6) slot that sits at each raw slot, `_FREE` where none does."""
    out = np.full((len(slot_maps()), _SLOTS + 1), _FREE, dtype=np.int64)
    for index, mapping in enumerate(slot_maps()):
        for slot, raw in enumerate(mapping):
            out[index, raw] = slot
    return out
