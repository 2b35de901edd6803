"""Row by row against TensorFlow and protobuf, where these are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from naslib_ecnas.data.tfrecord import read_frames, write_frames


@pytest.fixture(scope="module")
def tensorflow() -> Any:
    return pytest.importorskip("tensorflow", reason="install tensorflow to compare with it")


@pytest.mark.slow
def test_tensorflow_reads_what_we_write_and_the_other_way(tmp_path: Path, tensorflow: Any) -> None:
    records = [bytes([i % 251]) * (i * 37 % 900) for i in range(300)]
    write_frames(tmp_path / "ours", records)
    dataset = tensorflow.data.TFRecordDataset(str(tmp_path / "ours"))
    assert [item.numpy() for item in dataset] == records
    with tensorflow.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "ours").read_bytes()
    assert [data for _, data in read_frames(tmp_path / "theirs")] == records


@pytest.mark.slow
def test_every_row_of_the_official_files(reference: Path, tensorflow: Any) -> None:
    paths = sorted((reference / "official").glob("*.tfrecord"))
    assert len(paths) == 7
    for path in paths:
        dataset = tensorflow.data.TFRecordDataset(str(path))
        theirs = [item.numpy() for item in dataset]
        assert [data for _, data in read_frames(path)] == theirs
