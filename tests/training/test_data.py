"""Splits of CIFAR-10, synthetic data, and batches: augmentation, standardisation, order."""

from __future__ import annotations

from itertools import islice
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from naslib_ecnas.errors import ConfigError, FormatError

pytest.importorskip("torch", reason="torch is not installed")

import torch

from naslib_ecnas.training.data import (
    DEVIATION,
    MEAN,
    Cifar10,
    Split,
    augment,
    evaluation_batches,
    standardise,
    synthetic,
    training_batches,
)


def numbered(n: int) -> Split:
    """Labels are places; every image is filled with its place."""
    place = torch.arange(n)
    return Split(place.to(torch.uint8)[:, None, None, None].repeat(1, 3, 32, 32), place)


def six_files(n: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Of n such images each, with labels of 0 to 9."""
    images, labels = numbered(6 * n).images.numpy(), np.arange(6 * n) % 10
    return [(images[k : k + n], labels[k : k + n]) for k in range(0, 6 * n, n)]


def test_batches_1_to_4_train_batch_5_validates_and_the_checksum_follows_the_content() -> None:
    files = six_files(5)
    data = Cifar10.of(files, name="numbered")
    splits = (data.train, data.train_first, data.validation, data.test)
    places = (range(20), range(5), range(20, 25), range(25, 30))
    for split, numbers in zip(splits, places, strict=True):
        assert split.images[:, 0, 0, 0].tolist() == list(numbers)
        assert split.labels.tolist() == [number % 10 for number in numbers]
        assert split.images.dtype == torch.uint8
    assert Cifar10.of(six_files(5), name="b").sha256 == data.sha256
    files[5][0][2, 1, 0, 0] ^= 1
    assert Cifar10.of(files, name="a").sha256 != data.sha256


def test_files_and_splits_that_do_not_fit_are_refused() -> None:
    for files in (six_files(3)[:5], [*six_files(3)[:5], *six_files(4)[5:]]):
        with pytest.raises(FormatError, match="six files"):
            Cifar10.of(files, name="a")
    for label in (10, -1):
        wrong = six_files(3)
        wrong[4][1][0] = label
        with pytest.raises(FormatError, match="0 to 9"):
            Cifar10.of(wrong, name="a")
    images, labels = torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2).long()
    by_pixel = images.permute(0, 2, 3, 1)
    wrong_images = [(images.float(), labels), (by_pixel, labels), (images[:0], labels[:0])]
    for pair in (*wrong_images, (images, torch.zeros(3).long()), (images, labels.float())):
        with pytest.raises(ConfigError, match="a split takes"):
            Split(*pair)


def test_synthetic_data_say_so_follow_the_seed_and_can_be_learnt() -> None:
    data = synthetic(seed=1, images_per_file=100)
    assert data.name == "synthetic"
    assert (len(data.train), len(data.validation), len(data.test)) == (400, 100, 100)
    assert synthetic(seed=1, images_per_file=100).sha256 == data.sha256
    assert synthetic(seed=2, images_per_file=100).sha256 != data.sha256
    with pytest.raises(ConfigError, match="images_per_file"):
        synthetic(seed=1, images_per_file=0)
    # The nearest class mean of the training images names nearly every test image.
    x, y = data.train.images.double().flatten(1), data.train.labels
    means = torch.stack([x[y == k].mean(dim=0) for k in range(10)])
    near = torch.cdist(data.test.images.double().flatten(1), means).argmin(dim=1)
    assert (near == data.test.labels).double().mean() > 0.95


# -- augmentation ---------------------------------------------------------------------------


def _images(n: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans()), min_size=1, max_size=5)
)
def test_augmentation_against_slices(draws: list[tuple[int, int, bool]]) -> None:
    images = _images(len(draws))
    down, right, mirror = (torch.tensor(part).long() for part in zip(*draws, strict=True))
    found = augment(images, down, right, mirror).numpy()
    for k, (i, j, flip) in enumerate(draws):
        black = np.zeros((3, 40, 40), np.uint8)
        black[:, 4:36, 4:36] = images[k].numpy()
        square = black[:, i : i + 32, j : j + 32]
        np.testing.assert_array_equal(found[k], square[:, :, ::-1] if flip else square)


def test_standardised_by_the_published_numbers_after_the_padding() -> None:
    images = _images(4)
    found = standardise(images).double().numpy()
    assert found.shape == (4, 3, 32, 32)
    for colour in range(3):
        wanted = (images[:, colour].double().numpy() - MEAN[colour]) / DEVIATION[colour]
        np.testing.assert_allclose(found[:, colour], wanted, atol=1e-6)
    # NAS-Bench-101 pads pixels, not standardised values: the border is black, not the mean.
    zero = torch.zeros(1, dtype=torch.int64)
    bright = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    corner = standardise(augment(bright, zero, zero, zero))[0, :, 0, 0]
    torch.testing.assert_close(corner, -torch.tensor(MEAN) / torch.tensor(DEVIATION))


# -- batches --------------------------------------------------------------------------------


def _order(n: int, batch: int, batches: int, seed: int = 0) -> list[int]:
    endless = training_batches(numbered(n), batch_size=batch, rng=np.random.default_rng(seed))
    return [int(label) for _, labels in islice(endless, batches) for label in labels]


def test_every_image_comes_once_an_epoch_in_an_order_of_the_seed() -> None:
    order = _order(10, 4, 10)
    epochs = [order[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4
    # A batch may be larger than the data.
    assert sorted(_order(3, 7, 3)) == sorted([0, 1, 2] * 7)
    assert _order(10, 4, 5) == order[:20] != _order(10, 4, 5, seed=1)


def test_images_go_with_their_labels() -> None:
    """Whatever is cut out, the brightest pixel is still that of the labelled image."""
    batches = training_batches(numbered(50), batch_size=16, rng=np.random.default_rng(0))
    for images, labels in islice(batches, 5):
        assert images.dtype == torch.float32
        pixels = images[:, 0].amax(dim=(1, 2)) * DEVIATION[0] + MEAN[0]
        assert pixels.round().long().tolist() == labels.tolist()


def test_squares_and_mirrorings_are_uniform() -> None:
    """4,000 images, each with one bright pixel: where it ends up shows the square."""
    n = 4000
    images = torch.zeros(n, 3, 32, 32, dtype=torch.uint8)
    images[:, :, 12, 12] = 255
    split = Split(images, torch.zeros(n, dtype=torch.int64))
    batch, _ = next(training_batches(split, batch_size=n, rng=np.random.default_rng(0)))
    place = batch[:, 0].flatten(1).argmax(dim=1).numpy()
    rows, columns = np.divmod(place, 32)
    # Row 12 of the image is row 16 of the padded one; it lands in 16 - down.
    counts = np.bincount(16 - rows, minlength=9)
    assert len(counts) == 9
    assert abs(counts - n / 9).max() < 5 * np.sqrt(n / 9)
    # Unmirrored it lands in columns 8 to 16, mirrored in 15 to 23.
    counts = np.bincount(columns, minlength=24)[8:]
    wanted = n / 18 * np.array([1] * 7 + [2, 2] + [1] * 7)
    assert counts.sum() == n
    assert (abs(counts - wanted) < 5 * np.sqrt(wanted)).all()


def test_batches_gathered_on_the_host_are_the_same_and_one_ahead() -> None:
    """Over three epochs and more, bit for bit, from one generator."""
    for n, batch in ((10, 4), (3, 7), (8, 8)):
        split = Split(_images(n), torch.arange(n))
        pairs = []
        for host in (False, True):
            rng = Mock(wraps=np.random.default_rng(4))
            held = split.to("cpu", host=host)
            batches = training_batches(held, batch_size=batch, rng=rng, host=host)
            first = next(batches)
            if n == batch:
                assert rng.permutation.call_count == 1 + host  # epochs that were drawn
            pairs.append([first, *islice(batches, 8)])
        for (one, labels), (other, same) in zip(*pairs, strict=True):
            assert torch.equal(one, other)
            assert torch.equal(labels, same)


def test_evaluations_take_whole_batches() -> None:
    split = numbered(10)
    batches = evaluation_batches(split, batch_size=4)
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches[1][0].data_ptr() == split.images[4:].data_ptr()
    assert [len(evaluation_batches(split, batch_size=4, images=n)) for n in (4, 7, 99)] == [1, 1, 2]
    with pytest.raises(ConfigError, match="at least one batch of 4"):
        evaluation_batches(split, batch_size=4, images=3)
    # NAS-Bench-101 evaluates on 9,984 of 10,000 images.
    images = torch.zeros(1, dtype=torch.uint8).expand(10_000, 3, 32, 32)
    batches = evaluation_batches(Split(images, torch.zeros(10_000).long()), batch_size=256)
    assert (len(batches), sum(len(labels) for _, labels in batches)) == (39, 9984)
