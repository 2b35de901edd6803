"""Formats are told apart by content: the two kinds of TFRecord, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from naslib_ecnas.data.convert import sniff
from naslib_ecnas.data.fetch import sha256_of
from naslib_ecnas.data.protobuf import (
    Evaluation,
    EvaluationEnergy,
    Message,
    ModelMetrics,
    ModelMetricsEnergy,
    encode,
)
from naslib_ecnas.data.tfrecord import Row, encode_row, write_frames
from naslib_ecnas.errors import UnknownTableError

# The memory of this process: a file that can be opened, and whose first byte cannot be read.
UNREADABLE = Path("/proc/self/mem")


def framed(path: Path, *messages: Message) -> Path:
    rows = [Row("0" * 32, 4, "0100", "input,output", encode(message)) for message in messages]
    write_frames(path, map(encode_row, rows))
    return path


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (ModelMetrics((Evaluation(validation_accuracy=0.5),), 3), "nasbench-tfrecord"),
        (ModelMetrics((Evaluation(checkpoint_path="here"),), 3), "nasbench-tfrecord"),
        (ModelMetrics((), 3), "nasbench-tfrecord"),
        (ModelMetricsEnergy((EvaluationEnergy(energy=0.5),), 3), "ecnas-tfrecord"),
        (ModelMetricsEnergy((EvaluationEnergy(), EvaluationEnergy(energy=0.5))), "ecnas-tfrecord"),
        (ModelMetricsEnergy((), 3, total_energy=0.5), "ecnas-tfrecord"),
    ],
)
def test_the_first_message_tells_the_kind(tmp_path: Path, message: Message, name: str) -> None:
    other = ModelMetricsEnergy((EvaluationEnergy(energy=0.25),))
    assert sniff(framed(tmp_path / "x", message, other)) == name


@pytest.mark.skipif(not UNREADABLE.exists(), reason="no such file on this system")
def test_a_file_that_opens_and_cannot_be_read_is_told() -> None:
    with pytest.raises(UnknownTableError, match="cannot be read"):
        sniff(UNREADABLE)
    with pytest.raises(UnknownTableError, match="cannot be read") as caught:
        sha256_of(UNREADABLE)
    assert caught.value.value == str(UNREADABLE)
