"""CIFAR-10 from its published files: the Python version, the binary version, or TFRecords.

Krizhevsky 2009 publishes six files of 10,000 images, as pickles (`cifar-10-batches-py`) and as
plain bytes (`cifar-10-batches-bin`: for each image its label and 3,072 pixels, the red plane, the
green, the blue). `generate_cifar10_tfrecords.py` of google-research/nasbench makes six TFRecord
files of the same images.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from naslib_ecnas.data.assemble import Source, opened
from naslib_ecnas.data.tfrecord import LENGTH, VARINT, fields, read_frames, varint
from naslib_ecnas.data.unpickle import unpickled
from naslib_ecnas.errors import FormatError, TruncatedError, UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.training.data import IMAGES_PER_FILE, PIXELS, SIDE, Cifar10, Images


def read_cifar10(
    folder: str | PathLike[str],
    *,
    form: str | None = None,
    images_per_file: int = IMAGES_PER_FILE,
) -> Cifar10:
    """CIFAR-10 in NAS-Bench-101's splits: batches 1 to 4, batch 5, test batch.

    Whether the images are CIFAR-10's is told by their digests; if not, their name says so in every
    record.

    Args:
        folder: the folder of the six files, or the folder that the archive was unpacked in.
        form: `"python"`, `"binary"` or `"tfrecord"`; by default the first of them that is there.
        images_per_file: number of images in every file.

    Raises:
        UnknownTableError: the files are not there, or cannot be read.
        FormatError: a file has another format or size, or a label outside 0 to 9.
        TruncatedError, ChecksumError: a file is damaged.
    """
    if form is not None and form not in _FORMATS:
        raise UnknownTableError(f"CIFAR-10 comes as {', '.join(_FORMATS)}", value=form)
    paths, read = _found(Path(folder), [form] if form else list(_FORMATS))
    files = []
    for path in paths:
        images, labels = read(path)
        if len(labels) != images_per_file:
            raise FormatError(f"expected {images_per_file} images", path=path, value=len(labels))
        files.append((images, labels))
    return Cifar10.of(files)


def _found(folder: Path, forms: list[str]) -> tuple[list[Path], Callable[[Path], Images]]:
    """The six files of the first form that is there, and their reader."""
    for form in forms:
        known = _FORMATS[form]
        for place in (folder, folder / known.folder):
            paths = [place / name for name in known.names]
            if all(map(is_file, paths)):
                return paths, known.read
    files = " or ".join(f"{form}: {', '.join(_FORMATS[form].names)}" for form in forms)
    raise UnknownTableError(
        f"CIFAR-10's six files are not in {folder} ({files})",
        remedy="unpack cifar-10-python.tar.gz or cifar-10-binary.tar.gz of "
        "https://www.cs.toronto.edu/~kriz/cifar.html there",
    )


def read_binary(path: str | PathLike[str]) -> Images:
    """Images and labels of one file of the binary version.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends within an image, or is empty.
    """
    with opened(path, most=1 << 28) as file:
        raw = file.read()
    if not raw or len(raw) % (PIXELS + 1):
        text = f"the file has {len(raw)} bytes, not a multiple of {PIXELS + 1}"
        raise TruncatedError(text, path=path, offset=len(raw))
    lines = np.frombuffer(raw, dtype=np.uint8).reshape(-1, PIXELS + 1)
    images = lines[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(images), lines[:, 0].astype(np.int64)


# -- TFRecord -------------------------------------------------------------------------------
#
# Every frame is a `tf.train.Example` (`example.proto`, `feature.proto` of TensorFlow): field 1 is
# the features, whose field 1 is a map from a name (1) to a feature (2); a feature has bytes (1)
# or integers (3), each as a list in field 1. `image` is 3,072 bytes, plane by plane, `label` an
# integer.

_BYTES, _INTEGERS = 1, 3


def read_tfrecord(path: str | PathLike[str]) -> Images:
    """Images and labels of one TFRecord file, all checksums checked, without TensorFlow.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends within a frame, or has no frame.
        ChecksumError: a checksum does not match.
        FormatError: a frame does not hold one image and its label.
    """
    pairs = [
        _example(data, Source(str(path), offset, exact=False)) for offset, data in read_frames(path)
    ]
    if not pairs:
        raise TruncatedError("the file has no image", path=path)
    pixels = np.frombuffer(bytearray().join(image for image, _ in pairs), dtype=np.uint8)
    labels = np.array([label for _, label in pairs], dtype=np.int64)
    return pixels.reshape(-1, 3, SIDE, SIDE), labels


def _example(data: bytes, source: Source) -> tuple[bytes, int]:
    """Image and label of one frame."""
    found = {}
    for features in _parts(data, 1, source):
        for entry in _parts(features, 1, source):
            name, feature = _parts(entry, 1, source), _parts(entry, 2, source)
            if len(name) != 1 or len(feature) != 1:
                raise source.fault("a feature needs one name and one value")
            found[name[0]] = feature[0]

    def values(name: bytes, kind: int) -> list[bytes]:
        lists = _parts(found.get(name, b""), kind, source)
        return [value for part in lists for value in _parts(part, 1, source)]

    image, label = values(b"image", _BYTES), values(b"label", _INTEGERS)
    if len(image) != 1 or len(image[0]) != PIXELS or len(label) != 1:
        sizes = {"features": sorted(found), "image bytes": [len(i) for i in image]}
        raise source.fault(f"a frame has an image of {PIXELS} bytes and a label", value=sizes)
    value, stop = varint(label[0], 0, len(label[0]), source)
    if stop != len(label[0]):
        raise source.fault("a frame has one label, and this one has more")
    return image[0], value


def _parts(data: bytes, number: int, source: Source) -> list[bytes]:
    """The values of a field of a message: bytes, messages, or varints, packed or not."""
    return [
        data[field.start : field.stop]
        for field in fields(data, source=source)
        if field.number == number and field.wire_type in (LENGTH, VARINT)
    ]


def read_python(path: str | PathLike[str]) -> Images:
    """Images and labels of one file of the Python version. No code of the pickle can run.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: it is not such a pickle, or it names anything but numpy's arrays.
    """
    numbers = unpickled(path, "cifar10")[0].numbers
    labels = np.frombuffer(bytearray(numbers["labels"]), dtype=np.int64)
    pixels = np.frombuffer(bytearray(numbers["images"]), dtype=np.uint8)
    order: Literal["C", "F"] = "F" if any(numbers["fortran"]) else "C"
    images = np.ascontiguousarray(pixels.reshape((len(labels), PIXELS), order=order))
    return images.reshape(-1, 3, SIDE, SIDE), labels


class _Format(NamedTuple):
    folder: str
    """Folder that the archive unpacks to."""
    names: tuple[str, ...]
    """Files of training batches 1 to 5 and of the test batch."""
    read: Callable[[Path], Images]


_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_RECORDS = (*(f"train_{i}" for i in range(1, 5)), "validation", "test")

_FORMATS = {
    "python": _Format("cifar-10-batches-py", _BATCHES, read_python),
    "binary": _Format("cifar-10-batches-bin", tuple(f"{b}.bin" for b in _BATCHES), read_binary),
    "tfrecord": _Format(".", tuple(f"{name}.tfrecords" for name in _RECORDS), read_tfrecord),
}
