"""Splits of CIFAR-10 and the synthetic stand-in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, FormatError
from naslib_ecnas.training.data import Cifar10, Split, synthetic


def numbered(n: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Six files of n images, each of which is filled with its own number."""
    files = []
    for file in range(6):
        numbers = np.arange(file * n, (file + 1) * n)
        images = np.broadcast_to(numbers[:, None, None, None], (n, 3, 32, 32)).astype(np.uint8)
        files.append((np.ascontiguousarray(images), (numbers % 10).astype(np.int64)))
    return files


def _numbers(split: Split) -> list[int]:
    return [int(number) for number in split.images[:, 0, 0, 0]]


def test_batches_1_to_4_train_batch_5_validates() -> None:
    data = Cifar10.of(numbered(5), name="numbered")
    assert _numbers(data.train) == list(range(20))
    assert _numbers(data.train_first) == list(range(5))
    assert _numbers(data.validation) == list(range(20, 25))
    assert _numbers(data.test) == list(range(25, 30))
    for split in (data.train, data.validation, data.test):
        assert split.labels.tolist() == [number % 10 for number in _numbers(split)]
        assert split.images.dtype == torch.uint8


def test_the_checksum_is_that_of_the_content() -> None:
    files = numbered(3)
    first = Cifar10.of(files, name="a").sha256
    assert Cifar10.of(numbered(3), name="b").sha256 == first
    files[5][0][2, 1, 0, 0] ^= 1
    assert Cifar10.of(files, name="a").sha256 != first


def test_files_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FormatError, match="six files"):
        Cifar10.of(numbered(3)[:5], name="a")
    uneven = [*numbered(3)[:5], *numbered(4)[5:]]
    with pytest.raises(FormatError, match="six files"):
        Cifar10.of(uneven, name="a")
    wrong = numbered(3)
    wrong[4][1][0] = 10
    with pytest.raises(FormatError, match="no class"):
        Cifar10.of(wrong, name="a")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 32, 32, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2)),
        (torch.zeros(0, 3, 32, 32, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)),
    ],
)
def test_a_split_checks_itself(images: torch.Tensor, labels: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="not a split"):
        Split(images, labels)


def test_synthetic_data_say_so_and_follow_the_seed() -> None:
    data = synthetic(seed=1, images_per_file=20)
    assert data.name == "synthetic"
    assert (len(data.train), len(data.validation), len(data.test)) == (80, 20, 20)
    assert synthetic(seed=1, images_per_file=20).sha256 == data.sha256
    assert synthetic(seed=2, images_per_file=20).sha256 != data.sha256
    with pytest.raises(ConfigError):
        synthetic(seed=1, images_per_file=0)


def test_synthetic_classes_can_be_told_apart() -> None:
    """The nearest class mean of the training images names nearly every test image."""
    data = synthetic(seed=0, images_per_file=100)
    x, y = data.train.images.double().flatten(1), data.train.labels
    means = torch.stack([x[y == k].mean(dim=0) for k in range(10)])
    near = torch.cdist(data.test.images.double().flatten(1), means).argmin(dim=1)
    assert (near == data.test.labels).double().mean() > 0.95
