"""CIFAR-10 read from tiny files in its three original formats, written here byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from naslib_ecnas.data.tfrecord import write_frames
from naslib_ecnas.errors import ChecksumError, FormatError, TruncatedError, UnknownTableError
from naslib_ecnas.training.data import read_binary, read_cifar10, read_python, read_tfrecord

N = 4
Pair = tuple[NDArray[Any], NDArray[Any]]


def _content(file: int) -> Pair:
    """(N, 3072) pixels and labels of one file."""
    rng = np.random.default_rng(file)
    return rng.integers(0, 256, (N, 3072), dtype=np.uint8), rng.integers(0, 10, N)


def binary(path: Path, pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    path.write_bytes(
        b"".join(bytes([label]) + row.tobytes() for row, label in zip(pixels, labels, strict=True))
    )


def _short(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def python2(path: Path, pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    """Protocol 2 as Python 2's cPickle and numpy write such a dictionary."""
    data = pixels.tobytes()
    path.write_bytes(
        b"\x80\x02}q\x01("
        + (_short("batch_label") + b"q\x02" + _short("training batch 1 of 5") + b"q\x03")
        + (_short("labels") + b"q\x04]q\x05(")
        + b"".join(b"K" + bytes([label]) for label in labels)
        + (b"e" + _short("data") + b"q\x06")
        + b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08"
        + (b"K\x00\x85" + _short("b") + b"\x87Rq\x09")
        + (b"(K\x01" + b"M" + struct.pack("<H", len(pixels)) + b"M\x00\x0c\x86")
        + (b"cnumpy\ndtype\nq\x0a" + _short("u1") + b"K\x00K\x01\x87Rq\x0b")
        + (b"(K\x03" + _short("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
        + (b"\x89T" + struct.pack("<i", len(data)) + data + b"tb")
        + (_short("filenames") + b"q\x0c]q\x0d(" + _short("a_s_000001.png") + b"q\x0eeu.")
    )


def _field(number: int, payload: bytes) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + payload


def example(row: bytes, label: int, *, packed: bool) -> bytes:
    """A `tf.train.Example`; integers as one packed field, or each by itself."""
    values = _field(1, bytes([label])) if packed else bytes([1 << 3, label])
    image = _field(1, b"image") + _field(2, _field(1, _field(1, row)))
    number = _field(1, b"label") + _field(2, _field(3, values))
    return _field(1, _field(1, image) + _field(1, number))


def tfrecord(path: Path, pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    pairs = zip(pixels, labels, strict=True)
    write_frames(
        path,
        (
            example(row.tobytes(), int(label), packed=k % 2 == 0)
            for k, (row, label) in enumerate(pairs)
        ),
    )


Writer = Callable[[Path, NDArray[Any], NDArray[Any]], None]
_BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
FORMS: dict[str, tuple[Writer, Callable[..., Pair], str, list[str]]] = {
    "binary": (binary, read_binary, "cifar-10-batches-bin", [f"{b}.bin" for b in _BATCHES]),
    "python": (python2, read_python, "cifar-10-batches-py", _BATCHES),
    "tfrecord": (
        tfrecord,
        read_tfrecord,
        ".",
        [
            f"{s}.tfrecords"
            for s in ("train_1", "train_2", "train_3", "train_4", "validation", "test")
        ],
    ),
}


def write_all(folder: Path, form: str) -> Path:
    write, _, name, files = FORMS[form]
    (folder / name).mkdir(exist_ok=True)
    for k, file in enumerate(files):
        write(folder / name / file, *_content(k))
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_one_file(form: str, tmp_path: Path) -> None:
    write, read, _, _ = FORMS[form]
    pixels, labels = _content(7)
    write(tmp_path / "file", pixels, labels)
    images, found = read(tmp_path / "file")
    assert images.shape == (N, 3, 32, 32)
    assert images.dtype == np.uint8
    assert images.flags.writeable
    np.testing.assert_array_equal(images.reshape(N, -1), pixels)
    np.testing.assert_array_equal(found, labels)
    # The second plane is green, row after row.
    assert images[0, 1, 2, 3] == pixels[0, 1024 + 2 * 32 + 3]


@pytest.mark.parametrize("form", FORMS)
def test_all_files_in_their_splits(form: str, tmp_path: Path) -> None:
    data = read_cifar10(write_all(tmp_path, form), images_per_file=N)
    assert data.name == "CIFAR-10 shortened"
    assert (len(data.train), len(data.validation), len(data.test)) == (4 * N, N, N)
    for k, split in ((4, data.validation), (5, data.test)):
        pixels, labels = _content(k)
        np.testing.assert_array_equal(split.images.reshape(N, -1).numpy(), pixels)
        assert split.labels.tolist() == labels.tolist()
    np.testing.assert_array_equal(data.train.images[-N:].reshape(N, -1).numpy(), _content(3)[0])


def test_the_forms_hold_the_same(tmp_path: Path) -> None:
    for form in FORMS:
        write_all(tmp_path, form)
    found = {read_cifar10(tmp_path, form=form, images_per_file=N).sha256 for form in FORMS}
    assert len(found) == 1


def test_files_in_the_folder_itself_are_found(tmp_path: Path) -> None:
    folder = write_all(tmp_path, "binary") / "cifar-10-batches-bin"
    assert len(read_cifar10(folder, images_per_file=N).test) == N


def test_short_files_are_not_taken_for_cifar10(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="another number of images"):
        read_cifar10(write_all(tmp_path, "binary"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write_all(tmp_path, "binary")
    (folder / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    with pytest.raises(UnknownTableError, match=r"data_batch_1\.bin"):
        read_cifar10(folder, images_per_file=N)
    with pytest.raises(UnknownTableError, match="no such form"):
        read_cifar10(folder, form="matlab")


@pytest.mark.parametrize("form", FORMS)
def test_cut_files_are_refused(form: str, tmp_path: Path) -> None:
    write, read, _, _ = FORMS[form]
    write(tmp_path / "whole", *_content(0))
    raw = (tmp_path / "whole").read_bytes()
    for stop in (0, 1, 11, 100, len(raw) // 2 + 5, len(raw) - 1):
        (tmp_path / "cut").write_bytes(raw[:stop])
        with pytest.raises(FormatError):
            read(tmp_path / "cut")
    with pytest.raises(UnknownTableError):
        read(tmp_path / "absent")


def test_a_label_that_is_no_class_is_refused(tmp_path: Path) -> None:
    folder = write_all(tmp_path, "binary")
    pixels, labels = _content(2)
    binary(folder / "cifar-10-batches-bin" / "data_batch_3.bin", pixels, labels + 10)
    with pytest.raises(FormatError, match="no class"):
        read_cifar10(folder, images_per_file=N)


def test_a_damaged_frame_is_refused(tmp_path: Path) -> None:
    tfrecord(tmp_path / "file", *_content(0))
    raw = bytearray((tmp_path / "file").read_bytes())
    raw[2000] ^= 1
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(ChecksumError):
        read_tfrecord(tmp_path / "file")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        example(b"\x00" * 3071, 1, packed=True),
        _field(1, _field(1, _field(1, b"label") + _field(2, _field(3, _field(1, b"\x01"))))),
        example(b"\x00" * 3072, 1, packed=True)[:-9],
        _field(1, _field(1, _field(1, b"image"))),
    ],
    ids=["empty", "short image", "no image", "cut", "no value"],
)
def test_frames_without_an_image_are_refused(frame: bytes, tmp_path: Path) -> None:
    write_frames(tmp_path / "file", [frame])
    with pytest.raises(FormatError):
        read_tfrecord(tmp_path / "file")


def test_an_empty_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TruncatedError):
        read_binary(tmp_path / "file")
