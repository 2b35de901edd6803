"""Learned layouts: the same answers as the exact reader, or none."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.data import protobuf, tfrecord_columns
from naslib_ecnas.data.protobuf import (
    Evaluation,
    ModelMetrics,
    ModelMetricsEnergy,
    decode,
    encode,
    from_metrics,
    metrics_of,
    to_metrics,
)
from naslib_ecnas.data.tfrecord_columns import Layout
from naslib_ecnas.errors import FormatError


def message(kind: Any, rng: np.random.Generator, names: list[str]) -> Any:
    values = {}
    for name in names:
        time = name.endswith("_unix_s")
        values[name] = float(rng.integers(1 << 31)) if time else float(rng.normal())
    return from_metrics(
        values,
        kind,
        trainable_parameters=int(rng.integers(1 << 14, 1 << 21)),
        devices={"gpu": "one", "cpu": "cpu:0"},
    )


@pytest.mark.parametrize("kind", [ModelMetrics, ModelMetricsEnergy])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), keep=st.floats(0.1, 1))
def test_a_layout_reads_what_the_exact_reader_reads(kind: Any, seed: int, keep: float) -> None:
    rng = np.random.default_rng(seed)
    names = [name for name in sorted(metrics_of(kind)) if rng.random() < keep]
    data = [encode(message(kind, rng, names)) for _ in range(20)]
    layout = Layout.learn(kind, data[0])
    assert layout is not None
    block = np.frombuffer(b"".join(data), dtype=np.uint8).reshape(20, -1)
    assert layout.fits(block).all()
    found = layout.decode(block)
    assert found.good.all()
    assert found.parameters is not None
    for i, raw in enumerate(data):
        exact = decode(kind, raw)
        values, devices = to_metrics(exact)
        assert {name: array[i] for name, array in found.values.items()} == values
        assert found.parameters[i] == exact.trainable_parameters
        assert dict(layout.devices) == devices


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_changed_byte_never_gives_another_answer(place: int, change: int) -> None:
    rng = np.random.default_rng(1)
    names = ["energy_kwh", "started_unix_s", "halfway_epoch", "gpu_power_w"]
    data = encode(message(ModelMetricsEnergy, rng, names))
    layout = Layout.learn(ModelMetricsEnergy, data)
    assert layout is not None
    changed = np.frombuffer(data, dtype=np.uint8).copy()
    changed[place % len(changed)] ^= change
    found = layout.decode(changed[None])
    if not (layout.fits(changed[None]) & found.good).all():
        return
    exact = decode(ModelMetricsEnergy, changed.tobytes())
    values, _ = to_metrics(exact)
    got = {name: float(array[0]) for name, array in found.values.items()}
    np.testing.assert_equal(got, values)
    assert found.parameters is not None
    assert found.parameters[0] == exact.trainable_parameters


def test_what_is_out_of_the_ordinary_is_not_learned() -> None:
    usual = encode(ModelMetrics((Evaluation(1.0), Evaluation(2.0), Evaluation(3.0)), 5, 1.0))
    assert Layout.learn(ModelMetrics, usual) is not None
    assert Layout.learn(ModelMetrics, usual + protobuf.pack_double(3, 2.0)) is None
    assert Layout.learn(ModelMetrics, usual + protobuf.pack_double(77, 2.0)) is None
    path = encode(ModelMetrics((Evaluation(checkpoint_path="x"),), 5))
    assert Layout.learn(ModelMetrics, path) is None


def test_two_evaluations_are_refused() -> None:
    with pytest.raises(FormatError, match="evaluations"):
        to_metrics(ModelMetrics((Evaluation(), Evaluation())))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 5), st.integers(0, 1000))
def test_base64_of_many_texts(size: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = [rng.bytes(size) for _ in range(n)]
    texts = [base64.encodebytes(data).replace(b"\n", b"\\n") for data in raw]
    block = np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(n, -1)
    decoded = tfrecord_columns.decode_base64(block)
    assert decoded is not None
    messages, sizes = decoded
    assert sizes.tolist() == [size] * n
    assert [m[:size].tobytes() for m in messages] == raw


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 500), st.integers(1, 255))
def test_base64_with_a_changed_character_is_refused_or_right(place: int, change: int) -> None:
    text = base64.encodebytes(bytes(range(100))).replace(b"\n", b"\\n")
    changed = bytearray(text)
    changed[place % len(changed)] ^= change
    decoded = tfrecord_columns.decode_base64(np.frombuffer(bytes(changed), dtype=np.uint8)[None])
    assert decoded is not None
    messages, sizes = decoded
    if sizes[0] >= 0:
        plain = bytes(changed).replace(b"\\n", b"")
        assert messages[0, : sizes[0]].tobytes() == base64.b64decode(plain, validate=True)


@pytest.mark.parametrize("count", range(1, 9))
def test_characters_that_are_none_are_not_left_out(count: int) -> None:
    # Four of them would leave whole bytes behind.
    text = bytearray(base64.encodebytes(bytes(range(100))).replace(b"\n", b"\\n"))
    text[8 : 8 + count] = b"*" * count
    decoded = tfrecord_columns.decode_base64(np.frombuffer(bytes(text), dtype=np.uint8)[None])
    assert decoded is not None
    assert decoded[1].tolist() == [-1]


def test_one_bad_text_does_not_spoil_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    raw = [rng.bytes(100) for _ in range(1500)]
    texts = [base64.encodebytes(data).replace(b"\n", b"\\n") for data in raw]
    # A character of no alphabet, padding in the middle, a break where there is none.
    bad = {3: b"*", 4: b"=", 700: b"-", 1499: b"\\"}
    for place, character in bad.items():
        texts[place] = texts[place][:50] + character + texts[place][51:]
    block = np.frombuffer(b"".join(texts), dtype=np.uint8).reshape(len(raw), -1)
    decoded = tfrecord_columns.decode_base64(block)
    assert decoded is not None
    messages, sizes = decoded
    assert np.flatnonzero(sizes < 0).tolist() == sorted(bad)
    good = [i for i in range(len(raw)) if i not in bad]
    assert [messages[i, : sizes[i]].tobytes() for i in good] == [raw[i] for i in good]


@pytest.mark.parametrize("text", [b"\\n", b"A\\n", b"AAAAA", b"x"])
def test_impossible_lengths_of_base64(text: bytes) -> None:
    decoded = tfrecord_columns.decode_base64(np.frombuffer(text, dtype=np.uint8)[None])
    assert decoded is None or decoded[1].tolist() == [-1]
