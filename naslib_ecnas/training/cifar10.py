"""CIFAR-10 from its published files: the Python version, the binary version, or TFRecords.

Krizhevsky 2009 publishes six files of 10,000 images, as pickles (`cifar-10-batches-py`) and as
plain bytes (`cifar-10-batches-bin`: for each image its label and 3,072 pixels, the red plane, the
green, the blue). `generate_cifar10_tfrecords.py` of google-research/nasbench makes six TFRecord
files of the same images.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.assemble import Source, opened
from naslib_ecnas.data.tfrecord import LENGTH, VARINT, fields, read_frames, varint
from naslib_ecnas.errors import FormatError, TruncatedError, UnknownTableError
from naslib_ecnas.files import is_file
from naslib_ecnas.training.data import IMAGES_PER_FILE, PIXELS, SIDE, Cifar10, Images

__all__ = ["read_binary", "read_cifar10", "read_python", "read_tfrecord"]


def read_cifar10(
    folder: str | PathLike[str],
    *,
    form: str | None = None,
    images_per_file: int = IMAGES_PER_FILE,
) -> Cifar10:
    """CIFAR-10 in NAS-Bench-101's splits: batches 1 to 4, batch 5, test batch.

    Args:
        folder: the folder of the six files, or the folder that the archive was unpacked in.
        form: `"python"`, `"binary"` or `"tfrecord"`; by default the first of them that is there.
        images_per_file: number of images in every file. Data with another number than the
            published files have are named "CIFAR-10 shortened" in records.

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
    whole = images_per_file == IMAGES_PER_FILE
    return Cifar10.of(files, name="CIFAR-10" if whole else "CIFAR-10 shortened")


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
    with opened(path) as file:
        raw = file.read()
    if not raw or len(raw) % (PIXELS + 1):
        raise TruncatedError(
            f"the file has {len(raw)} bytes, not a multiple of {PIXELS + 1}",
            path=path,
            offset=len(raw),
        )
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
    images, labels = [], []
    for offset, data in read_frames(path):
        image, label = _example(data, Source(str(path), offset, exact=False))
        images.append(image)
        labels.append(label)
    if not labels:
        raise TruncatedError("the file has no image", path=path)
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
    if len(image) != 1 or len(image[0]) != PIXELS or len(label) != 1:
        sizes = {"features": sorted(found), "image bytes": [len(i) for i in image]}
        raise source.fault(f"a frame has an image of {PIXELS} bytes and a label", value=sizes)
    value, stop = varint(label[0], 0, len(label[0]), source)
    if stop != len(label[0]):
        raise source.fault("a frame has one label, and this one has more")
    return image[0], value


def _parts(data: bytes, number: int, source: Source) -> list[bytes]:
    """The messages or bytes in a field of a message."""
    return [
        data[field.start : field.stop]
        for field in fields(data, source=source)
        if field.number == number and field.wire_type == LENGTH
    ]


def _entry(data: bytes, source: Source) -> tuple[str, bytes]:
    """Name and value of a feature."""
    name, feature = _parts(data, 1, source), _parts(data, 2, source)
    if len(name) != 1 or len(feature) != 1:
        raise source.fault("a feature needs one name and one value")
    return name[0].decode("utf-8", "replace"), feature[0]


def _values(feature: bytes, kind: int, source: Source) -> list[bytes]:
    """The values of a feature: bytes, or integers as varints, packed or not."""
    return [
        part[field.start : field.stop]
        for part in _parts(feature, kind, source)
        for field in fields(part, source=source)
        if field.number == 1 and field.wire_type in (LENGTH, VARINT)
    ]


# -- the Python version, read without unpickling --------------------------------------------
#
# Each file is a pickle of a dictionary with `data`, an (n, 3072) uint8 array, and `labels`, a
# list. `pickletools` of Python's library splits it into opcodes and runs nothing; a small stack
# rebuilds the few kinds of values that such a file has. Names in the pickle are compared with the
# three that numpy's arrays need and never looked up. `naslib_ecnas.data.nasbench_pickle` reads
# tables in the same spirit; this reader knows Python 2's byte strings and arrays of megabytes,
# which tables never have.

#: Opcodes that put their argument on the stack as it is.
_CONSTANTS = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "NONE", "NEWTRUE", "NEWFALSE"),
        *("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES"),
        *("SHORT_BINUNICODE", "BINUNICODE"),
    )
)

_EMPTY: dict[str, Any] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}

_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A function or class that a pickle names."""

    text: str


@dataclass
class _Object:
    """What a call of numpy's in the pickle makes: an array or a type, its state set by BUILD."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


_NDARRAY, _DTYPE, _ENCODE = _Name("numpy ndarray"), _Name("numpy dtype"), _Name("_codecs encode")

_RECONSTRUCT = tuple(_Name(f"numpy.{c}.multiarray _reconstruct") for c in ("core", "_core"))

_NAMES = {name.text: name for name in (_NDARRAY, _DTYPE, _ENCODE, *_RECONSTRUCT)}


def read_python(path: str | PathLike[str]) -> Images:
    """Images and labels of one file of the Python version.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: it is not such a pickle, or it names anything but numpy's arrays.
    """
    with opened(path) as file:
        raw = file.read()
    source = Source(str(path))
    content = _value(raw, source)
    if type(content) is not dict:
        raise _fault(source, f"its object is a {type(content).__name__}")
    named = {_text(key): value for key, value in content.items()}
    labels = named.get("labels")
    data = _array(named.get("data"), source)
    plain = type(labels) is list and all(
        type(label) is int and 0 <= label < 256 for label in labels
    )
    if not plain or not labels or data.shape != (len(labels), PIXELS):
        raise _fault(source, "images and labels do not fit each other")
    images = data.reshape(-1, 3, SIDE, SIDE).copy()
    return images, np.array(labels, dtype=np.int64)


def _fault(source: Source, why: str, at: int = 0) -> FormatError:
    return source.fault(
        f"not a pickle of (n, {PIXELS}) uint8 data and n labels: {why}",
        at=at,
        remedy="take the published archive; to load this file with pickle may run code",
    )


def _text(value: Any) -> Any:
    return value.decode("latin-1") if type(value) is bytes else value


def _value(raw: bytes, source: Source) -> Any:
    """The object of a pickle, arrays as `_Object`."""
    at = 0
    try:
        stack: list[Any] = []
        memory: dict[int, Any] = {}
        for opcode, argument, position in pickletools.genops(raw):
            at = position or 0
            if opcode.name == "STOP":
                break
            _step(opcode.name, argument, stack, memory)
        if len(stack) != 1:
            raise ValueError("it has more or less than one object")
    except (ValueError, IndexError, KeyError, TypeError) as error:
        # genops raises ValueError for other bytes than a pickle's; the other errors come from a
        # stack that does not hold what an opcode needs.
        raise _fault(source, str(error), at=at) from error
    return stack[0]


def _step(code: str, argument: Any, stack: list[Any], memory: dict[int, Any]) -> None:
    """Carry out one opcode; ValueError for one that CIFAR-10's files do not have."""
    if code in _CONSTANTS:
        stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}.get(code, argument))
    elif code in _EMPTY:
        stack.append(_EMPTY[code]())
    elif code in ("PROTO", "FRAME"):
        pass
    elif code in ("BINPUT", "LONG_BINPUT"):
        memory[argument] = stack[-1]
    elif code == "MEMOIZE":
        memory[len(memory)] = stack[-1]
    elif code in ("BINGET", "LONG_BINGET"):
        stack.append(memory[argument])
    elif code == "MARK":
        stack.append(_MARK)
    elif code in _TUPLES:
        count = _TUPLES[code]
        items = stack[-count:]
        del stack[-count:]
        stack.append(tuple(items))
    elif code == "TUPLE":
        stack.append(tuple(_since_mark(stack)))
    elif code == "APPEND":
        item = stack.pop()
        _checked(stack, list).append(item)
    elif code == "APPENDS":
        items = _since_mark(stack)
        _checked(stack, list).extend(items)
    elif code == "SETITEM":
        value, key = stack.pop(), stack.pop()
        _fill(_checked(stack, dict), [key, value])
    elif code == "SETITEMS":
        items = _since_mark(stack)
        _fill(_checked(stack, dict), items)
    elif code == "GLOBAL":
        stack.append(_named(argument))
    elif code == "STACK_GLOBAL":
        name, module = stack.pop(), stack.pop()
        if not (type(module) is str and type(name) is str):
            raise ValueError("a name is not a text")
        stack.append(_named(f"{module} {name}"))
    elif code == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        if type(function) is not _Name or type(arguments) is not tuple:
            raise ValueError("only numpy's functions for arrays may be called")
        stack.append(_called(function, arguments))
    elif code == "BUILD":
        state = stack.pop()
        _checked(stack, _Object).state = state
    else:
        raise ValueError(f"opcode {code} is not of this format")


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not _MARK:
        place -= 1
        if place < 0:
            raise ValueError("a mark is missing")
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _checked(stack: list[Any], kind: type) -> Any:
    if type(stack[-1]) is not kind:
        raise ValueError(f"{kind.__name__} expected, {type(stack[-1]).__name__} found")
    return stack[-1]


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    keys = items[::2]
    if len(items) % 2 or not all(type(key) in (str, bytes) for key in keys):
        raise ValueError("the keys of a dictionary have to be texts")
    target.update(zip(keys, items[1::2], strict=True))


def _named(text: str) -> _Name:
    if text not in _NAMES:
        raise ValueError(f"it names {text[:60]!r}, which is refused")
    return _NAMES[text]


def _called(function: _Name, arguments: tuple[Any, ...]) -> Any:
    if function is _ENCODE:  # how Python 3 writes bytes in protocol 2
        text, encoding = arguments
        if type(text) is not str or encoding != "latin1":
            raise ValueError("text has to be encoded as Latin-1")
        return text.encode("latin-1")
    if function in _RECONSTRUCT and (not arguments or arguments[0] is not _NDARRAY):
        raise ValueError("only plain arrays are made")
    return _Object(function.text, arguments)


def _array(made: Any, source: Source) -> NDArray[np.uint8]:
    """The (n, 3072) array of numpy's state (version, shape, type, Fortran order, bytes)."""
    state = made.state if type(made) is _Object else None
    if type(state) is not tuple or len(state) != 5:
        raise _fault(source, f"data is a {type(made).__name__}")
    _, shape, dtype, fortran, data = state
    if type(data) is str:  # pickletools shows Python 2's byte strings as Latin-1 text
        data = data.encode("latin-1")
    uint8 = _DTYPE.text, ("u1",)
    good = (
        type(dtype) is _Object
        and (dtype.name, dtype.arguments[:1]) == uint8
        and type(shape) is tuple
        and len(shape) == 2
        and all(type(side) is int and side >= 0 for side in shape)
        and type(data) is bytes
        and len(data) == shape[0] * shape[1]
    )
    if not good:
        raise _fault(source, "data is not an array of bytes that fills its shape")
    flat: NDArray[np.uint8] = np.frombuffer(data, dtype=np.uint8)
    images: NDArray[np.uint8] = flat.reshape(shape, order="F" if fortran else "C")
    return images


@dataclass(frozen=True)
class _Format:
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
