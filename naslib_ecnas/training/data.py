"""CIFAR-10 as NAS-Bench-101 splits it, held as bytes, and a synthetic stand-in for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naslib_ecnas.checked import check_counts
from naslib_ecnas.errors import ConfigError, FormatError

__all__ = ["IMAGES_PER_FILE", "SIDE", "Cifar10", "Split", "synthetic"]

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
