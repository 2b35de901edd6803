"""From raw matrices and operations to rows: packed into numbers, then looked up."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.errors import InvalidCellError
from naslib_ecnas.packing import codes_of, labels_of
from naslib_ecnas.structures import (
    MAX_VERTICES,
    drawings,
    slot_map_labels,
    slot_maps,
    structures,
)

__all__ = ["classified", "number_of", "packed"]

_SLOTS = MAX_VERTICES - 2
_CHUNK = 1 << 16


def packed(
    matrices: NDArray[Any], ops: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Codes (-1 where not a binary upper-triangular matrix) and packed labels of five slots."""
    v = matrices.shape[-1] if matrices.ndim == 3 else 0
    if matrices.ndim != 3 or matrices.shape[1] != v or not 2 <= v <= MAX_VERTICES:
        raise InvalidCellError(
            "the matrices are not a stack of square ones",
            rule="not-square",
            value=matrices.shape,
            expected=f"shape (n, v, v) with 2 <= v <= {MAX_VERTICES}",
            remedy="use Cell for a single or larger matrix",
        )
    if ops.shape != (len(matrices), v - 2):
        raise InvalidCellError(
            "the operations do not fit the matrices",
            rule="operation-count",
            value=ops.shape,
            expected=f"shape ({len(matrices)}, {v - 2}), interior vertices only",
            remedy="leave the input and the output out",
        )
    codes = np.empty(len(matrices), dtype=np.int32)
    for start in range(0, len(matrices), _CHUNK):
        part = slice(start, start + _CHUNK)
        codes[part] = codes_of(matrices[part])
    labels = labels_of(ops)
    wrong = ((labels < 0) | (labels > 2)).any(axis=1) if v > 2 else np.zeros(len(ops), bool)
    if wrong.any():
        # An unknown operation counts only where pruning leaves it, as in NAS-Bench-101.
        codes[wrong] = _without_wrong(codes[wrong], labels[wrong])
        labels = np.where((labels < 0) | (labels > 2), 0, labels)
    return codes, number_of(labels)


def _without_wrong(codes: NDArray[np.int32], labels: NDArray[np.int64]) -> NDArray[np.int32]:
    table = drawings()
    maps = _live_slots()[table.slot_map[np.maximum(codes, 0)]]
    wrong = (labels < 0) | (labels > 2)
    live = (maps[:, None] >> np.arange(labels.shape[1])) & 1 != 0
    return np.where((wrong & live).any(axis=1), -1, codes)


def number_of(labels: NDArray[Any]) -> NDArray[np.int16]:
    """(n,) labels of up to five slots as one number in base 3, the missing slots 0."""
    number = np.zeros(len(labels), dtype=np.int16)
    for slot in range(_SLOTS):
        number *= 3
        if slot < labels.shape[1]:
            number += labels[:, slot].astype(np.int16)
    return number


def classified(codes: NDArray[np.int32], number: NDArray[np.int16], size: int) -> NDArray[np.int32]:
    """Rows of codes and packed five-slot labels, -1 where there is none."""
    table, raw = structures(), drawings()
    structure = raw.structure[codes]  # a code of -1 reads the last entry, masked below
    labelling = slot_map_labels()[raw.slot_map[codes], number]
    rows: NDArray[np.int32] = table.row_of[table.first[structure] + labelling]
    rows[(codes < 0) | (structure < 0) | (rows >= size)] = -1
    return rows


@cache
def _live_slots() -> NDArray[np.int64]:
    """(n_maps,) bit mask of the raw slots that each slot map keeps."""
    return np.array([sum(1 << s for s in m) for m in slot_maps()], dtype=np.int64)
