"""NAS-Bench-101's hashes: of rows, their inverse, and the prefixes that the package ships."""

from __future__ import annotations

from unittest.mock import Mock, call

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas import nasbench_hash
from naslib_ecnas.cell import Cell
from naslib_ecnas.errors import UnknownCellError
from naslib_ecnas.nasbench_hash import hashes_of, prefixes, wrong_hashes
from naslib_ecnas.progress import listening
from naslib_ecnas.space import Space


@given(st.integers(0, 423_623))
def test_the_shipped_prefixes_are_those_of_the_hashes(row: int) -> None:
    text = Cell.from_row(row).nasbench_hash
    assert f"{prefixes()[row]:08x}" == text[:8]
    assert Space(7).row_of_hash(text) == row
    assert hashes_of([row, 0, row]).tolist() == [text, Cell.from_row(0).nasbench_hash, text]


@pytest.mark.slow
def test_all_shipped_prefixes() -> None:
    made = [int(text[:8], 16) for text in Space(7).hashes().tolist()]
    assert made == prefixes().tolist()


def test_rows_are_found_by_hash() -> None:
    assert len(prefixes()) == 423_624
    hashes = Space(5).hashes().tolist()
    for row in range(0, 2_532, 101):
        assert Space(5).row_of_hash(hashes[row]) == row
        assert Space(7).row_of_hash(hashes[row].upper()) == row
    assert Space(4).row_of_hash(hashes[90]) == 90
    # Cells whose hashes begin alike are told apart, and a hash is compared to its end.
    order = np.argsort(prefixes(), kind="stable")
    alike = order[:-1][np.diff(prefixes()[order]) == 0][0]
    one, other = np.flatnonzero(prefixes() == prefixes()[alike]).tolist()[:2]
    assert Space(7).row_of_hash(Cell.from_row(one).nasbench_hash) == one
    assert Space(7).row_of_hash(Cell.from_row(other).nasbench_hash) == other
    for text in (hashes[91], hashes[3][:-1] + "g", "0" * 32, "short", "G" * 32, "-" + "0" * 31, 3):
        with pytest.raises(UnknownCellError, match="no cell of"):
            Space(4).row_of_hash(text)  # type: ignore[arg-type]


def test_wrong_hashes_are_found() -> None:
    rows = np.array([423_623, 5, 423_623, 90, 5])
    true = hashes_of(rows).tolist()
    assert wrong_hashes(rows, true) == []
    assert wrong_hashes(rows, [*true[1:], true[0]]) == [0, 1, 2, 3, 4]
    late = [text[:20] + "0" * 12 for text in true]  # the first bits are right
    assert wrong_hashes(rows, late) == [1, 3, 4]
    for odd in ("", true[0] + "0", true[0][:8]):
        assert wrong_hashes(rows[:1], [odd]) == [0]
    assert wrong_hashes([], []) == []


def test_the_progress_of_many_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nasbench_hash, "_MANY", 40)
    recorder, task = Mock(), "computing NAS-Bench-101's hashes"
    with listening(recorder):
        hashes_of(np.arange(40))
        assert not recorder.mock_calls
        hashes_of(np.arange(91))
    assert recorder.mock_calls == [call(task, done, 91, unit="cells") for done in (40, 80, 91)]
