"""NAS-Bench-101's TFRecord files of CIFAR-10, read without TensorFlow.

Every frame is a `tf.train.Example` (`example.proto`, `feature.proto` of TensorFlow): field 1 is the
features, whose field 1 is a map from a name (1) to a feature (2); a feature has bytes (1) or
integers (3), each as a list in field 1. `image` is 3,072 bytes, plane by plane, `label` an integer.
"""

from __future__ import annotations

from os import PathLike

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.source import Source
from naslib_ecnas.data.tfrecord import read_frames
from naslib_ecnas.data.wire import LENGTH, VARINT, fields, varint
from naslib_ecnas.errors import TruncatedError
from naslib_ecnas.training.data import SIDE

__all__ = ["read_tfrecord"]

_PIXELS = 3 * SIDE * SIDE
_BYTES, _INTEGERS = 1, 3


def read_tfrecord(path: str | PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One file, all checksums checked.

    Returns:
        (n, 3, 32, 32) images and (n,) labels.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends within a frame, or has none.
        ChecksumError: bytes do not have their checksum.
        FormatError: a frame is no image with its label.
    """
    images, labels = [], []
    for offset, data in read_frames(path):
        image, label = _example(data, Source(str(path), offset, exact=False))
        images.append(image)
        labels.append(label)
    if not labels:
        raise TruncatedError("the file has no image", path=path, expected="at least one frame")
    pixels = np.frombuffer(bytearray().join(images), dtype=np.uint8)
    return pixels.reshape(-1, 3, SIDE, SIDE), np.array(labels, dtype=np.int64)


def _example(data: bytes, source: Source) -> tuple[bytes, int]:
    """Image and label of one frame."""
    found = {
        name: feature
        for features in _parts(data, 1, source)
        for name, feature in (_entry(entry, source) for entry in _parts(features, 1, source))
    }
    image = _values(found.get("image", b""), _BYTES, source)
    label = _values(found.get("label", b""), _INTEGERS, source)
    if len(image) != 1 or len(image[0]) != _PIXELS or len(label) != 1:
        raise source.fault(
            "the frame is no image of CIFAR-10",
            value={"features": sorted(found), "bytes of image": [len(i) for i in image]},
            expected=f"an image of {_PIXELS} bytes and one label",
        )
    return image[0], _integer(label[0], source)


def _parts(data: bytes, number: int, source: Source) -> list[bytes]:
    """The messages or bytes in a field of a message."""
    return [
        data[field.start : field.stop]
        for field in fields(data, source)
        if field.number == number and field.wire_type == LENGTH
    ]


def _entry(data: bytes, source: Source) -> tuple[str, bytes]:
    name, feature = _parts(data, 1, source), _parts(data, 2, source)
    if len(name) != 1 or len(feature) != 1:
        raise source.fault("a feature has no name or no value")
    return name[0].decode("utf-8", "replace"), feature[0]


def _values(feature: bytes, kind: int, source: Source) -> list[bytes]:
    """The values of a feature: bytes, or integers as varints, packed or not."""
    out = []
    for part in _parts(feature, kind, source):
        for field in fields(part, source):
            if field.number == 1 and field.wire_type in (LENGTH, VARINT):
                out.append(part[field.start : field.stop])
    return out


def _integer(data: bytes, source: Source) -> int:
    value, stop = varint(data, 0, source)
    if stop != len(data):
        raise source.fault("the frame has more than one label", expected="one")
    return value
