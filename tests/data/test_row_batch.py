"""Rows of a batch taken apart: the official form by columns, everything else left to the reader."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.data import tfrecord_columns
from naslib_ecnas.data.tfrecord import Frames, Row, decode_row, encode_row, frame
from naslib_ecnas.data.tfrecord_columns import DrawnCells, RowBatch, RowSplitter
from naslib_ecnas.errors import FormatError

ROW = Row("0123456789abcdef" * 2, 108, "0100", "input,output", bytes(range(90)))
#: Operations of one length that differ in one character, and others.
OPS = [f"input,conv{a}x{a}-bn-relu,conv{b}x{b}-bn-relu,output" for a in (1, 3) for b in (1, 3)]
OPS += [
    "input,output",
    "input,outpu2",
    "input,output2",
    "input,maxpool3x3,output",
    *("input," + "x" * 200 + c + ",output" for c in "xy"),
]


def framed(rows: list[bytes]) -> Frames:
    buffer = b"".join(map(frame, rows))
    stops = np.cumsum([len(row) + 16 for row in rows]) - 4
    starts = stops - [len(row) for row in rows]
    return Frames((starts - 12).tolist(), buffer, starts, stops)


def agree(rows: list[bytes], found: RowBatch, cells: DrawnCells) -> None:
    """What was taken apart has to be what the exact reader finds."""
    buffer = framed(rows).buffer
    for i in np.flatnonzero(~found.odd).tolist():
        row = decode_row(rows[i])
        begin = int(found.text_starts[i])
        text = buffer[begin : begin + int(found.text_lengths[i])]
        assert found.hashes[i].tobytes().decode() == row.hash
        assert found.epochs[i] == row.epochs
        assert found.bits[i] == cells.number_of_bits(row.bits.encode())
        assert found.ops[i] == cells.number_of_ops(row.ops.encode())
        assert json.loads(b'"' + text + b'"') == json.loads(rows[i])[4]


@st.composite
def official(draw: st.DrawFn) -> Row:
    return Row(
        draw(st.text("0123456789abcdef", min_size=32, max_size=32)),
        draw(st.sampled_from([4, 12, 36, 108]) | st.integers(1, 999_999)),
        draw(st.sampled_from(["0100", "010001000", "011001000"])),
        draw(st.sampled_from(OPS)),
        draw(st.binary(max_size=120)),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(official(), min_size=1, max_size=20), st.integers(1, 3))
def test_official_rows_are_taken_apart(rows: list[Row], times: int) -> None:
    raw = [encode_row(row) for row in rows for _ in range(times)]
    cells = DrawnCells()
    found = RowSplitter(cells).split(framed(raw))
    assert not found.odd.any()
    agree(raw, found, cells)


@settings(max_examples=300, deadline=None)
@given(st.lists(official(), min_size=1, max_size=4), st.data())
def test_changed_rows_are_odd_or_right(rows: list[Row], data: st.DataObject) -> None:
    raw = [bytearray(encode_row(row)) for row in rows]
    changed = data.draw(st.sampled_from(raw))
    place = data.draw(st.integers(0, len(changed) - 1))
    new = data.draw(st.sampled_from([b"", b'"', b"\\", b" ", b"0", b", ", b"\\u0030", b'\\"']))
    changed[place : place + data.draw(st.integers(0, 3))] = new
    whole = [bytes(row) for row in raw]
    cells = DrawnCells()
    found = RowSplitter(cells).split(framed(whole))
    for i, (row, before) in enumerate(zip(whole, rows, strict=True)):
        assert not found.odd[i] or row != encode_row(before)
        try:
            decode_row(row)
        except FormatError:
            # What no cell and no message is, is told by those who read these.
            found.odd[i] = True
    agree(whole, found, cells)


ODD = {
    "nothing": b"",
    "a space more": encode_row(ROW).replace(b"[", b"[ "),
    "no space": encode_row(ROW).replace(b", ", b","),
    "a digit of the hash less": encode_row(replace(ROW, hash="0" * 31)),
    "a hash in capitals": encode_row(replace(ROW, hash="A" * 32)),
    "an escape in the hash": encode_row(ROW).replace(b'"0', b'"\\u0030'),
    "an escape in the matrix": encode_row(ROW).replace(b'"0100"', b'"\\u0030100"'),
    "an escape in the operations": encode_row(ROW).replace(b"input", b"\\u0069nput"),
    "a quote in the operations": encode_row(ROW).replace(b"input", b'\\"input'),
    "epochs 0": encode_row(replace(ROW, epochs=0)),
    "epochs with a zero first": encode_row(ROW).replace(b" 108,", b" 0108,"),
    "epochs of seven digits": encode_row(replace(ROW, epochs=1_000_000)),
    "negative epochs": encode_row(replace(ROW, epochs=-4)),
    "no epochs": encode_row(ROW).replace(b" 108,", b" ,"),
    "epochs with a letter": encode_row(ROW).replace(b" 108,", b" 1a8,"),
    "epochs with a slash": encode_row(ROW).replace(b" 108,", b" 1/8,"),
    "another bracket first": b"{" + encode_row(ROW)[1:],
    "another bracket last": encode_row(ROW)[:-1] + b"}",
    "a space behind": encode_row(ROW) + b" ",
    "a bracket behind": encode_row(ROW) + b"]",
    "two spaces": encode_row(ROW).replace(b'", "i', b'",  "i'),
    "two spaces before the message": encode_row(ROW).replace(b'put", "', b'put",  "'),
    "a tab before the epochs": encode_row(ROW).replace(b'", 1', b'",\t1'),
    "a tab before the matrix": encode_row(ROW).replace(b'8, "', b'8,\t"'),
    "a tab before the operations": encode_row(ROW).replace(b'", "i', b'",\t"i'),
    "a tab before the message": encode_row(ROW).replace(b'put", "', b'put",\t"'),
    "a comma for a colon": encode_row(ROW).replace(b'"0100", ', b'"0100": '),
}


@pytest.mark.parametrize("row", ODD.values(), ids=ODD)
def test_other_forms_are_odd_beside_good_rows(row: bytes) -> None:
    good = encode_row(ROW)
    rows = [good, row, good]
    cells = DrawnCells()
    splitter = RowSplitter(cells)
    for _ in range(2):  # also when its parts were met
        found = splitter.split(framed(rows))
        assert found.odd.tolist() == [False, True, False]
        agree(rows, found, cells)
    assert splitter.split(framed([row])).odd.all()


@pytest.mark.parametrize("place", [0, 7, 8, 31])
@pytest.mark.parametrize("character", "/:@AFG`g ")
def test_every_digit_of_a_hash_is_looked_at(place: int, character: str) -> None:
    name = ROW.hash[:place] + character + ROW.hash[place + 1 :]
    found = RowSplitter(DrawnCells()).split(framed([encode_row(replace(ROW, hash=name))]))
    assert found.odd.all()


def test_quotes_between_the_rows_are_none() -> None:
    # 290 is 0x122, and 0x22 is a quote: the length of the frame has one.
    row = next(
        made
        for size in range(200)
        for ops in OPS
        if len(made := encode_row(replace(ROW, ops=ops, message=bytes(size)))) % 256 == ord('"')
    )
    assert b'"' in struct.pack("<Q", len(row))
    cells = DrawnCells()
    found = RowSplitter(cells).split(framed([row, encode_row(ROW), row]))
    assert not found.odd.any()


@pytest.mark.parametrize("together", [1, 2, 1024])
def test_rows_that_differ_in_one_place_of_the_matrix_or_the_operations(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecord_columns, "_TOGETHER", together)
    rng = np.random.default_rng(0)
    long = "".join(rng.choice(list("01"), 49))
    drawn = [(long, ops) for ops in OPS]
    for place in (0, 7, 48):
        flipped = long[:place] + "10"[int(long[place])] + long[place + 1 :]
        drawn += [(flipped, OPS[0]), (flipped, OPS[1])]
    rows = [
        encode_row(replace(ROW, bits=drawn[i][0], ops=drawn[i][1]))
        for i in rng.integers(0, len(drawn), 400).tolist()
    ]
    cells = DrawnCells()
    found = RowSplitter(cells).split(framed(rows))
    assert not found.odd.any()
    agree(rows, found, cells)
    assert len(set(zip(found.bits.tolist(), found.ops.tolist(), strict=True))) == len(drawn)
