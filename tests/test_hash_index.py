"""Hashes of a whole space: exact, kept in the cache, inverted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas import nasbench_hash
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.progress import BYTES, Silent, listening
from naslib_ecnas.space import Space


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    nasbench_hash._known.clear()
    nasbench_hash._sorted_heads.cache_clear()


def test_vectorised_hashes_are_those_of_single_cells() -> None:
    hashes = Space(5).hashes()
    for row in range(0, 2_532, 3):
        assert hashes[row] == Cell.from_row(row).nasbench_hash
    assert len(set(hashes.tolist())) == 2_532


def test_chunks_do_not_change_the_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nasbench_hash.hashes_of(np.arange(500))
    monkeypatch.setattr(nasbench_hash, "_CHUNK", 37)
    assert (nasbench_hash.hashes_of(np.arange(500)) == whole).all()


def test_hashes_are_kept_and_damage_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    monkeypatch.setattr(nasbench_hash, "_WORTH_KEEPING", 10)
    first = nasbench_hash.digests(91)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(nasbench_hash, "hashes_of", lambda rows, told: np.zeros((len(rows), 16)))
    nasbench_hash._known.clear()
    assert (nasbench_hash.digests(91) == first).all()  # read, not computed
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    nasbench_hash._known.clear()
    assert not nasbench_hash.digests(91).any()  # damaged, so computed again


def test_hashes_of_some_rows_are_those_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    rows = np.array([423_623, 5, 90, 5])
    some = nasbench_hash.as_text(nasbench_hash.of_rows(rows)).tolist()
    assert some == [Cell.from_row(row).nasbench_hash for row in rows.tolist()]
    assert not list(tmp_path.iterdir())  # nothing was computed but these
    nasbench_hash._path(423_624).write_bytes(b"torn")
    assert nasbench_hash.as_text(nasbench_hash.of_rows(rows)).tolist() == some
    nasbench_hash._path(423_624).unlink()
    synthetic = np.arange(16, dtype=np.uint8) + np.zeros((423_624, 1), np.uint8)
    monkeypatch.setattr(nasbench_hash, "hashes_of", lambda rows, told: synthetic)
    nasbench_hash.prepare(1_000)
    assert not list(tmp_path.iterdir())
    nasbench_hash.prepare(200_000)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [16 * 423_624 + 32]
    assert nasbench_hash.of_rows(rows).tolist() == [list(range(16))] * 4


def test_hashing_a_whole_space_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    monkeypatch.setattr(nasbench_hash, "_WORTH_KEEPING", 10)
    told: list[object] = []

    class Heard(Silent):
        def started(
            self, name: str, doing: str, total: int | None, done: int, unit: str = BYTES
        ) -> None:
            told.append((doing, total, unit))

        def advanced(self, name: str, done: int) -> None:
            told.append(done)

    with listening(Heard()):
        nasbench_hash.digests(91)
    assert told[0] == ("computing", 91, "cells")
    assert told[-1] == 91


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("ECNAS_CACHE", str(blocked))
    monkeypatch.setattr(nasbench_hash, "_WORTH_KEEPING", 10)
    with pytest.warns(UserWarning, match="not kept"):
        assert len(nasbench_hash.digests(91)) == 91


def test_rows_are_found_by_hash() -> None:
    space = Space(5)
    hashes = space.hashes()
    for row in range(0, len(space), 101):
        assert space.row_of_hash(str(hashes[row])) == row
    assert Space(4).row_of_hash(str(hashes[90])) == 90
    with pytest.raises(UnknownCellError):
        Space(4).row_of_hash(str(hashes[91]))
