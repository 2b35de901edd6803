"""Damage at every layer of a TFRecord: a typed error with file and frame, or a right answer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas.data.convert import read, sniff
from naslib_ecnas.data.nasbench_tfrecord import (
    read_ecnas,
    read_nasbench,
    write_ecnas,
    write_nasbench,
)
from naslib_ecnas.data.protobuf import ModelMetrics
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.tfrecord import Row, decode_row, encode_row, read_frames, write_frames
from naslib_ecnas.errors import EcnasError, FormatError

Reader = Callable[..., Columns]
often = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=["ecnas", "nasbench"])
def made(request: pytest.FixtureRequest, tmp_path: Path, synthetic: Any) -> tuple[Path, Reader]:
    path = tmp_path / "good.tfrecord"
    if request.param == "ecnas":
        write_ecnas(path, synthetic(cells=4, budgets=(4,), repeats=2))
        return path, read_ecnas
    write_nasbench(path, synthetic(ModelMetrics, cells=4, budgets=(4,), repeats=2))
    return path, read_nasbench


def attempt(path: Path, reader: Reader) -> None:
    """Read; a failure must be typed, name the file, and lie within it."""
    size = path.stat().st_size
    try:
        reader(path)
    except FormatError as error:
        located = error.path == str(path) and (error.offset is None or 0 <= error.offset <= size)
        if not located:
            raise


@often
@given(data=st.data())
def test_damaged_files(made: tuple[Path, Reader], data: st.DataObject) -> None:
    path, reader = made
    raw = bytearray(path.read_bytes())
    how = data.draw(st.sampled_from(["cut", "flip", "insert", "delete"]))
    place = data.draw(st.integers(0, len(raw) - 1))
    if how == "cut":
        del raw[place:]
    elif how == "flip":
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "insert":
        raw[place:place] = data.draw(st.binary(min_size=1, max_size=20))
    else:
        del raw[place : place + data.draw(st.integers(1, 40))]
    damaged = path.with_name("damaged.tfrecord")
    damaged.write_bytes(raw)
    frames = [offset for offset, _ in read_frames(path)]
    if how == "flip" or place not in (*frames, path.stat().st_size):
        with pytest.raises(FormatError) as caught:
            reader(damaged)
        assert caught.value.path == str(damaged)
        # The checksums find it in the frame that was hit, or behind a wrong length.
        assert caught.value.offset is not None
        assert caught.value.offset <= place or how in ("insert", "delete")
    else:
        attempt(damaged, reader)


@often
@given(data=st.data())
def test_damaged_rows_in_sound_frames(made: tuple[Path, Reader], data: st.DataObject) -> None:
    path, reader = made
    rows = [bytearray(row) for _, row in read_frames(path)]
    row = data.draw(st.sampled_from(rows))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(len(row) - 1, 0)))
        if row and data.draw(st.booleans()):
            row[place] = data.draw(st.sampled_from(b'0", []\\n=AZ{}') | st.integers(0, 255))
        else:
            del row[place : place + data.draw(st.integers(1, 50))]
    damaged = path.with_name("damaged.tfrecord")
    write_frames(damaged, map(bytes, rows))
    attempt(damaged, reader)


@often
@given(seed=st.integers(0, 1 << 30))
def test_damaged_messages_in_sound_rows(made: tuple[Path, Reader], seed: int) -> None:
    path, reader = made
    rng = random.Random(seed)
    rows = [decode_row(row) for _, row in read_frames(path)]
    at = rng.randrange(len(rows))
    old = rows[at]
    message = bytearray(old.message)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(message))
        if rng.random() < 0.7:
            message[place] ^= 1 << rng.randrange(8)
        else:
            del message[place : place + rng.randrange(1, 30)]
            message = message or bytearray(b"\x00")
    rows[at] = Row(old.hash, old.epochs, old.bits, old.ops, bytes(message))
    damaged = path.with_name("damaged.tfrecord")
    write_frames(damaged, map(encode_row, rows))
    attempt(damaged, reader)


@often
@given(records=st.lists(st.binary(max_size=60) | st.just(b'["",1,"","",""]'), max_size=4))
def test_garbage_in_sound_frames(tmp_path: Path, records: list[bytes]) -> None:
    path = tmp_path / "garbage.tfrecord"
    write_frames(path, records)
    for reader in (read_ecnas, read_nasbench):
        with pytest.raises(FormatError) as caught:
            reader(path)
        assert caught.value.path == str(path)


ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=10,
)


@often
@given(items=st.lists(ITEMS, min_size=5, max_size=5))
def test_json_of_other_types(tmp_path: Path, items: list[Any]) -> None:
    path = tmp_path / "json.tfrecord"
    write_frames(path, [json.dumps(items).encode()])
    with pytest.raises(FormatError) as caught:
        read_ecnas(path)
    assert caught.value.offset == 0


@often
@given(data=st.binary(max_size=200))
def test_garbage_files_of_any_kind(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(data)
    with pytest.raises(EcnasError):
        read(path)
    for reader in (read_ecnas, read_nasbench):
        with pytest.raises(FormatError):
            reader(path)


def test_sniffing_a_damaged_file_is_typed_too(made: tuple[Path, Reader]) -> None:
    path, _ = made
    raw = path.read_bytes()
    path.write_bytes(raw[:40])
    with pytest.raises(FormatError):
        sniff(path)
