"""NAS-Bench-101's graph hash, the key of its files: for one cell, and for all cells of a space.

The hash is an iterated neighbourhood hash (Ying et al. 2019, section 3 of the supplement; the
reference is `hash_module` in google-research/nasbench). Each vertex starts with the MD5 of its
out-degree, in-degree and label (input -1, output -2); for as many rounds as there are vertices it
becomes the MD5 of its predecessors' sorted digests, its successors' sorted digests and its own;
the hash is the MD5 of the sorted list of digests as Python prints it.

It is needed only to exchange keys with other software; equality of cells never depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.structures import EDGES, MAX_VERTICES, structures

__all__ = ["cell_hash", "hashes_of"]

_INPUT_LABEL, _OUTPUT_LABEL = -1, -2
# Rows hashed together: enough to share most digests, few enough to stay in cache.
_CHUNK = 1 << 12


@cache
def _md5() -> Any:
    from hashlib import md5  # costs 4 MB, which only who asks for hashes pays

    return md5


def _digest(text: str) -> str:
    digest: str = _md5()(text.encode(), usedforsecurity=False).hexdigest()
    return digest


def cell_hash(matrix: Sequence[Sequence[int]], labels: Sequence[int]) -> str:
    """Hash of one pruned cell.

    Args:
        matrix: (v, v) nested 0/1 lists, upper triangular.
        labels: v - 2 labels of the interior vertices, 0 to 2 in NAS-Bench-101's order.

    Returns:
        32 hexadecimal digits.
    """
    v = len(matrix)
    before = [[u for u in range(v) if matrix[u][w]] for w in range(v)]
    after = [[u for u in range(v) if matrix[w][u]] for w in range(v)]
    named = (_INPUT_LABEL, *labels, _OUTPUT_LABEL)
    digests = [_digest(f"({len(after[w])}, {len(before[w])}, {named[w]})") for w in range(v)]
    for _ in range(v):
        digests = [
            _digest(
                "".join(sorted(digests[u] for u in before[w]))
                + "|"
                + "".join(sorted(digests[u] for u in after[w]))
                + "|"
                + digests[w]
            )
            for w in range(v)
        ]
    return _digest(str(sorted(digests)))


def hashes_of(
    rows: NDArray[np.integer[Any]], told: Callable[[int], None] = lambda done: None
) -> NDArray[np.uint8]:
    """Hashes of rows of the 7-vertex space.

    Vertices whose neighbourhoods agree share their digest, so each round hashes only what
    differs: digests are held as ranks among the sorted distinct ones, and sorting ranks sorts
    digests.

    Args:
        rows: (n,) rows.
        told: hears how many are done.

    Returns:
        (n, 16) uint8, the raw MD5 digests.
    """
    table = structures()
    out = np.zeros((len(rows), 16), dtype=np.uint8)
    vertices = table.vertices[table.row_structure[rows]]
    done = 0
    for v in np.unique(vertices):
        where = np.flatnonzero(vertices == v)
        for start in range(0, len(where), _CHUNK):
            part = where[start : start + _CHUNK]
            out[part] = _hashes_of_size(int(v), rows[part])
            done += len(part)
            told(done)
    return out


def _hashes_of_size(v: int, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    table = structures()
    structure = table.row_structure[rows]
    codes, number = table.code[structure], table.row_ops[rows].astype(np.int64)
    edge = np.zeros((len(rows), v, v), dtype=bool)
    for bit, (i, j) in enumerate(EDGES):
        target = v - 1 if j == MAX_VERTICES - 1 else j
        if target < v and i < target:
            edge[:, i, target] |= (codes >> bit & 1).astype(bool)
    label = np.empty((len(rows), v), dtype=np.int64)
    label[:, 0], label[:, -1] = _INPUT_LABEL, _OUTPUT_LABEL
    for slot in range(v - 2):
        label[:, slot + 1] = number // 3 ** (v - 3 - slot) % 3

    start = np.stack([edge.sum(2), edge.sum(1), label], axis=2).reshape(-1, 3)
    distinct, which = np.unique(start, axis=0, return_inverse=True)
    texts = [_digest(f"({o}, {i}, {name})") for o, i, name in distinct.tolist()]
    digests, rank = _ranked(texts, which.reshape(-1))
    rank = rank.reshape(len(rows), v)
    for _ in range(v):
        none = len(digests)  # sorts behind every digest and stands for the empty string
        before = np.sort(np.where(edge.transpose(0, 2, 1), rank[:, None, :], none), axis=2)
        after = np.sort(np.where(edge, rank[:, None, :], none), axis=2)
        joined = np.concatenate([before, after, rank[:, :, None]], axis=2).reshape(-1, 2 * v + 1)
        first, which = _unique_rows(joined.astype(np.int32))
        padded = [*digests, ""]
        texts = [
            _digest(
                "".join([padded[r] for r in row[:v]])
                + "|"
                + "".join([padded[r] for r in row[v : 2 * v]])
                + "|"
                + padded[row[-1]]
            )
            for row in joined[first].tolist()
        ]
        digests, rank = _ranked(texts, which)
        rank = rank.reshape(len(rows), v)
    md5 = _md5()
    final = [
        md5(str([digests[r] for r in row]).encode(), usedforsecurity=False).digest()
        for row in np.sort(rank, axis=1).tolist()
    ]
    return np.frombuffer(b"".join(final), dtype=np.uint8).reshape(-1, 16)


def _ranked(texts: list[str], which: NDArray[np.intp]) -> tuple[list[str], NDArray[np.intp]]:
    """Sorted distinct digests, and the rank of each vertex's digest among them."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts), dtype=np.intp)
    rank[order] = np.arange(len(texts))
    return [texts[i] for i in order], rank[which]


def _unique_rows(rows: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First occurrence of each distinct row, and the number of each row among them.

    Rows are compared by a 64-bit mix of their entries, and the answer is checked entry by entry.
    """
    weights = np.random.default_rng(0).integers(1, 1 << 63, rows.shape[1], dtype=np.uint64) | 1
    key = np.zeros(len(rows), dtype=np.uint64)
    for column, weight in zip(rows.T, weights, strict=True):
        key = (key ^ (key >> np.uint64(29))) + column.astype(np.uint64) * weight
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][which], rows):  # two rows with one key
        _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, which.reshape(-1)
