"""NAS-Bench-101's hashes of a whole space: exact, kept in the cache, inverted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock, call

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas import nasbench_hash
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.nasbench_hash import _unique_rows
from naslib_ecnas.progress import listening
from naslib_ecnas.space import Space


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder, in memory too."""
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    monkeypatch.setattr(nasbench_hash, "_digests", {})
    nasbench_hash._sorted_heads.cache_clear()
    yield tmp_path
    nasbench_hash._sorted_heads.cache_clear()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of 91 cells are kept in the cache."""
    monkeypatch.setattr(nasbench_hash, "_WORTH_KEEPING", 10)


def test_hashes_of_arrays_are_those_of_single_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = Space(5).hashes()
    for row in range(0, 2_532, 3):
        assert hashes[row] == Cell.from_row(row).nasbench_hash
    assert len(set(hashes.tolist())) == 2_532
    whole = nasbench_hash.hash_rows(np.arange(500))
    monkeypatch.setattr(nasbench_hash, "_CHUNK", 37)
    assert (nasbench_hash.hash_rows(np.arange(500)) == whole).all()


def test_rows_are_found_by_hash() -> None:
    hashes = Space(5).hashes()
    for row in range(0, 2_532, 101):
        assert Space(5).row_of_hash(str(hashes[row])) == row
        assert Space(5).row_of_hash(str(hashes[row]).upper()) == row
    assert Space(4).row_of_hash(str(hashes[90])) == 90
    for text in (str(hashes[91]), "0" * 32, "short", "G" * 32, 3):
        with pytest.raises(UnknownCellError, match="no cell of"):
            Space(4).row_of_hash(text)  # type: ignore[arg-type]


@pytest.mark.usefixtures("small")
def test_hashes_are_kept_and_a_damaged_file_is_replaced(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = nasbench_hash.digests(91)
    (file,) = cache.iterdir()
    zeros = np.zeros((91, 16), np.uint8)
    monkeypatch.setattr(nasbench_hash, "hash_rows", lambda rows, on_done: zeros)
    nasbench_hash._digests.clear()
    assert (nasbench_hash.digests(91) == first).all()  # read, not computed
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    nasbench_hash._digests.clear()
    assert not nasbench_hash.digests(91).any()  # computed again


def test_hashes_of_some_rows_are_those_of_all(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([423_623, 5, 90, 5])
    some = nasbench_hash.as_text(nasbench_hash.digests_of(rows)).tolist()
    assert some == [Cell.from_row(row).nasbench_hash for row in rows.tolist()]
    assert not list(cache.iterdir())  # only these were computed
    nasbench_hash._path(423_624).write_bytes(b"torn")
    assert nasbench_hash.as_text(nasbench_hash.digests_of(rows)).tolist() == some
    nasbench_hash._path(423_624).unlink()
    synthetic = np.arange(16, dtype=np.uint8) + np.zeros((423_624, 1), np.uint8)
    monkeypatch.setattr(nasbench_hash, "hash_rows", lambda rows, on_done: synthetic)
    nasbench_hash.prepare(1_000)
    assert not list(cache.iterdir())
    nasbench_hash.prepare(200_000)
    assert [path.stat().st_size for path in cache.iterdir()] == [16 * 423_624 + 32]
    assert nasbench_hash.digests_of(rows).tolist() == [list(range(16))] * 4
    nasbench_hash._digests.clear()
    assert nasbench_hash.digests_of(rows).tolist() == [list(range(16))] * 4  # from the file


@pytest.mark.usefixtures("small")
def test_progress_is_reported(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, name = Mock(), "NAS-Bench-101's hashes, once"
    with listening(recorder):
        nasbench_hash.digests(91)
    started = call.started(name, "computing", 91, 0, "cells")
    advanced = [call.advanced(name, done) for done in (1, 7, 91)]
    assert recorder.mock_calls == [started, *advanced, call.finished(name)]
    # A cache that cannot be written is no obstacle.
    nasbench_hash._digests.clear()
    (cache / "file").write_text("in the way")
    monkeypatch.setenv("ECNAS_CACHE", str(cache / "file"))
    with pytest.warns(UserWarning, match="not kept"):
        assert len(nasbench_hash.digests(91)) == 91


# -- distinct rows by a 64-bit mix of their entries ----


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-2, 3)] * 3), min_size=1, max_size=40))
def test_distinct_rows_are_those_of_brute_force(rows: list[tuple[int, int, int]]) -> None:
    first, which = _unique_rows(np.array(rows, dtype=np.int32))
    assert len(first) == len(set(rows))
    assert [rows[first[k]] for k in which] == rows
    assert all(rows.index(rows[i]) == i for i in first)


def test_rows_with_equal_mixes_are_told_apart() -> None:
    """The second entry that makes two rows collide, found by inverting the last step of the mix."""
    size = 1 << 64
    weights = np.random.default_rng(0).integers(1, 1 << 63, 2, dtype=np.uint64) | 1
    one, two = (int(w) for w in weights)

    def after_first(entry: int) -> int:
        key = entry * one % size
        return key ^ key >> 29

    other = (after_first(1) + 7 * two - after_first(2)) * pow(two, -1, size) % size
    assert (after_first(1) + 7 * two - after_first(2) - other * two) % size == 0
    rows = np.array([[1, 7], [2, other], [1, 7]], dtype=np.uint64)
    first, which = _unique_rows(rows)  # type: ignore[arg-type]
    assert sorted(first.tolist()) == [0, 1]
    assert (rows[first][which] == rows).all()
