"""Files: atomic writing, JSON from anywhere, dataclasses as plain values, sheets."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas import files
from naslib_ecnas.errors import ConfigError, FormatError, StorageError, check_counts


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    assert files.cache_folder() == tmp_path
    monkeypatch.setenv("ECNAS_CACHE", "~/x")
    assert files.cache_folder() == Path.home() / "x"
    monkeypatch.delenv("ECNAS_CACHE")
    assert files.cache_folder().name == "naslib-ecnas"
    for home in ("~no-such-user/c", "~no-such-user"):
        monkeypatch.setenv("ECNAS_CACHE", home)
        with pytest.raises(StorageError, match="no such home folder"):
            files.cache_folder()
    for is_there in (files.exists, files.is_file, files.is_folder):
        assert not is_there(tmp_path / ("x" * 10_000))  # the name is too long


# -- writing ----


def test_an_atomic_write_is_whole_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "file"
    with files.atomic_write(target) as file:
        file.write(b"one")

    def interrupted() -> None:
        with files.atomic_write(target) as file:
            file.write(b"two")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_bytes() == b"one"
    assert [p.name for p in target.parent.iterdir()] == ["file"]
    (tmp_path / "plain").touch()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    # Files that belong together are written together.
    files.write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"1", b"2"]
    with pytest.raises(StorageError):
        files.write_together({tmp_path / "a": b"3", tmp_path / "b" / "below": b"4"})
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"1", b"2"]


def test_a_folder_is_for_one(tmp_path: Path) -> None:
    with files.only_one(tmp_path), pytest.raises(ConfigError, match="another process"):
        files.only_one(tmp_path).__enter__()
    with files.only_one(tmp_path):
        pass
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), files.only_one(tmp_path / "file"):
        pass


def test_a_failed_write_is_a_typed_error(tmp_path: Path) -> None:
    cannot = "the folder cannot be written"
    expected = {errno.ENOSPC: "the disk is full", errno.EROFS: cannot, errno.EACCES: cannot}
    for number in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO):
        text = str(files.storage_error(OSError(number, "x"), Path("/there")))
        assert text.startswith(f"{expected.get(number, 'cannot write (x)')}: /there; ")
        assert "ECNAS_CACHE" in text
    with pytest.raises(StorageError, match="full"), files.atomic_write(tmp_path / "file"):
        raise OSError(errno.ENOSPC, "No space left on device")
    # The error of an inner write is not taken for one of the file around it.
    first = StorageError("the disk is full")
    with pytest.raises(StorageError) as caught, files.atomic_write(tmp_path / "around"):
        raise first
    assert caught.value is first
    assert not list(tmp_path.iterdir())


# -- JSON ----

NUMBERS = st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_plain_values_come_back(value: Any) -> None:
    assert files.from_json(files.to_json(value)) == value
    assert files.from_json(files.to_json(value, indent=2).encode()) == value


def test_numbers_that_are_not_finite_become_null() -> None:
    numbers = MappingProxyType({"d": np.float64(0.5), "e": np.int32(3)})
    assert json.loads(files.to_json(numbers)) == {"d": 0.5, "e": 3}
    for odd in (np.zeros(1), object()):
        with pytest.raises((TypeError, ValueError)):
            files.to_plain([odd])
    made = {"a": (1.5, math.nan, [math.inf]), "b": {"c": -math.inf}}
    assert json.loads(files.to_json(made)) == {"a": [1.5, None, [None]], "b": {"c": None}}
    assert math.isnan(made["a"][1])  # type: ignore[arg-type]
    # Hostile JSON is a ValueError.
    for text in ("", "{", "[1,]", "nothing", b"\xff", b"\x00["):
        with pytest.raises(ValueError, match=r"."):
            files.from_json(text)
    for text in ("[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            files.from_json(text)
    for number in ("9" * 5_000, "1e999", "NaN"):
        with pytest.raises(ValueError, match=r"."):
            files.from_json(f"[1, {number}]")


# -- dataclasses ----


@dataclass(frozen=True)
class Part:
    name: str
    seconds: files.MaybeNaN
    tries: int = 1


@dataclass(frozen=True)
class Whole:
    count: int
    good: bool
    note: str | None
    parts: tuple[Part, ...]
    extra: Mapping[str, float]

    def __post_init__(self) -> None:
        check_counts(count=self.count)


WHOLE = Whole(3, True, None, (Part("a", 1.5), Part("b", math.nan)), {"x": 2.0})
PARTS = [{"name": n, "seconds": s, "tries": 1} for n, s in (("a", 1.5), ("b", None))]
DATA: dict[str, Any] = {"count": 3, "good": True, "note": None, "parts": PARTS, "extra": {"x": 2.0}}


def test_dataclasses_become_plain_values_and_come_back() -> None:
    assert files.to_plain(WHOLE) == DATA
    again = files.from_plain(Whole, files.from_json(files.to_json(WHOLE)))
    assert files.to_plain(again) == DATA
    assert again.parts[0] == WHOLE.parts[0]
    assert math.isnan(again.parts[1].seconds)
    assert files.from_plain(Whole, {**DATA, "note": "x", "extra": {"x": 2}}).note == "x"


def test_wrong_fields_are_named() -> None:
    for wrong, message in (
        ({"count": 3.0}, r"Expected `int`, got `float` - at `\$.count`"),
        ({"count": True}, r"Expected `int`, got `bool` - at `\$.count`"),
        ({"count": 0}, "count must be a whole number of at least 1, got 0"),
        ({"count": 10**400}, r"may have 64 bits, not 1329 - at `\$.count`"),
        ({"good": 1}, r"Expected `bool`, got `int` - at `\$.good`"),
        ({"note": 3}, r"Expected `str \| null`, got `int` - at `\$.note`"),
        ({"parts": {}}, r"Expected `array`, got `object` - at `\$.parts`"),
        ({"parts": [3]}, r"Expected `object`, got `int` - at `\$.parts\[0\]`"),
        ({"parts": [{"name": "a"}]}, r"missing required field `seconds` - at `\$.parts\[0\]`"),
        (
            {"parts": [{"name": "a", "seconds": "1"}]},
            r"null`, got '1' - at `\$.parts\[0\].seconds`",
        ),
        ({"parts": [{"name": "a", "seconds": 10**400}]}, "int too large"),
        ({"parts": [{**PARTS[0], "more": 1}]}, r"fields name, seconds, tries - at `\$.parts\[0\]`"),
        ({"parts": [{"name": "a", "seconds": 1}]}, r"fields name, seconds, tries - at"),
        ({"extra": {3: 1.0}}, r"Expected `str`, got `int` - at `key` in `\$.extra`"),
        ({"extra": {"x": []}}, r"Expected `float`, got `array` - at `\$.extra"),
        ({"extra": {"x": 10**400}}, r"Number out of range - at `\$.extra"),
        ({"other": 1}, r"fields count, good, note, parts, extra - at `\$`"),
    ):
        with pytest.raises(FormatError, match=f"^there: Whole: .*{message}") as raised:
            files.from_plain(Whole, {**DATA, **wrong}, path="there")
        assert raised.value.path == "there"


# -- sheets ----

#: Without NUL, which Python 3.10 cannot write as CSV.
TEXTS = st.text(st.characters(exclude_characters="\0"))


@given(st.lists(st.tuples(TEXTS, st.floats(allow_nan=False), st.integers())))
def test_csv_keeps_every_value_exactly(rows: list[tuple[str, float, int]]) -> None:
    sheet = files.Sheet.of(("a", "b (s)", "c"), rows)
    head, *body = csv.reader(io.StringIO(sheet.text(), newline=""))
    assert head == ["a", "b (s)", "c"]
    assert [(a, float(b), int(c)) for a, b, c in body] == rows


def test_a_sheet_has_plain_values_and_empty_fields_for_unknown_ones(tmp_path: Path) -> None:
    sheet = files.Sheet.of(
        ("x", "y", "z"), [(np.float64(0.1), math.nan, None), (np.int32(3), 1.0, "")]
    )
    assert sheet.text() == "x,y,z\n0.1,,\n3,1.0,\n"
    assert type(sheet.rows[1][0]) is int
    assert next(sheet.records())["x"] == 0.1
    assert len(sheet) == 2
    for headings, rows in ((("a", "b"), [(1,)]), (("a", "a"), [])):
        with pytest.raises(ConfigError):
            files.Sheet.of(headings, rows)
    # A sheet is written whole or not.
    path = files.Sheet.of(("a",), [(1,)]).write(tmp_path / "new" / "x.csv")
    assert path.read_text() == "a\n1\n"
    with pytest.raises(StorageError):
        files.Sheet.of(("a",), [(1,)]).write(path / "below.csv")
    assert [p.name for p in path.parent.iterdir()] == ["x.csv"]
