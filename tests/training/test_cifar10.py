"""CIFAR-10 read from tiny files in its three published formats, written here byte by byte."""

from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from naslib_ecnas.data.tfrecord import pack, write_frames
from naslib_ecnas.errors import ChecksumError, FormatError, UnknownTableError

pytest.importorskip("torch", reason="torch is not installed")

from naslib_ecnas.training import data as data_module
from naslib_ecnas.training.cifar10 import read_binary, read_cifar10, read_python, read_tfrecord
from naslib_ecnas.training.data import DIGESTS, Cifar10, digest

N = 4
Pair = tuple[NDArray[Any], NDArray[Any]]


def _content(file: int) -> Pair:
    """(N, 3072) pixels and labels of one file."""
    rng = np.random.default_rng(file)
    return rng.integers(0, 256, (N, 3072), dtype=np.uint8), rng.integers(0, 10, N)


def binary(path: Path, pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    pairs = zip(pixels, labels, strict=True)
    path.write_bytes(b"".join(bytes([label]) + row.tobytes() for row, label in pairs))


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


def example(row: bytes, label: int, *, packed: bool) -> bytes:
    """A `tf.train.Example`; integers as one packed field, or each by itself."""
    image = pack(1, b"image") + pack(2, pack(1, pack(1, row)))
    number = pack(1, b"label") + pack(2, pack(3, pack(1, bytes([label]) if packed else label)))
    return pack(1, pack(1, image) + pack(1, number))


def tfrecord(path: Path, pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    pairs = enumerate(zip(pixels, labels, strict=True))
    write_frames(path, (example(row.tobytes(), int(y), packed=k % 2 == 0) for k, (row, y) in pairs))


Writer = Callable[[Path, NDArray[Any], NDArray[Any]], None]
_BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
_RECORDS = [*(f"train_{i}" for i in range(1, 5)), "validation", "test"]
FORMS: dict[str, tuple[Writer, Callable[..., Pair], str, list[str]]] = {
    "binary": (binary, read_binary, "cifar-10-batches-bin", [f"{b}.bin" for b in _BATCHES]),
    "python": (python2, read_python, "cifar-10-batches-py", _BATCHES),
    "tfrecord": (tfrecord, read_tfrecord, ".", [f"{name}.tfrecords" for name in _RECORDS]),
}


def write_all(folder: Path, form: str) -> Path:
    write, _, name, files = FORMS[form]
    (folder / name).mkdir(exist_ok=True)
    for k, file in enumerate(files):
        write(folder / name / file, *_content(k))
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_one_file_and_parts_of_it(form: str, tmp_path: Path) -> None:
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
    raw = (tmp_path / "file").read_bytes()
    for stop in (0, 1, 11, 100, len(raw) // 2 + 5, len(raw) - 1):
        (tmp_path / "cut").write_bytes(raw[:stop])
        with pytest.raises(FormatError):
            read(tmp_path / "cut")
    with pytest.raises(UnknownTableError):
        read(tmp_path / "absent")


def test_every_form_gives_the_same_splits(tmp_path: Path) -> None:
    checksums = set()
    for form in FORMS:
        data = read_cifar10(write_all(tmp_path, form), form=form, images_per_file=N)
        checksums.add(data.sha256)
        assert data.name == "not CIFAR-10"
        assert (len(data.train), len(data.validation), len(data.test)) == (4 * N, N, N)
        for k, split in ((4, data.validation), (5, data.test)):
            pixels, labels = _content(k)
            np.testing.assert_array_equal(split.images.reshape(N, -1).numpy(), pixels)
            assert split.labels.tolist() == labels.tolist()
        last = data.train.images[-N:].reshape(N, -1).numpy()
        np.testing.assert_array_equal(last, _content(3)[0])
    assert len(checksums) == 1
    # The folder of the six files itself will do too.
    found = read_cifar10(tmp_path / "cifar-10-batches-bin", images_per_file=N)
    assert found.sha256 in checksums


def test_digests_tell_cifar10_not_the_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the form, a file's digest is that of the published binary version."""
    assert len(set(DIGESTS)) == 6
    assert all(re.fullmatch("[0-9a-f]{64}", published) for published in DIGESTS)
    write_all(tmp_path, "binary")
    folder = tmp_path / "cifar-10-batches-bin"
    files = [folder / name for name in FORMS["binary"][3]]
    assert [digest(*read_binary(file)) for file in files] == list(map(_sha256, files))
    # As if the published files held these few images.
    monkeypatch.setattr(data_module, "DIGESTS", tuple(map(_sha256, files)))
    for form in FORMS:
        name = read_cifar10(write_all(tmp_path, form), form=form, images_per_file=N).name
        assert name == "CIFAR-10"
    raw = bytearray(files[2].read_bytes())
    raw[-1] ^= 1
    files[2].write_bytes(raw)
    assert read_cifar10(folder, images_per_file=N).name == "not CIFAR-10"
    black = np.zeros((10_000, 3, 32, 32), dtype=np.uint8), np.zeros(10_000, dtype=np.int64)
    assert Cifar10.of([black] * 6).name == "not CIFAR-10"


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = write_all(tmp_path, "binary")
    third = folder / "cifar-10-batches-bin" / "data_batch_3.bin"
    with pytest.raises(FormatError, match="expected 10000 images, got 4"):
        read_cifar10(folder)
    pixels, labels = _content(2)
    binary(third, pixels, labels + 10)
    with pytest.raises(FormatError, match="0 to 9"):
        read_cifar10(folder, images_per_file=N)
    third.unlink()
    with pytest.raises(UnknownTableError, match=r"data_batch_1\.bin"):
        read_cifar10(folder, images_per_file=N)
    with pytest.raises(UnknownTableError, match="python, binary, tfrecord, got 'matlab'"):
        read_cifar10(folder, form="matlab")


# -- TFRecord -------------------------------------------------------------------------------


def test_damaged_frames_and_frames_without_an_image_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    tfrecord(path, *_content(0))
    raw = bytearray(path.read_bytes())
    raw[2000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ChecksumError):
        read_tfrecord(path)
    two = pack(1, b"label") + pack(2, pack(3, pack(1, b"\x01\x01")))
    image = pack(1, b"image") + pack(2, pack(1, pack(1, b"\x00" * 3072)))
    for frame in (
        b"",
        example(b"\x00" * 3071, 1, packed=True),
        pack(1, pack(1, pack(1, b"label") + pack(2, pack(3, pack(1, b"\x01"))))),
        example(b"\x00" * 3072, 1, packed=True)[:-9],
        pack(1, pack(1, pack(1, b"image"))),
        pack(1, pack(1, image) + pack(1, two)),
    ):
        write_frames(path, [frame])
        with pytest.raises(FormatError):
            read_tfrecord(path)


# -- the Python version ---------------------------------------------------------------------

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
LABELS = [4, 0, 9]


def test_files_that_python_3_wrote_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for protocol in (2, 3, 4):
        for keys in (("data", "labels"), (b"data", b"labels")):
            more = {"filenames": ["a", "b", "c"], "more": (1, None)}
            path.write_bytes(pickle.dumps({keys[0]: PIXELS, keys[1]: LABELS, **more}, protocol))
            images, labels = read_python(path)
            np.testing.assert_array_equal(images.reshape(3, -1), PIXELS)
            assert labels.tolist() == LABELS
    path.write_bytes(pickle.dumps({"data": np.asfortranarray(PIXELS), "labels": LABELS}, 4))
    np.testing.assert_array_equal(read_python(path)[0].reshape(3, -1), PIXELS)


def test_other_content_is_refused(tmp_path: Path) -> None:
    whole, objects = {"data": PIXELS, "labels": LABELS}, np.array([["a", "b"]], dtype=object)
    pixels = (PIXELS[:, :3071].copy(), PIXELS.ravel(), PIXELS.astype(np.int32), PIXELS.tolist())
    for content in (
        *([PIXELS, LABELS], {"data": PIXELS}, {"labels": LABELS}),
        *({**whole, "labels": labels} for labels in (LABELS[:2], [4, 0, -9], [4, 0, "9"])),
        *({**whole, "data": data} for data in (*pixels, objects)),
    ):
        (tmp_path / "file").write_bytes(pickle.dumps(content, 4))
        with pytest.raises(FormatError, match="uint8 data and n labels: "):
            read_python(tmp_path / "file")
    # A name of anything but numpy's arrays: what could run is not even looked up.
    (tmp_path / "file").write_bytes(pickle.dumps({**whole, "trap": os.mkdir}))
    with pytest.raises(FormatError, match="refused"):
        read_python(tmp_path / "file")
