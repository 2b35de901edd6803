"""NAS-Bench-101's graph hash, the key of its files: from cells to hashes and back.

The hash is an iterated neighbourhood hash (Ying et al. 2019, section 3 of the supplement; the
reference is `hash_module` in google-research/nasbench). Each vertex starts with the MD5 of its
out-degree, in-degree and label (input -1, output -2); for as many rounds as there are vertices it
becomes the MD5 of its predecessors' sorted digests, its successors' sorted digests and its own;
the hash is the MD5 of the sorted list of digests as Python prints it.

It serves to exchange keys with other software; equality of cells never depends on it. A hash takes
some 60 us to compute, so the first 32 bits of all of them come with the package, as u32 by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naslib_ecnas.progress import listener
from naslib_ecnas.topologies import adjacency, labels_of_rows, topologies

_DIGITS = 32
_PREFIX = 8
# Cells whose hashing takes so long that its progress is reported.
_MANY = 10_000
# Cells of up to five vertices, which are few: their hashes are always compared as a whole.
_SMALL = 2_532


def cell_hash(matrix: Sequence[Sequence[int]], labels: Sequence[int]) -> str:
    """Hash of a pruned cell, 32 hexadecimal digits.

    The matrix is (v, v) and upper triangular; the v - 2 labels number `OPERATIONS`.
    """
    from hashlib import md5  # takes 4 MB, so only when hashes are asked for

    def digest(text: str) -> str:
        return md5(text.encode(), usedforsecurity=False).hexdigest()

    v = len(matrix)
    before = [[u for u in range(v) if matrix[u][w]] for w in range(v)]
    after = [[u for u in range(v) if matrix[w][u]] for w in range(v)]
    named = (-1, *labels, -2)
    digests = [digest(f"({len(after[w])}, {len(before[w])}, {named[w]})") for w in range(v)]

    def joined(vertices: list[int]) -> str:
        return "".join(sorted([digests[u] for u in vertices]))

    for _ in range(v):
        digests = [
            digest("|".join([joined(before[w]), joined(after[w]), digests[w]])) for w in range(v)
        ]
    return digest(str(sorted(digests)))


def hashes_of(rows: ArrayLike) -> NDArray[np.str_]:
    """(n,) hashes of (n,) valid rows; those of the largest space take about a minute."""
    rows = np.asarray(rows, dtype=np.int32)
    progress, task = listener(), "computing NAS-Bench-101's hashes"
    found = np.empty(len(rows), dtype=f"U{_DIGITS}")
    which = zip(
        topologies().row_topology[rows].tolist(), labels_of_rows(rows).tolist(), strict=True
    )
    for i, (topology, labels) in enumerate(which):
        found[i] = _hash(topology, tuple(labels))
        if len(rows) > _MANY and ((i + 1) % _MANY == 0 or i + 1 == len(rows)):
            progress(task, i + 1, len(rows), unit="cells")
    return found


@lru_cache(maxsize=_SMALL)  # a file has the small cells again and again
def _hash(topology: int, labels: tuple[int, ...]) -> str:
    v = int(topologies().vertices[topology])
    return cell_hash(adjacency(v)[topology].tolist(), labels[: v - 2])


@cache
def prefixes() -> NDArray[np.uint32]:
    """(423624,) first 32 bits of the hashes of all cells, by row."""
    from importlib import resources  # takes 1 MB, which plain queries do not need

    file = resources.files("naslib_ecnas.data") / "nasbench101_hash_prefixes.bin"
    return np.frombuffer(file.read_bytes(), dtype="<u4")


@cache
def _ascending_prefixes() -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """The prefixes in ascending order, and the row of each."""
    order = np.argsort(prefixes())
    return prefixes()[order].astype(np.uint64), order


def row_of(nasbench_hash: str, size: int) -> int | None:
    """Row of a hash among the first `size` rows, None if none of them has it."""
    if not isinstance(nasbench_hash, str) or len(nasbench_hash) != _DIGITS:
        return None
    try:
        prefix = int.from_bytes(bytes.fromhex(nasbench_hash[:_PREFIX]), "big")
    except ValueError:
        return None
    ascending, order = _ascending_prefixes()
    start, stop = np.searchsorted(ascending, np.array([prefix, prefix + 1], dtype=np.uint64))
    rows = order[start:stop]
    rows = rows[rows < size]
    found = rows[hashes_of(rows) == nasbench_hash.lower()]
    return int(found[0]) if len(found) else None


def wrong_hashes(rows: ArrayLike, hashes: Sequence[str]) -> list[int]:
    """Places of the stated hashes that are not those of their cells.

    Of cells of more than five vertices the first 32 bits are compared: computing all of a hash
    takes about a minute for the largest space.
    """
    rows = np.asarray(rows, dtype=np.int32)
    stated = np.array(hashes, dtype=np.str_).reshape(len(rows))
    known = prefixes()[rows].astype(">u4").tobytes().hex()
    known_texts = np.array([known[i : i + _PREFIX] for i in range(0, len(known), _PREFIX)], "U8")
    wrong = (stated.astype("U8") != known_texts) | (np.char.str_len(stated) != _DIGITS)
    whole_at = np.flatnonzero(rows < _SMALL)
    wrong[whole_at] |= hashes_of(rows[whole_at]) != stated[whole_at]
    places: list[int] = np.flatnonzero(wrong).tolist()
    return places
