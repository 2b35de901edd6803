"""Files of named arrays: round trips, damage of every kind, what is read and checked when."""

from __future__ import annotations

import gc
import json
import os
import random
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from foreign import header_of, with_header

from naslib_ecnas.data.arrays import BLOCK, PREFIX, ArrayFile, write_arrays
from naslib_ecnas.errors import (
    ChecksumError,
    ClosedTableError,
    FormatError,
    TruncatedError,
    UnknownTableError,
)

rng = np.random.default_rng(0)

#: Arrays of every type, of no, one and several blocks, empty, and not contiguous.
MIXED = {
    "rows": np.arange(91, dtype=np.int32),
    "energy": rng.random((91, 4)),
    "clip": np.array(6.0, dtype=np.float32),
    "none": np.empty((0, 3)),
    "bits": np.arange(7, dtype=np.uint8),
    "long": np.arange(-3, 3),
    "turned": rng.random((50, 60)).astype(np.float32).T,
}
ONE = {"a": np.array([0.5])}
BLOCKS = {"wide": rng.random(3 * BLOCK), "narrow": rng.random(BLOCK + 1).astype(np.float32)}
METADATA = {"note": 'für "Tests" \\', "budgets": [4, 108], "nested": {"pue": 1.59, "none": None}}


def write(folder: Path, arrays: dict[str, Any] = MIXED, metadata: Any = METADATA) -> Path:
    write_arrays(folder / "arrays.safetensors", arrays, metadata)
    return folder / "arrays.safetensors"


def everything(path: Path) -> tuple[Any, dict[str, bytes]]:
    """Metadata and bytes of all arrays."""
    with ArrayFile(path) as file:
        return file.metadata, {name: file[name].tobytes() for name in file.arrays}


@pytest.mark.parametrize("arrays", [MIXED, ONE, BLOCKS, {}])
def test_what_is_written_is_read_here_and_by_safetensors(tmp_path: Path, arrays: Any) -> None:
    path = write(tmp_path, arrays)
    with ArrayFile(path) as file:
        assert file.metadata == METADATA
        assert set(file.arrays) == set(arrays)
        found = {name: file[name] for name in arrays}
        for name, array in arrays.items():
            stored = file.arrays[name]
            assert (stored.dtype, stored.shape) == (array.dtype, array.shape)
            assert [stored.at(i) for i in range(array.size)] == array.ravel().tolist()
            half = array.size // 2
            assert stored.part(half, array.size).tolist() == array.ravel()[half:].tolist()
            assert stored.offset % array.itemsize == 0
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(path, "numpy") as theirs:
        assert set(theirs.keys()) == set(arrays)
        assert json.loads(theirs.metadata()["ecnas"])["metadata"] == METADATA
        for name, array in arrays.items():
            np.testing.assert_array_equal(theirs.get_tensor(name), array)
            np.testing.assert_array_equal(found[name], array, strict=True)  # still valid
            assert not found[name].flags.writeable


def test_the_bytes_are_the_same_everywhere_and_laid_out_as_documented(tmp_path: Path) -> None:
    content = write(tmp_path, {"i": np.arange(3, dtype=np.int32), "d": np.arange(2.0)}).read_bytes()
    assert sha256(content).hexdigest().startswith("97a633e40f35342176280bfa54ee93f7")
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    assert header.startswith(PREFIX)
    assert (8 + length) % 64 == 0
    specs = json.loads(header)
    about = json.loads(specs.pop("__metadata__")["ecnas"])
    assert specs == {
        "d": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]},
        "i": {"dtype": "I32", "shape": [3], "data_offsets": [16, 28]},
    }
    blank = header.replace(about["crc32"].encode(), b"00000000", 1)
    assert int(about["crc32"], 16) == crc32(blank)
    assert content[8 + length :] == np.arange(2.0).tobytes() + np.arange(3, dtype="<i4").tobytes()


@pytest.mark.parametrize(("arrays", "flips"), [(MIXED, 1000), (ONE, 600), (BLOCKS, 400)])
def test_every_flipped_bit_is_found(tmp_path: Path, arrays: Any, flips: int) -> None:
    """In the header and, as often, in the arrays."""
    path = write(tmp_path, arrays)
    good = path.read_bytes()
    body = 8 + int.from_bytes(good[:8], "little")
    chosen = random.Random(len(good))
    for _ in range(flips):
        at = chosen.randrange(*chosen.choice([(0, body), (body, len(good))]))
        content = bytearray(good)
        content[at] ^= 1 << chosen.randrange(8)
        path.write_bytes(content)
        with pytest.raises(FormatError, match=str(path)) as caught:
            everything(path)
        assert caught.value.offset is not None
        assert caught.value.offset <= at or caught.value.offset == 8


def test_every_cut_and_every_addition_is_found(tmp_path: Path) -> None:
    path = write(tmp_path)
    good = path.read_bytes()
    for content in (*(good[:end] for end in range(0, len(good), 29)), good + b"\0"):
        path.write_bytes(content)
        with pytest.raises((TruncatedError, ChecksumError), match=str(path)):
            ArrayFile(path)


SPEC = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}
HOSTILE: list[Any] = [
    *({**SPEC, "dtype": value} for value in ("F16", "O", None, [])),
    *({**SPEC, "shape": value} for value in ([3], [2.0], [-1, -2], [1 << 70], 2, None)),
    *({**SPEC, "data_offsets": value} for value in ([0, 8], [16, 32], [0.5, 16], [0], None)),
    *([], None, {}),
]


def test_a_hostile_header_is_a_typed_error(tmp_path: Path) -> None:
    changes = [({"d": spec}, {}) for spec in HOSTILE]
    changes += [({}, {key: value}) for key in ("blocks", "metadata") for value in (5, None, "x")]
    changes += [({}, {"blocks": {"d": value}}) for value in ("", "AAAA", "AAAAAAAAAAA=", 5)]
    for change, about in changes:
        path = write(tmp_path, {"d": np.arange(2.0)})
        raw = path.read_bytes()
        header = header_of(raw)
        path.write_bytes(with_header(raw, header))
        assert everything(path)[1] == {"d": np.arange(2.0).tobytes()}
        header = {**header, **change, "about": header["about"] | about}
        path.write_bytes(with_header(raw, header))
        with pytest.raises(FormatError, match="header contradicts itself"):
            ArrayFile(path)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    safetensors = pytest.importorskip("safetensors.numpy")
    foreign = [b"PK\x03\x04" + bytes(100), b"\x89ECNAS\r\n" + bytes(99), safetensors.save(ONE)]
    gc.collect()  # of the tests before
    with warnings.catch_warnings(record=True) as leaks:
        warnings.simplefilter("always")
        for content in foreign:
            path.write_bytes(content)
            with pytest.raises(FormatError, match="not a safetensors file of this package; do"):
                ArrayFile(path, remedy="do that")
        path.write_bytes((1 << 40).to_bytes(8, "little") + PREFIX + bytes(100))
        with pytest.raises(TruncatedError, match="may have at most"):
            ArrayFile(path)
        gc.collect()
    assert leaks == []  # such as of a file left open
    os.mkfifo(tmp_path / "pipe")
    for nothing in (tmp_path, tmp_path / "none", tmp_path / "pipe", "a\0b"):
        with pytest.raises(UnknownTableError, match="cannot be read"):
            ArrayFile(nothing)


@pytest.mark.parametrize("array", [np.arange(9, dtype="i2"), np.array(["a"]), np.array([1j])])
def test_arrays_of_other_types_are_not_written(tmp_path: Path, array: Any) -> None:
    with pytest.raises(KeyError):
        write(tmp_path, {"a": array})
    assert list(tmp_path.iterdir()) == []


# -- blocks ---------------------------------------------------------------------------------------


def test_single_values_are_right_in_every_block(tmp_path: Path) -> None:
    """Before and after the first few blocks, which are read without the mapping."""
    values = rng.random(14 * BLOCK + 9)
    file = ArrayFile(write(tmp_path, {"a": values}))
    array = file.arrays["a"]
    for block in range(15):
        for inside in (BLOCK - 1, 7, 0):
            at = min(block * BLOCK + inside, len(values) - 1)
            assert array.at(at) == values[at]
        # After eight blocks, all others are read in the mapping, and count as checked there.
        assert sum(array.checked) == max(0, block - 7)
    assert (file["a"] == values).all()
    assert sum(array.checked) == 15


def test_a_block_is_checked_once(tmp_path: Path) -> None:
    """Neither read nor checked again: later damage stays unseen."""
    values = rng.random(2 * BLOCK)
    path = write(tmp_path, {"a": values})
    files = ArrayFile(path), ArrayFile(path)
    single, whole = (file.arrays["a"] for file in files)
    assert single.at(1) == values[1]
    before = whole.part(0, BLOCK).copy()
    with path.open("r+b") as changed:
        changed.seek(single.offset + 8 * 1_000)
        changed.write(b"\xff")
    assert single.at(1_001) == values[1_001]
    assert np.flatnonzero(whole.part(0, BLOCK) != before).tolist() == [1_000]
    with pytest.raises(ChecksumError):
        single.part(0, 1)


def test_damage_is_met_at_the_first_use_of_its_block_only(tmp_path: Path) -> None:
    values = rng.random(3 * BLOCK)
    path = write(tmp_path, {"a": values})
    content = bytearray(path.read_bytes())
    start = ArrayFile(path).arrays["a"].offset + 8 * BLOCK
    content[start + 5] ^= 1
    path.write_bytes(content)
    file = ArrayFile(path)
    array = file.arrays["a"]
    assert array.at(BLOCK - 1) == values[BLOCK - 1]
    assert (array.part(0, BLOCK) == values[:BLOCK]).all()
    assert (array.part(2 * BLOCK, 3 * BLOCK) == values[2 * BLOCK :]).all()
    for ask in (lambda: array.at(BLOCK), lambda: array.part(0, BLOCK + 1), lambda: file["a"]):
        for _ in range(2):
            with pytest.raises(ChecksumError, match="block 1 of a") as caught:
                ask()
            assert caught.value.offset == start


def test_a_closed_file_is_not_read(tmp_path: Path) -> None:
    file = ArrayFile(write(tmp_path))
    array, held = file.arrays["rows"], file["energy"]
    assert array.at(3) == 3
    file.close()
    file.close()
    assert file.closed
    np.testing.assert_array_equal(held, MIXED["energy"])
    asks = (lambda: array.at(3), lambda: array.items[3], lambda: array.part(0, 1))
    for ask in (*asks, lambda: file["energy"], lambda: len(array.items)):
        with pytest.raises(ClosedTableError, match=f"{file.path} is closed"):
            ask()
