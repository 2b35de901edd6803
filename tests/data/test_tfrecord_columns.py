"""Fast reading in batches: the same answers as the exact readers, or none."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.data import protobuf as pb
from naslib_ecnas.data import tfrecord_columns
from naslib_ecnas.data.tfrecord import Frames, Row, decode_row, encode_row, frame
from naslib_ecnas.data.tfrecord_columns import LabelledGraphs, Layout, RowBatch, RowSplitter
from naslib_ecnas.errors import FormatError

# -- messages -------------------------------------------------------------------------------------


def message(kind: Any, rng: np.random.Generator, names: list[str]) -> bytes:
    values = {}
    for name in names:
        time = name.endswith("_unix_s")
        values[name] = float(rng.integers(1 << 31)) if time else float(rng.normal())
    parameters = int(rng.integers(1 << 14, 1 << 21))
    devices = {"gpu": "one", "cpu": "cpu:0"}
    return pb.encode(
        pb.from_metrics(values, kind, trainable_parameters=parameters, devices=devices)
    )


@pytest.mark.parametrize("kind", [pb.ModelMetrics, pb.ModelMetricsEnergy])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), keep=st.floats(0.1, 1))
def test_a_layout_reads_what_the_exact_reader_reads(kind: Any, seed: int, keep: float) -> None:
    rng = np.random.default_rng(seed)
    names = [name for name in sorted(pb.metrics_of(kind)) if rng.random() < keep]
    data = [message(kind, rng, names) for _ in range(20)]
    layout = Layout.learn(kind, data[0])
    assert layout is not None
    block = np.frombuffer(b"".join(data), dtype=np.uint8).reshape(20, -1)
    assert layout.fits(block).all()
    found = layout.decode(block)
    assert found.good.all()
    assert found.parameters is not None
    for i, raw in enumerate(data):
        exact = pb.decode(kind, raw)
        values, devices = pb.to_metrics(exact)
        assert {name: array[i] for name, array in found.values.items()} == values
        assert found.parameters[i] == exact.trainable_parameters
        assert dict(layout.devices) == devices


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_changed_byte_never_gives_another_answer(place: int, change: int) -> None:
    names = ["energy_kwh", "started_unix_s", "halfway_epoch", "gpu_power_w"]
    data = message(pb.ModelMetricsEnergy, np.random.default_rng(1), names)
    layout = Layout.learn(pb.ModelMetricsEnergy, data)
    assert layout is not None
    changed = np.frombuffer(data, dtype=np.uint8).copy()
    changed[place % len(changed)] ^= change
    found = layout.decode(changed[None])
    if not (layout.fits(changed[None]) & found.good).all():
        return
    exact = pb.decode(pb.ModelMetricsEnergy, changed.tobytes())
    got = {name: float(array[0]) for name, array in found.values.items()}
    np.testing.assert_equal(got, pb.to_metrics(exact)[0])
    assert found.parameters is not None
    assert found.parameters[0] == exact.trainable_parameters


def test_unusual_messages_have_no_layout() -> None:
    usual = pb.encode(
        pb.ModelMetrics((pb.Evaluation(1.0), pb.Evaluation(2.0), pb.Evaluation(3.0)), 5, 1.0)
    )
    assert Layout.learn(pb.ModelMetrics, usual) is not None
    for number in (3, 77):  # a field twice, an unknown one
        assert Layout.learn(pb.ModelMetrics, usual + pb.pack_double(number, 2.0)) is None
    path = pb.encode(pb.ModelMetrics((pb.Evaluation(checkpoint_path="x"),), 5))
    assert Layout.learn(pb.ModelMetrics, path) is None


# -- base64 ---------------------------------------------------------------------------------------


def decoded(texts: list[bytes]) -> list[bytes | None]:
    """The bytes of texts of one length; None for each that is refused."""
    found = tfrecord_columns.decode_base64(
        np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(len(texts), -1)
    )
    if found is None:
        return [None] * len(texts)
    pairs = zip(*found, strict=True)
    return [None if size < 0 else raw[:size].tobytes() for raw, size in pairs]


def official(raw: bytes) -> bytes:
    return base64.encodebytes(raw).replace(b"\n", b"\\n")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 5), st.integers(0, 1000))
def test_base64_of_many_texts(size: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw: list[Any] = [rng.bytes(size) for _ in range(n)]
    assert decoded([official(data) for data in raw]) == raw


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 500), st.integers(1, 255))
def test_base64_with_a_changed_character_is_refused_or_right(place: int, change: int) -> None:
    changed = bytearray(official(bytes(range(100))))
    changed[place % len(changed)] ^= change
    (found,) = decoded([bytes(changed)])
    plain = bytes(changed).replace(b"\\n", b"")
    assert found is None or found == base64.b64decode(plain, validate=True)


def test_malformed_base64_is_refused_and_does_not_spoil_its_neighbours() -> None:
    for count in range(1, 9):  # Python skips other characters: four would leave whole bytes
        text = bytearray(official(bytes(range(100))))
        text[8 : 8 + count] = b"*" * count
        assert decoded([bytes(text)]) == [None]
    for raw in (b"\\n", b"A\\n", b"AAAAA", b"x"):
        assert decoded([raw]) == [None]
    rng = np.random.default_rng(0)
    wanted: list[bytes | None] = [rng.bytes(100) for _ in range(1500)]
    texts = [official(data or b"") for data in wanted]
    # A character of no alphabet, padding in the middle, a line feed at a wrong place.
    for place, character in {3: b"*", 4: b"=", 700: b"-", 1499: b"\\"}.items():
        texts[place] = texts[place][:50] + character + texts[place][51:]
        wanted[place] = None
    assert decoded(texts) == wanted


# -- rows -----------------------------------------------------------------------------------------

ROW = Row("0123456789abcdef" * 2, 108, "0100", "input,output", bytes(range(90)))
#: Operations of one length that differ in one character, and others.
OPS = [f"input,conv{a}x{a}-bn-relu,conv{b}x{b}-bn-relu,output" for a in (1, 3) for b in (1, 3)]
OPS += ["input,output", "input,outpu2", "input,output2", "input,maxpool3x3,output"]
OPS += ["input," + "x" * 200 + c + ",output" for c in "xy"]


def split(rows: list[bytes], cells: LabelledGraphs, splitter: Any = None) -> RowBatch:
    """The rows in frames taken apart, all that are not odd compared with the exact reader's."""
    buffer = b"".join(map(frame, rows))
    stops = np.cumsum([len(row) + 16 for row in rows]) - 4
    starts = stops - [len(row) for row in rows]
    frames = Frames((starts - 12).tolist(), buffer, starts, stops)
    found = (splitter or RowSplitter(cells)).split(frames)
    for i in np.flatnonzero(~found.odd).tolist():
        try:
            row = decode_row(rows[i])
        except FormatError:  # whoever reads its cell or message will refuse it
            continue
        begin = int(found.text_starts[i])
        text = buffer[begin : begin + int(found.text_lengths[i])]
        assert found.hashes[i].tobytes().decode() == row.hash
        assert found.epochs[i] == row.epochs
        assert found.bits[i] == cells.number_of_bits(row.bits.encode())
        assert found.ops[i] == cells.number_of_ops(row.ops.encode())
        assert json.loads(b'"' + text + b'"') == json.loads(rows[i])[4]
    return found


ROWS = st.builds(
    Row,
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.sampled_from([4, 12, 36, 108]) | st.integers(1, 999_999),
    st.sampled_from(["0100", "010001000", "011001000"]),
    st.sampled_from(OPS),
    st.binary(max_size=120),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=20), st.integers(1, 3))
def test_official_rows_are_taken_apart(rows: list[Row], times: int) -> None:
    raw = [encode_row(row) for row in rows for _ in range(times)]
    assert not split(raw, LabelledGraphs()).odd.any()


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4), st.data())
def test_changed_rows_are_odd_or_right(rows: list[Row], data: st.DataObject) -> None:
    raw = [bytearray(encode_row(row)) for row in rows]
    changed = data.draw(st.sampled_from(raw))
    place = data.draw(st.integers(0, len(changed) - 1))
    new = data.draw(st.sampled_from([b"", b'"', b"\\", b" ", b"0", b", ", b"\\u0030", b'\\"']))
    changed[place : place + data.draw(st.integers(0, 3))] = new
    whole = [bytes(row) for row in raw]
    found = split(whole, LabelledGraphs())
    for i, (row, before) in enumerate(zip(whole, rows, strict=True)):
        assert not found.odd[i] or row != encode_row(before)


GOOD = encode_row(ROW)
#: Rows of other forms: a text of the official row, and what stands there instead.
ODD = [
    *((b"[", b"[ "), (b", ", b","), (b'"0', b'"\\u0030'), (b'"0100"', b'"\\u0030100"')),
    *((b"input", b"\\u0069nput"), (b"input", b'\\"input'), (b'"0100", ', b'"0100": ')),
    *((b" 108,", b" %b," % n) for n in (b"0108", b"1000000", b"0", b"-4", b"", b"1a8", b"1/8")),
    *((b'", "i', b'",  "i'), (b'put", "', b'put",  "')),
    *((b'", 1', b'",\t1'), (b'8, "', b'8,\t"'), (b'", "i', b'",\t"i'), (b'put", "', b'put",\t"')),
    *((ROW.hash.encode(), other) for other in (b"0" * 31, b"A" * 32)),
    *((GOOD, other) for other in (b"", b"{" + GOOD[1:], GOOD[:-1] + b"}")),
    *((GOOD, GOOD + more) for more in (b" ", b"]")),
    *(
        (ROW.hash.encode(), (ROW.hash[:place] + character + ROW.hash[place + 1 :]).encode())
        for place in (0, 7, 8, 31)
        for character in "/:@AFG`g "
    ),
]


def test_other_forms_are_odd_beside_good_rows() -> None:
    for old, new in ODD:
        row = GOOD.replace(old, new)
        assert row != GOOD
        cells = LabelledGraphs()
        splitter = RowSplitter(cells)
        for _ in range(2):  # the second time with known parts
            found = split([GOOD, row, GOOD], cells, splitter)
            assert found.odd.tolist() == [False, True, False], row
        assert split([row], cells, splitter).odd.all()


def test_quotes_between_the_rows_do_not_count() -> None:
    # 290 is 0x122, and 0x22 is a quote: the length of the frame contains one.
    row = next(
        made
        for size in range(200)
        for ops in OPS
        if len(made := encode_row(replace(ROW, ops=ops, message=bytes(size)))) % 256 == ord('"')
    )
    assert b'"' in struct.pack("<Q", len(row))
    assert not split([row, GOOD, row], LabelledGraphs()).odd.any()


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
    picked = [drawn[i] for i in rng.integers(0, len(drawn), 400).tolist()]
    found = split([encode_row(replace(ROW, bits=b, ops=o)) for b, o in picked], LabelledGraphs())
    assert not found.odd.any()
    assert len(set(zip(found.bits.tolist(), found.ops.tolist(), strict=True))) == len(drawn)
