"""CIFAR-10 as NAS-Bench-101 splits it, held as bytes, and a synthetic stand-in for tests."""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naslib_ecnas.data.assemble import Source, opened
from naslib_ecnas.data.protobuf import LENGTH, VARINT, fields, varint
from naslib_ecnas.data.tfrecord import read_frames
from naslib_ecnas.errors import (
    ConfigError,
    FormatError,
    TruncatedError,
    UnknownTableError,
    check_counts,
)
from naslib_ecnas.files import is_file

__all__ = [
    "DEVIATION",
    "IMAGES_PER_FILE",
    "MEAN",
    "PAD",
    "SIDE",
    "Cifar10",
    "Split",
    "augment",
    "evaluation_batches",
    "read_binary",
    "read_cifar10",
    "read_python",
    "read_tfrecord",
    "standardise",
    "stream",
    "synthetic",
]


SIDE, _CHANNELS, _CLASSES = 32, 3, 10

#: Images of each of the six published files.
IMAGES_PER_FILE = 10_000

_FILES = 6


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their classes."""

    images: Tensor
    """(n, 3, 32, 32) uint8, red, green, blue."""
    labels: Tensor
    """(n,) int64, 0 to 9."""

    def __post_init__(self) -> None:
        n = len(self.labels)
        good = (
            self.images.dtype == torch.uint8
            and self.labels.dtype == torch.int64
            and tuple(self.images.shape) == (n, _CHANNELS, SIDE, SIDE)
            and n > 0
        )
        if not good:
            raise ConfigError(
                "not a split of CIFAR-10",
                value=(tuple(self.images.shape), self.images.dtype, self.labels.dtype),
                expected="(n, 3, 32, 32) uint8 images and (n,) int64 labels, n at least 1",
            )

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same on a device."""
        return Split(self.images.to(device), self.labels.to(device))

    def beside(self, device: torch.device | str) -> Split:
        """Labels on a device, images in the host's memory, from where a GPU can fetch them."""
        images = self.images.cpu()
        if torch.device(device).type == "cuda":
            images = images.pin_memory()
        return Split(images, self.labels.to(device))

    def first(self, n: int) -> Split:
        """The first n images, as a view."""
        return Split(self.images[:n], self.labels[:n])


@dataclass(frozen=True, eq=False)
class Cifar10:
    """The splits of NAS-Bench-101: batches 1 to 4, batch 5, test batch."""

    train: Split
    validation: Split
    test: Split
    name: str
    """`"CIFAR-10"`, `"CIFAR-10 shortened"` or `"synthetic"`."""
    sha256: str
    """Of the labels and pixels of the three splits, whatever the files' format."""

    @property
    def train_first(self) -> Split:
        """The first of the four training files, which the train accuracy is taken on."""
        return self.train.first(len(self.train) // 4)

    def to(self, device: torch.device | str) -> Cifar10:
        """The same on a device."""
        return self._each(lambda split: split.to(device))

    def beside(self, device: torch.device | str) -> Cifar10:
        """The same with the images in the host's memory; see `Split.beside`."""
        return self._each(lambda split: split.beside(device))

    def _each(self, change: Callable[[Split], Split]) -> Cifar10:
        train, validation, test = map(change, (self.train, self.validation, self.test))
        return Cifar10(train, validation, test, name=self.name, sha256=self.sha256)

    @classmethod
    def of(
        cls,
        files: list[tuple[NDArray[np.uint8], NDArray[np.int64]]],
        *,
        name: str,
    ) -> Cifar10:
        """From the images and labels of six files: training batches 1 to 5, test batch.

        Args:
            files: pairs of (n, 3, 32, 32) images and (n,) labels, n alike in all.
            name: of the data.

        Raises:
            FormatError: not six files of one size, or a label that is no class.
        """
        sizes = [len(labels) for _, labels in files]
        if len(sizes) != _FILES or len(set(sizes)) != 1:
            raise FormatError(
                "CIFAR-10 has six files of one size",
                value=sizes,
                expected=f"six times {IMAGES_PER_FILE}",
                remedy="take all files of one archive",
            )
        digest = sha256()
        parts = (files[:4], files[4:5], files[5:])
        splits = []
        for part in parts:
            images = np.concatenate([images for images, _ in part])
            labels = np.concatenate([labels for _, labels in part])
            if labels.min() < 0 or labels.max() >= _CLASSES:
                raise FormatError(
                    "a label is no class of CIFAR-10",
                    value=[int(labels.min()), int(labels.max())],
                    expected="0 to 9",
                )
            digest.update(labels.astype(np.uint8).tobytes())
            digest.update(images.tobytes())
            splits.append(Split(torch.from_numpy(images), torch.from_numpy(labels)))
        train, validation, test = splits
        return cls(train, validation, test, name=name, sha256=digest.hexdigest())


def synthetic(*, seed: int, images_per_file: int = 256) -> Cifar10:
    """Made-up images of ten learnable classes; nothing of CIFAR-10 is in them.

    Every class has a coarse random pattern; images are the pattern of their class under noise.

    Args:
        seed: of all draws.
        images_per_file: images of each of the six files.

    Raises:
        ConfigError: a file would be empty.
    """
    check_counts(images_per_file=images_per_file)
    check_counts(least=0, seed=seed)
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(64, 192, (_CLASSES, _CHANNELS, 4, 4)).repeat(8, axis=2).repeat(8, axis=3)
    files = []
    for _ in range(_FILES):
        labels = rng.integers(0, _CLASSES, images_per_file)
        noise = rng.normal(0, 32, (images_per_file, _CHANNELS, SIDE, SIDE))
        images = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
        files.append((images, labels.astype(np.int64)))
    return Cifar10.of(files, name="synthetic")


# The Python version of CIFAR-10, read without unpickling.
#
# Each file is a pickle of a dictionary with `data`, an (n, 3072) uint8 array, and `labels`, a
# list. `pickletools` of Python's library splits it into opcodes and runs nothing; a small stack
# rebuilds the few kinds of values that such a file has. Names in the pickle are compared with the
# three that numpy's arrays need and never looked up. `naslib_ecnas.data.nasbench_pickle` reads
# tables in the same spirit; this one knows Python 2's byte strings and arrays of megabytes, which
# tables never have.


_PIXELS = 3 * SIDE * SIDE

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
    text: str


@dataclass
class _Made:
    """What a call gave: an array, a type or bytes, by the name that was called."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


_NDARRAY, _DTYPE, _ENCODE = _Name("numpy ndarray"), _Name("numpy dtype"), _Name("_codecs encode")

_RECONSTRUCT = tuple(_Name(f"numpy.{c}.multiarray _reconstruct") for c in ("core", "_core"))

_NAMES = {name.text: name for name in (_NDARRAY, _DTYPE, _ENCODE, *_RECONSTRUCT)}


def read_python(path: str | PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One file of the Python version.

    Returns:
        (n, 3, 32, 32) images and (n,) labels.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: it is no such pickle, or names anything else than numpy's arrays.
    """
    with opened(path) as file:
        raw = file.read()
    source = Source(str(path))
    content = _value(raw, source)
    if type(content) is not dict:
        raise _fault(source, "the file is no dictionary")
    named = {_text(key): value for key, value in content.items()}
    labels = named.get("labels")
    data = _array(named.get("data"), source)
    plain = type(labels) is list and all(
        type(label) is int and 0 <= label < 256 for label in labels
    )
    if not plain or not labels or data.shape != (len(labels), _PIXELS):
        raise _fault(source, "images and labels do not fit each other")
    images = data.reshape(-1, 3, SIDE, SIDE).copy()
    return images, np.array(labels, dtype=np.int64)


def _fault(source: Source, what: str, value: Any = None, at: int = 0) -> FormatError:
    return source.fault(
        what,
        at=at,
        value=value,
        expected=f"a pickle of (n, {_PIXELS}) uint8 data and n labels",
        remedy="do not load it with pickle: it may run code. Take the published archive",
    )


def _text(value: Any) -> Any:
    return value.decode("latin-1") if type(value) is bytes else value


def _value(raw: bytes, source: Source) -> Any:
    """The object of a pickle, arrays as `_Made`."""
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
            raise ValueError("it ends with more or less than one object")
    except (ValueError, IndexError, KeyError, TypeError) as error:
        # genops raises ValueError for what is no pickle; the others are of a stack that is not
        # as its opcodes need it.
        raise _fault(source, f"the pickle cannot be read ({error})", at=at) from error
    return stack[0]


def _step(code: str, argument: Any, stack: list[Any], memory: dict[int, Any]) -> None:
    """One opcode; ValueError for what CIFAR-10 does not have."""
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
            raise ValueError("it names what is no name")
        stack.append(_named(f"{module} {name}"))
    elif code == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        if type(function) is not _Name or type(arguments) is not tuple:
            raise ValueError("it calls what is no function of numpy's arrays")
        stack.append(_called(function, arguments))
    elif code == "BUILD":
        state = stack.pop()
        _checked(stack, _Made).state = state
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
        raise ValueError(f"it fills what is no {kind.__name__}")
    return stack[-1]


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    keys = items[::2]
    if len(items) % 2 or not all(type(key) in (str, bytes) for key in keys):
        raise ValueError("a dictionary has a key that is no text")
    target.update(zip(keys, items[1::2], strict=True))


def _named(text: str) -> _Name:
    if text not in _NAMES:
        raise ValueError(f"it names {text[:60]!r}, which is refused")
    return _NAMES[text]


def _called(function: _Name, arguments: tuple[Any, ...]) -> Any:
    if function is _ENCODE:  # how Python 3 writes bytes in protocol 2
        text, encoding = arguments
        if type(text) is not str or encoding != "latin1":
            raise ValueError("only Latin-1 is known")
        return text.encode("latin-1")
    if function in _RECONSTRUCT and (not arguments or arguments[0] is not _NDARRAY):
        raise ValueError("only a plain array is made")
    return _Made(function.text, arguments)


def _array(made: Any, source: Source) -> NDArray[np.uint8]:
    """The (n, 3072) array of numpy's state (version, shape, type, Fortran order, bytes)."""
    state = made.state if type(made) is _Made else None
    if type(state) is not tuple or len(state) != 5:
        raise _fault(source, "the data are no array", type(made).__name__)
    _, shape, dtype, fortran, data = state
    if type(data) is str:  # pickletools shows Python 2's byte strings as Latin-1 text
        data = data.encode("latin-1")
    is_bytes = type(dtype) is _Made and dtype.name == _DTYPE.text and dtype.arguments[:1] == ("u1",)
    good = (
        is_bytes
        and type(shape) is tuple
        and len(shape) == 2
        and all(type(side) is int and side >= 0 for side in shape)
        and type(data) is bytes
        and len(data) == shape[0] * shape[1]
    )
    if not good:
        raise _fault(source, "the array is none of bytes, or does not fill its shape")
    flat: NDArray[np.uint8] = np.frombuffer(data, dtype=np.uint8)
    images: NDArray[np.uint8] = flat.reshape(shape, order="F" if fortran else "C")
    return images


# NAS-Bench-101's TFRecord files of CIFAR-10, read without TensorFlow.
#
# Every frame is a `tf.train.Example` (`example.proto`, `feature.proto` of TensorFlow): field 1 is
# the features, whose field 1 is a map from a name (1) to a feature (2); a feature has bytes (1)
# or integers (3), each as a list in field 1. `image` is 3,072 bytes, plane by plane, `label` an
# integer.


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


# CIFAR-10 from its published files: the Python version, the binary version, or TFRecords.
#
# Krizhevsky 2009 publishes six files of 10,000 images, as pickles (`cifar-10-batches-py`) and as
# plain bytes (`cifar-10-batches-bin`: for each image its label and 3,072 pixels, the red plane, the
# green, the blue). `generate_cifar10_tfrecords.py` of google-research/nasbench makes six TFRecord
# files of the same.


Images = tuple[NDArray[np.uint8], NDArray[np.int64]]


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


# Batches for training and evaluation, augmented and standardised as NAS-Bench-101 does.
#
# `cifar.py` of google-research/nasbench: four black pixels are added on every side, a square of the
# old size is cut out at random and mirrored at random; then the published means are subtracted and
# the result is divided by the published deviations, so that the border is not 0 in the end.


#: Of red, green and blue over the training images, in 0 to 255 (`cifar.py`).
MEAN = (125.31, 122.95, 113.87)

DEVIATION = (62.99, 62.09, 66.70)

#: Pixels added on each side.
PAD = 4


def standardise(images: Tensor) -> Tensor:
    """(n, 3, h, w) uint8 to float32 of about mean 0 and deviation 1."""
    mean, deviation = _constants(images.device)
    return (images.to(torch.float32) - mean) / deviation


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation, copied to a device once, not at every step."""
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1).to(device) for v in (MEAN, DEVIATION))
    return mean, deviation


def augment(images: Tensor, down: Tensor, right: Tensor, mirror: Tensor) -> Tensor:
    """Pad, cut and mirror a whole batch in one gathering.

    Args:
        images: (n, 3, 32, 32) uint8.
        down, right: (n,) where each square begins in the padded image, 0 to 8; 4 is the middle.
        mirror: (n,) 1 where the square is mirrored, 0 where not.

    Returns:
        (n, 3, 32, 32) uint8.
    """
    padded = torch.nn.functional.pad(images, (PAD, PAD, PAD, PAD))
    device = images.device
    line = torch.arange(SIDE, device=device)
    rows = down[:, None] + line
    columns = right[:, None] + torch.where(mirror[:, None] > 0, SIDE - 1 - line, line)
    places = torch.arange(len(images), device=device)
    colours = torch.arange(images.shape[1], device=device)
    return padded[
        places[:, None, None, None],
        colours[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def stream(
    split: Split, *, batch_size: int, rng: np.random.Generator, host: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless training batches: epochs in new random orders, one behind the other.

    A batch may reach across the end of an epoch, as in NAS-Bench-101, where the shuffled epochs
    are joined before they are cut. All draws of an epoch reach the device at once.

    Args:
        split: the images, on the device of the training; or `Split.beside` it.
        batch_size: images of a batch.
        rng: decides order, squares and mirroring.
        host: gather on the host, one batch ahead of the training; the same batches come out.

    Yields:
        (batch, 3, 32, 32) float32 standardised images and (batch,) labels.
    """
    drawn = _drawn(split, batch_size, rng, host)
    for images, labels, down, right, mirror in _one_ahead(drawn) if host else drawn:
        yield standardise(augment(images, down, right, mirror)), labels


def _drawn(
    split: Split, batch_size: int, rng: np.random.Generator, host: bool
) -> Iterator[tuple[Tensor, ...]]:
    """Images, labels and what `augment` wants, batch by batch, on the device."""
    device = split.labels.device
    n = len(split)
    order = torch.empty(0, dtype=torch.int64)
    plan = torch.empty((4, 0), dtype=torch.int64, device=device)
    while True:
        while plan.shape[1] < batch_size:
            draws = (
                rng.permutation(n),
                rng.integers(0, 2 * PAD + 1, n),
                rng.integers(0, 2 * PAD + 1, n),
                rng.integers(0, 2, n),
            )
            fresh = torch.from_numpy(np.stack(draws).astype(np.int64))
            plan = torch.cat([plan, fresh.to(device)], dim=1)
            order = torch.cat([order, fresh[0]])
        chosen, down, right, mirror = plan[:, :batch_size]
        images = _sent(split.images, order[:batch_size], device) if host else split.images[chosen]
        yield images, split.labels[chosen], down, right, mirror
        order, plan = order[batch_size:], plan[:, batch_size:]


def _sent(images: Tensor, chosen: Tensor, device: torch.device) -> Tensor:
    """Some images of the host's, on the device; nothing waits for a GPU.

    torch hands pinned memory out again only after the copy from it is done.
    """
    shape = (len(chosen), *images.shape[1:])
    batch = torch.empty(shape, dtype=images.dtype, pin_memory=device.type == "cuda")
    torch.index_select(images, 0, chosen, out=batch)
    return batch.to(device, non_blocking=True)


def _one_ahead(batches: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """The same of an endless one; each is made before the one in front of it is used."""
    ahead = next(batches)
    for following in batches:
        yield ahead
        ahead = following


def evaluation_batches(
    split: Split, *, batch_size: int, images: int | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Whole batches in the files' order, as views: 39 x 256 = 9,984 of 10,000 images.

    Args:
        split: the images.
        batch_size: images of a batch.
        images: look at no more than so many; by default at all.

    Returns:
        Pairs of (batch, 3, 32, 32) uint8 images and (batch,) labels.

    Raises:
        ConfigError: not even one batch can be filled.
    """
    n = len(split) if images is None else min(images, len(split))
    count = n // batch_size
    if count < 1:
        raise ConfigError(
            "no batch can be filled for an evaluation",
            value=n,
            expected=f"at least {batch_size} images",
            remedy="make batch_size smaller, or evaluate_images larger",
        )
    places = [slice(i * batch_size, (i + 1) * batch_size) for i in range(count)]
    return [(split.images[place], split.labels[place]) for place in places]
