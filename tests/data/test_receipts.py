"""Receipts: what was converted from what, and nothing where that is in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from naslib_ecnas.data.convert import Receipt
from naslib_ecnas.errors import StorageError

RECEIPT = Receipt("0" * 64, 12, 1_700_000_000_123_456_789, "1")


def test_a_receipt_comes_back_and_counts_only_with_its_table(tmp_path: Path) -> None:
    table = tmp_path / "t.ecnas"
    RECEIPT.write(table)
    assert Receipt.read(table) is None
    table.touch()
    assert Receipt.read(table) == RECEIPT
    RECEIPT.withdraw(table)
    assert Receipt.read(table) is None
    assert [path.name for path in tmp_path.iterdir()] == ["t.ecnas"]
    RECEIPT.withdraw(table)


def test_a_receipt_that_cannot_be_withdrawn_is_told(tmp_path: Path) -> None:
    """Else a table would be replaced under a receipt that is not its own."""
    table = tmp_path / "t.ecnas"
    Receipt.path(table).mkdir()
    with pytest.raises(StorageError):
        RECEIPT.withdraw(table)
