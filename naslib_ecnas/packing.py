"""From raw matrices and operations, as arrays, to codes and labels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.structures import EDGES, MAX_VERTICES, OPERATIONS

__all__ = ["codes_of", "labels_of"]

_OUTPUT = MAX_VERTICES - 1


def codes_of(matrices: NDArray[Any]) -> NDArray[np.int32]:
    """Codes of (n, v, v) matrices, -1 where not 0/1 or not upper triangular."""
    n, v = matrices.shape[:2]
    if matrices.dtype.kind in "iu" and matrices.dtype.itemsize == 1:
        flat = matrices.reshape(n, v * v).view(np.uint8)
        binary = None if n == 0 or flat.max() <= 1 else (flat <= 1).all(axis=1)
    else:
        entries = matrices.reshape(n, v * v)
        flat = (entries != 0).view(np.uint8)
        clean = matrices.dtype == bool or bool(((entries == 0) | (entries == 1)).all())
        binary = None if clean else ((entries == 0) | (entries == 1)).all(axis=1)
    packed = np.packbits(flat, axis=1)
    luts = _bit_luts(v)
    codes: NDArray[np.int32] = luts[0][packed[:, 0]]
    for byte in range(1, packed.shape[1]):
        codes |= luts[byte][packed[:, byte]]
    codes[codes >> 21 != 0] = -1
    if binary is not None:
        codes[~binary] = -1
    return codes


@cache
def _bit_luts(v: int) -> NDArray[np.int32]:
    """(bytes, 256) part of the code in each byte of a packed matrix; bit 21 marks a bad entry."""
    n_bytes = (v * v + 7) // 8
    luts = np.zeros((n_bytes, 256), dtype=np.int32)
    bits = {edge: bit for bit, edge in enumerate(EDGES)}
    for entry in range(v * v):
        i, j = divmod(entry, v)
        a, b = (_OUTPUT if x == v - 1 else x for x in (i, j))
        image = 1 << bits[a, b] if i < j else 1 << len(EDGES)
        byte, place = divmod(entry, 8)
        luts[byte, (np.arange(256) >> (7 - place) & 1).astype(bool)] |= image
    return luts


def labels_of(ops: NDArray[Any]) -> NDArray[Any]:
    if ops.dtype.kind in "iu":
        return ops
    out = np.full(ops.shape, -1, dtype=np.int64)
    for label, name in enumerate(OPERATIONS):
        out[ops == name] = label
    return out
