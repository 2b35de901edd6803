"""Hashes of a whole space: exact, kept in the cache, inverted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import hash_index, nasbench_hash
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.space import Space


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    hash_index.digests.cache_clear()
    hash_index._sorted_heads.cache_clear()


def test_vectorised_hashes_are_those_of_single_cells() -> None:
    hashes = Space(5).hashes()
    for row in range(0, 2_532, 3):
        assert hashes[row] == Cell.from_row(row).nasbench_hash
    assert len(set(hashes.tolist())) == 2_532


def test_chunks_do_not_change_the_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nasbench_hash.all_hashes(500)
    monkeypatch.setattr(nasbench_hash, "_CHUNK", 37)
    assert (nasbench_hash.all_hashes(500) == whole).all()


def test_hashes_are_kept_and_damage_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    monkeypatch.setattr(hash_index, "_WORTH_KEEPING", 10)
    first = hash_index.digests(91)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(hash_index, "all_hashes", lambda size: np.zeros((size, 16), np.uint8))
    hash_index.digests.cache_clear()
    assert (hash_index.digests(91) == first).all()  # read, not computed
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    hash_index.digests.cache_clear()
    assert not hash_index.digests(91).any()  # damaged, so computed again


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("ECNAS_CACHE", str(blocked))
    monkeypatch.setattr(hash_index, "_WORTH_KEEPING", 10)
    with pytest.warns(UserWarning, match="not kept"):
        assert len(hash_index.digests(91)) == 91


def test_rows_are_found_by_hash() -> None:
    space = Space(5)
    hashes = space.hashes()
    for row in range(0, len(space), 101):
        assert space.row_of_hash(str(hashes[row])) == row
    assert Space(4).row_of_hash(str(hashes[90])) == 90
    with pytest.raises(UnknownCellError):
        Space(4).row_of_hash(str(hashes[91]))
