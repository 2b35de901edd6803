"""CIFAR-10 from its published files: the Python version, the binary version, or TFRecords.

Krizhevsky 2009 publishes six files of 10,000 images, as pickles (`cifar-10-batches-py`) and as
plain bytes (`cifar-10-batches-bin`: for each image its label and 3,072 pixels, the red plane, the
green, the blue). `generate_cifar10_tfrecords.py` of google-research/nasbench makes six TFRecord
files of the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.source import opened
from naslib_ecnas.errors import FormatError, TruncatedError, UnknownTableError
from naslib_ecnas.storage import is_file
from naslib_ecnas.training.cifar10_pickle import read_python
from naslib_ecnas.training.cifar10_tfrecord import read_tfrecord
from naslib_ecnas.training.data import IMAGES_PER_FILE, SIDE, Cifar10

__all__ = ["read_binary", "read_cifar10"]

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]
_PIXELS = 3 * SIDE * SIDE


def read_binary(path: str | PathLike[str]) -> Images:
    """One file of the binary version.

    Returns:
        (n, 3, 32, 32) images and (n,) labels.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends within an image, or is empty.
    """
    with opened(path) as file:
        raw = file.read()
    if not raw or len(raw) % (_PIXELS + 1):
        raise TruncatedError(
            "the file ends within an image",
            path=path,
            offset=len(raw),
            value=f"{len(raw)} bytes",
            expected=f"a multiple of {_PIXELS + 1}",
            remedy="unpack the archive again",
        )
    lines = np.frombuffer(raw, dtype=np.uint8).reshape(-1, _PIXELS + 1)
    images = lines[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(images), lines[:, 0].astype(np.int64)


@dataclass(frozen=True)
class _Format:
    folder: str
    """Folder that the archive unpacks to."""
    names: tuple[str, ...]
    """Files of training batches 1 to 5 and of the test batch."""
    read: Callable[[Path], Images]


_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_FORMATS = {
    "python": _Format("cifar-10-batches-py", _BATCHES, read_python),
    "binary": _Format(
        "cifar-10-batches-bin", tuple(f"{name}.bin" for name in _BATCHES), read_binary
    ),
    "tfrecord": _Format(
        ".",
        (
            *(f"train_{i}.tfrecords" for i in range(1, 5)),
            "validation.tfrecords",
            "test.tfrecords",
        ),
        read_tfrecord,
    ),
}


def read_cifar10(
    folder: str | PathLike[str],
    *,
    form: str | None = None,
    images_per_file: int = IMAGES_PER_FILE,
) -> Cifar10:
    """CIFAR-10 in NAS-Bench-101's splits: batches 1 to 4, batch 5, test batch.

    Args:
        folder: where the six files are, or the archive's folder is.
        form: `"python"`, `"binary"` or `"tfrecord"`; by default the first of them that is there.
        images_per_file: what every file has to hold. Other data than the published is named
            "CIFAR-10 shortened" in records.

    Raises:
        UnknownTableError: the files are not there, or cannot be read.
        FormatError: a file has another format, size, or a label that is no class.
        TruncatedError, ChecksumError: a file is damaged.
    """
    if form is not None and form not in _FORMATS:
        raise UnknownTableError(
            "no such form of CIFAR-10", value=form, expected=f"one of {', '.join(_FORMATS)}"
        )
    paths, read = _found(Path(folder), [form] if form else list(_FORMATS))
    files = []
    for path in paths:
        images, labels = read(path)
        if len(labels) != images_per_file:
            raise FormatError(
                "the file has another number of images",
                path=path,
                value=len(labels),
                expected=str(images_per_file),
                remedy="unpack the archive again",
            )
        files.append((images, labels))
    whole = images_per_file == IMAGES_PER_FILE
    return Cifar10.of(files, name="CIFAR-10" if whole else "CIFAR-10 shortened")


def _found(folder: Path, forms: list[str]) -> tuple[list[Path], Callable[[Path], Images]]:
    """The six files, of the first form that is there."""
    for form in forms:
        known = _FORMATS[form]
        for place in (folder, folder / known.folder):
            paths = [place / name for name in known.names]
            if all(map(is_file, paths)):
                return paths, known.read
    raise UnknownTableError(
        "CIFAR-10 is not in this folder",
        value=str(folder),
        expected=" or ".join(f"{form}: {', '.join(_FORMATS[form].names)}" for form in forms),
        remedy="unpack cifar-10-python.tar.gz or cifar-10-binary.tar.gz of "
        "https://www.cs.toronto.edu/~kriz/cifar.html there",
    )
