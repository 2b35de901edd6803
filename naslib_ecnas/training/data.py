"""CIFAR-10 in NAS-Bench-101's splits, from its files, and the batches that a training takes of it.

Krizhevsky 2009 publishes six files of 10,000 images, as pickles (`cifar-10-batches-py`) and as
plain bytes (`cifar-10-batches-bin`: for each image its label and 3,072 pixels, the red plane, the
green, the blue). `generate_cifar10_tfrecords.py` of google-research/nasbench makes six TFRecord
files of the same images.

Batches are made as in `cifar.py` of google-research/nasbench: four black pixels are added on every
side, a square of the old size is cut out and mirrored at random; then the published means are
subtracted and the result is divided by the published deviations, so the border does not end as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naslib_ecnas.data.assemble import Source, opened
from naslib_ecnas.data.tfrecord import LENGTH, VARINT, fields, read_frames, varint
from naslib_ecnas.data.unpickle import unpickled
from naslib_ecnas.errors import (
    ConfigError,
    FormatError,
    TruncatedError,
    UnknownTableError,
    check_counts,
)
from naslib_ecnas.files import is_file
from naslib_ecnas.training.record import CIFAR10, OTHER, SPLITS

SIDE, _CHANNELS, CLASSES = 32, 3, 10
PIXELS = _CHANNELS * SIDE * SIDE
#: A file of n images, (n, 3073) uint8, as in CIFAR-10's binary version: of each its label, and then
#: its pixels, the red plane, the green, the blue.
Lines = NDArray[np.uint8]
#: Of the published files.
IMAGES_PER_FILE, _FILES = 10_000, 6
#: Of red, green and blue over the training images, in 0 to 255 (`cifar.py`).
MEAN = (125.31, 122.95, 113.87)
DEVIATION = (62.99, 62.09, 66.70)
_PAD = 4  # pixels added on each side
#: SHA-256 of data_batch_1.bin to data_batch_5.bin and test_batch.bin of cifar-10-binary.tar.gz, as
#: in `cifar10.rb` of ankane/torchvision-ruby; the Python version has the same labels and pixels.
DIGESTS = (
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
)


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their classes."""

    images: Tensor
    """(n, 3, 32, 32) uint8, red, green, blue."""
    labels: Tensor
    """(n,) int64, 0 to 9."""

    def __post_init__(self) -> None:
        found = tuple(self.images.shape), self.images.dtype, self.labels.dtype
        shape = len(self.labels), _CHANNELS, SIDE, SIDE
        if found != (shape, torch.uint8, torch.int64) or not len(self.labels):
            text = "a split takes (n, 3, 32, 32) uint8 images and n int64 labels, n > 0"
            raise ConfigError(text, value=found)

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str, *, host: bool = False) -> Split:
        """The same on a device; with `host` the images stay in host memory, pinned for a GPU."""
        images = self.images.cpu() if host else self.images.to(device)
        if host and torch.device(device).type == "cuda":
            images = images.pin_memory()
        return Split(images, self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Cifar10:
    """The splits of NAS-Bench-101: batches 1 to 4, batch 5, test batch."""

    train: Split
    validation: Split
    test: Split
    name: str
    """`CIFAR10` if the files' digests are the published ones, `OTHER` or `"synthetic"`."""
    sha256: str
    """Checksum of the files' checksums, in hexadecimal and one after the other."""

    @property
    def train_first(self) -> Split:
        """The first of the four training files, on which the train accuracy is measured."""
        n = len(self.train) // 4
        return Split(self.train.images[:n], self.train.labels[:n])

    def to(self, device: torch.device | str, *, host: bool = False) -> Cifar10:
        """The same data on a device; with `host` the images stay in host memory."""
        return replace(self, **{s: getattr(self, s).to(device, host=host) for s in SPLITS})

    @classmethod
    def of(cls, files: list[Lines], *, name: str | None = None) -> Cifar10:
        """The splits of six files: training batches 1 to 5, test batch.

        Without a name their digests decide whether they are CIFAR-10's.

        Raises:
            FormatError: not six files of one size, or a label above 9.
        """
        sizes = [len(lines) for lines in files]
        if len(sizes) != _FILES or len(set(sizes)) != 1:
            raise FormatError("CIFAR-10 has six files with equally many images", value=sizes)
        digests = tuple(sha256(lines.tobytes()).hexdigest() for lines in files)
        splits = []
        for part in (files[:4], files[4:5], files[5:]):
            lines = np.concatenate(part)
            images, labels = lines[:, 1:].reshape(-1, _CHANNELS, SIDE, SIDE), lines[:, 0]
            if (most := int(labels.max())) >= CLASSES:
                raise FormatError("labels of CIFAR-10 are 0 to 9", value=most)
            splits.append(Split(torch.from_numpy(images), torch.from_numpy(labels).long()))
        whole = sha256("".join(digests).encode()).hexdigest()
        known = CIFAR10 if digests == DIGESTS else OTHER
        train, validation, test = splits
        return cls(train, validation, test, name=name or known, sha256=whole)


def synthetic(*, seed: int, images_per_file: int = 256) -> Cifar10:
    """Made-up images of ten learnable classes; nothing of CIFAR-10 is in them.

    Every class has a coarse random pattern; an image is its class's pattern plus noise.

    Raises:
        ConfigError: a file would be empty, or the seed is negative.
    """
    check_counts(images_per_file=images_per_file)
    check_counts(least=0, seed=seed)
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(64, 192, (CLASSES, _CHANNELS, 4, 4)).repeat(8, axis=2).repeat(8, axis=3)
    files = []
    for _ in range(_FILES):
        labels = rng.integers(0, CLASSES, images_per_file)
        noise = rng.normal(0, 32, (images_per_file, _CHANNELS, SIDE, SIDE))
        pixels = np.clip(patterns[labels] + noise, 0, 255).reshape(-1, PIXELS)
        files.append(np.column_stack([labels, pixels]).astype(np.uint8))
    return Cifar10.of(files, name="synthetic")


# -- the files ------------------------------------------------------------------------------


def read_binary(path: str | PathLike[str]) -> Lines:
    """One file of the binary version.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends within an image, or is empty.
    """
    with opened(path, most=1 << 28) as file:
        raw = file.read()
    if not raw or len(raw) % (PIXELS + 1):
        text = f"the file has {len(raw)} bytes, not a multiple of {PIXELS + 1}"
        raise TruncatedError(text, path=path, offset=len(raw))
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, PIXELS + 1)


# -- TFRecord -------------------------------------------------------------------------------
#
# Every frame is a `tf.train.Example` (`example.proto`, `feature.proto` of TensorFlow): field 1 is
# the features, whose field 1 is a map from a name (1) to a feature (2); a feature has bytes (1)
# or integers (3), each as a list in field 1. `image` is 3,072 bytes, plane by plane, `label` an
# integer.

_BYTES, _INTEGERS = 1, 3


def read_tfrecord(path: str | PathLike[str]) -> Lines:
    """One TFRecord file, all checksums checked, without TensorFlow.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends within a frame, or has no frame.
        ChecksumError: a checksum does not match.
        FormatError: a frame does not hold one image and its label.
    """
    lines = [_line(data, Source(path, offset)) for offset, data in read_frames(path)]
    if not lines:
        raise TruncatedError("the file has no image", path=path)
    return np.frombuffer(b"".join(lines), dtype=np.uint8).reshape(-1, PIXELS + 1)


def _line(data: bytes, source: Source) -> bytes:
    """Label and image of one frame."""
    features = _parts(data, source, 1, 1)

    def values(name: bytes, kind: int) -> list[bytes]:
        named = [feature for feature in features if _parts(feature, source, 1) == [name]]
        return [value for each in named for value in _parts(each, source, 2, kind, 1)]

    image, label = values(b"image", _BYTES), values(b"label", _INTEGERS)
    if len(image) != 1 or len(image[0]) != PIXELS or len(label) != 1:
        sizes = {"image bytes": [len(each) for each in image], "labels": len(label)}
        raise source.fault(f"a frame has an image of {PIXELS} bytes and a label", value=sizes)
    value, stop = varint(label[0], 0, len(label[0]), source)
    if stop != len(label[0]) or value >= CLASSES:
        raise source.fault("a frame has one label of 0 to 9", value=value)
    return bytes([value]) + image[0]


def _parts(data: bytes, source: Source, *path: int) -> list[bytes]:
    """The values at a path of field numbers: bytes, messages, or varints, packed or not."""
    found = [data]
    for number in path:
        found = [
            part[field.start : field.stop]
            for part in found
            for field in fields(part, source=source)
            if field.number == number and field.wire_type in (LENGTH, VARINT)
        ]
    return found


def read_python(path: str | PathLike[str]) -> Lines:
    """One file of the Python version. No code of the pickle can run.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: it is not such a pickle, or it names anything but numpy's arrays.
    """
    numbers = unpickled(path, "cifar10")[0].numbers
    labels = np.frombuffer(numbers["labels"], dtype=np.int64)
    order: Literal["C", "F"] = "F" if any(numbers["fortran"]) else "C"
    pixels = np.frombuffer(numbers["images"], dtype=np.uint8).reshape(-1, PIXELS, order=order)
    return np.column_stack([labels.astype(np.uint8), pixels])


_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_RECORDS = (*(f"train_{i}" for i in range(1, 5)), "validation", "test")
#: Of each version the folder that its archive unpacks to, its six files, and their reader.
_VERSIONS: tuple[tuple[str, tuple[str, ...], Callable[[Path], Lines]], ...] = (
    ("cifar-10-batches-py", _BATCHES, read_python),
    ("cifar-10-batches-bin", tuple(f"{name}.bin" for name in _BATCHES), read_binary),
    (".", tuple(f"{name}.tfrecords" for name in _RECORDS), read_tfrecord),
)


def read_cifar10(folder: str | PathLike[str], *, images_per_file: int = IMAGES_PER_FILE) -> Cifar10:
    """CIFAR-10 in NAS-Bench-101's splits: batches 1 to 4, batch 5, test batch.

    Whether the images are CIFAR-10's is told by their digests; if not, their name says so in every
    record.

    Args:
        folder: the folder of the six files, or the folder that the archive was unpacked in; of
            several versions the Python version is read, or else the binary version.
        images_per_file: number of images in every file.

    Raises:
        UnknownTableError: the files are not there, or cannot be read.
        FormatError: a file has another format or size, or a label outside 0 to 9.
        TruncatedError, ChecksumError: a file is damaged.
    """
    for inner, names, read in _VERSIONS:
        for place in (Path(folder), Path(folder, inner)):
            paths = [place / name for name in names]
            if not all(map(is_file, paths)):
                continue
            files = []
            for path in paths:
                files.append(read(path))
                if (size := len(files[-1])) != images_per_file:
                    raise FormatError(f"expected {images_per_file} images", path=path, value=size)
            return Cifar10.of(files)
    known = " or ".join(", ".join(names) for _, names, _ in _VERSIONS)
    raise UnknownTableError(
        f"CIFAR-10's six files are not in {folder} ({known})",
        remedy="unpack cifar-10-python.tar.gz or cifar-10-binary.tar.gz of "
        "https://www.cs.toronto.edu/~kriz/cifar.html there",
    )


# -- batches --------------------------------------------------------------------------------


def standardise(images: Tensor) -> Tensor:
    """(n, 3, h, w) uint8 to float32 of about mean 0 and deviation 1."""
    mean, deviation = _mean_and_deviation(images.device)
    return (images.to(torch.float32) - mean) / deviation


@cache
def _mean_and_deviation(device: torch.device) -> tuple[Tensor, Tensor]:
    """Both as (1, 3, 1, 1), copied to a device once, not at every step."""
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1).to(device) for v in (MEAN, DEVIATION))
    return mean, deviation


def augment(images: Tensor, down: Tensor, right: Tensor, mirror: Tensor) -> Tensor:
    """Pad, cut and mirror a whole batch of (n, 3, 32, 32) uint8 images in one gathering.

    Args:
        down, right: (n,) where each square begins in the padded image, 0 to 8; 4 is the middle.
        mirror: (n,) 1 where the square is mirrored, 0 where not.
    """
    padded = torch.nn.functional.pad(images, (_PAD, _PAD, _PAD, _PAD))
    line = torch.arange(SIDE, device=images.device)
    rows = down[:, None] + line
    columns = right[:, None] + torch.where(mirror[:, None] > 0, SIDE - 1 - line, line)
    places, colours = (torch.arange(n, device=images.device) for n in images.shape[:2])
    return padded[
        places[:, None, None, None],
        colours[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def training_batches(
    split: Split, *, batch_size: int, rng: np.random.Generator, host: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless training batches: one epoch after the other, each in a new random order.

    A batch may reach across the end of an epoch, as in NAS-Bench-101, where the shuffled epochs
    are joined before they are cut.

    Args:
        split: the images, as from `Split.to` with the same `host`.
        batch_size: images of a batch.
        rng: decides order, squares and mirroring.
        host: gather on the host, one batch ahead of the training; the batches are the same.

    Yields:
        (batch, 3, 32, 32) float32 standardised images and (batch,) labels.
    """
    drawn = _drawn(split, batch_size, rng, host)
    ahead = [next(drawn)] if host else []
    for batch in drawn:
        ahead.append(batch)
        images, labels, down, right, mirror = ahead.pop(0)
        yield standardise(augment(images, down, right, mirror)), labels


def _drawn(
    split: Split, batch_size: int, rng: np.random.Generator, host: bool
) -> Iterator[tuple[Tensor, ...]]:
    """Images, labels and the arguments of `augment`, batch by batch, on the device.

    The random numbers of an epoch are copied there at once, without waiting for the device.
    """
    device, n = split.labels.device, len(split)
    order = torch.empty(0, dtype=torch.int64)
    plan = torch.empty((4, 0), dtype=torch.int64, device=device)
    while True:
        while plan.shape[1] < batch_size:
            squares = (rng.integers(0, top, n) for top in (2 * _PAD + 1, 2 * _PAD + 1, 2))
            draws = np.stack([rng.permutation(n), *squares])
            fresh = torch.from_numpy(draws.astype(np.int64))
            plan = torch.cat([plan, _sent(fresh, device)], dim=1)
            order = torch.cat([order, fresh[0]])
        chosen, down, right, mirror = plan[:, :batch_size]
        here = order[:batch_size]
        images = _sent(split.images[here], device) if host else split.images[chosen]
        yield images, split.labels[chosen], down, right, mirror
        order, plan = order[batch_size:], plan[:, batch_size:]


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """Values of the host, copied to the device without waiting for it."""
    # torch reuses pinned memory only after the copy from it is done.
    values = values.pin_memory() if device.type == "cuda" else values
    return values.to(device, non_blocking=True)


def evaluation_batches(
    split: Split, *, batch_size: int, images: int | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Whole batches in the files' order, as views: 39 x 256 = 9,984 of 10,000 images.

    Args:
        images: largest number of images to take; all by default.

    Returns:
        Pairs of (batch, 3, 32, 32) uint8 images and (batch,) labels.

    Raises:
        ConfigError: there are fewer images than one batch takes.
    """
    n = len(split) if images is None else min(images, len(split))
    if n < batch_size:
        raise ConfigError(f"an evaluation takes at least one batch of {batch_size} images", value=n)
    whole = n - n % batch_size
    parts = (torch.split(values[:whole], batch_size) for values in (split.images, split.labels))
    return list(zip(*parts, strict=True))
