"""The cache of tables: what is made once, what is made again, what a table is called by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from foreign import synthetic

from naslib_ecnas.data.cache import cached, tables_folder, up_to_date
from naslib_ecnas.data.table import Columns, Table, write_table
from naslib_ecnas.errors import FormatError


def make(calls: list[int], seed: int = 0) -> Callable[[], Columns]:
    def made() -> Columns:
        calls.append(seed)
        return synthetic(seed=seed)

    return made


def test_a_table_is_made_once_for_each_key() -> None:
    calls: list[int] = []
    assert up_to_date("a", {"version": 1}) is None
    path = cached("a", {"version": 1, "sums": (1, 2)}, make(calls))
    assert path == tables_folder() / "a.ecnas" == up_to_date("a", {"sums": [1, 2], "version": 1})
    assert cached("a", {"version": 1, "sums": (1, 2)}, make(calls)) == path
    assert calls == [0]
    for key in ({"version": 2}, {"version": "2"}, {}):
        assert up_to_date("a", key) is None
        cached("a", key, make(calls, 1))
    assert calls == [0, 1, 1, 1]
    cached("a", {}, make(calls, 2), afresh=True)
    Table.open(path).verify()
    assert calls[4:] == [2]
    assert [p.name for p in tables_folder().iterdir() if p.suffix != ".lock"] == ["a.ecnas"]


def test_a_table_that_was_exchanged_or_is_old_is_made_again() -> None:
    calls: list[int] = []
    a, b = cached("a", {"of": 1}, make(calls, 1)), cached("b", {"of": 1}, make(calls, 2))
    a.rename(tables_folder() / "other")
    b.rename(a)
    (tables_folder() / "other").rename(b)
    for name, seed in (("a", 1), ("b", 2)):  # not the other's answers under its name
        table = Table.open(cached(name, {"of": 1}, make(calls, seed)))
        np.testing.assert_array_equal(
            table.column("energy_kwh"), synthetic(seed=seed).values["energy_kwh"]
        )
    assert calls == [1, 2, 1, 2]
    a.write_bytes(b"\x89ECNAS\r\n" + bytes(99))  # not a table
    Table.open(cached("a", {"of": 1}, make(calls, 1))).verify()
    write_table(a, synthetic(seed=1))  # not made by `cached`
    cached("a", {"of": 1}, make(calls, 1))
    assert calls[4:] == [1, 1]


def test_a_damaged_table_is_an_error_for_its_user() -> None:
    calls: list[int] = []
    path = cached("a", {}, make(calls))
    good = path.read_bytes()
    for content in (good[:-1], good[:100], good[:300] + b"\0" + good[301:]):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="--afresh"):
            Table.open(cached("a", {}, make(calls)))
    Table.open(cached("a", {}, make(calls), afresh=True)).verify()
    assert calls == [0, 0]


def test_what_a_table_was_made_from_is_not_part_of_its_checksum() -> None:
    calls: list[int] = []
    sums = [
        Table.open(cached(name, {"time": time}, make(calls))).checksum
        for name, time in (("a", 1), ("a", 2), ("b", 1))
    ]
    assert len(set(sums)) == 1
    predicted = [
        Table.open(
            cached(name, {"sums": of}, make(calls, of), predicted=True, afresh=True)
        ).checksum
        for name, of in (("a", 1), ("b", 1), ("a", 2))
    ]
    # The key decides it, wherever the table lies and however the last digits differ.
    assert predicted[0] == predicted[1] not in (predicted[2], sums[0])
    assert all(len(checksum) == 64 for checksum in predicted)
