"""Receipts: beside each converted table, what it was made from and by what."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from naslib_ecnas.json_text import from_json
from naslib_ecnas.storage import atomic_write, storage_error

__all__ = ["Receipt"]


@dataclass(frozen=True)
class Receipt:
    """What a converted table was made from."""

    sha256: str
    """Checksum of the source."""
    size: int
    """Its size in bytes, and ..."""
    mtime_ns: int
    """... its time of change: where both are as before, it is not read again to be compared."""
    maker: str
    """All else that decides the table's content: the converter's version and what the catalog
    says of the columns."""

    @staticmethod
    def path(table: Path) -> Path:
        """Where the receipt of a table is."""
        return table.with_suffix(".json")

    @classmethod
    def read(cls, table: Path) -> Receipt | None:
        """The receipt of a table; None where there is no table, or no receipt to rely on."""
        try:
            data: Any = from_json(cls.path(table).read_text("utf-8"))
            receipt = cls(**data)
        except (OSError, ValueError, TypeError):
            return None
        types = {"sha256": str, "size": int, "mtime_ns": int, "maker": str}
        good = all(type(getattr(receipt, name)) is kind for name, kind in types.items())
        return receipt if good and table.is_file() else None

    def write(self, table: Path) -> None:
        """Put the receipt beside its table.

        Raises:
            StorageError: the folder cannot be written.
        """
        with atomic_write(self.path(table)) as file:
            file.write(json.dumps(asdict(self), indent=1).encode() + b"\n")

    def withdraw(self, table: Path) -> None:
        """Remove the receipt, before its table is replaced.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            self.path(table).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, table) from error
