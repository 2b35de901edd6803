"""Augmentation, standardisation and the order of images."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from naslib_ecnas.errors import ConfigError
from naslib_ecnas.training.data import (
    DEVIATION,
    MEAN,
    Split,
    augment,
    evaluation_batches,
    standardise,
    stream,
)


def _images(n: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8))


def _numbered(n: int) -> Split:
    """Labels are places; every image is filled with its place."""
    place = torch.arange(n)
    images = place.to(torch.uint8)[:, None, None, None].expand(n, 3, 32, 32).contiguous()
    return Split(images, place)


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


def test_the_middle_without_mirroring_changes_nothing() -> None:
    images = _images(3)
    four, none = torch.full((3,), 4), torch.zeros(3, dtype=torch.int64)
    assert torch.equal(augment(images, four, four, none), images)


def test_standardised_by_the_published_numbers() -> None:
    images = _images(4)
    found = standardise(images).double().numpy()
    assert found.shape == (4, 3, 32, 32)
    for colour in range(3):
        wanted = (images[:, colour].double().numpy() - MEAN[colour]) / DEVIATION[colour]
        np.testing.assert_allclose(found[:, colour], wanted, atol=1e-6)


def test_the_border_is_black_and_not_the_mean() -> None:
    """NAS-Bench-101 pads pixels, not standardised values."""
    zero = torch.zeros(1, dtype=torch.int64)
    bright = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    corner = standardise(augment(bright, zero, zero, zero))[0, :, 0, 0]
    torch.testing.assert_close(corner, -torch.tensor(MEAN) / torch.tensor(DEVIATION))


def _order(n: int, batch: int, batches: int, seed: int = 0) -> list[int]:
    found = islice(stream(_numbered(n), batch_size=batch, rng=np.random.default_rng(seed)), batches)
    return [int(label) for _, labels in found for label in labels]


def test_every_image_comes_once_an_epoch_though_batches_reach_across() -> None:
    order = _order(10, 4, 10)
    epochs = [order[i : i + 10] for i in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4


def test_a_batch_may_be_larger_than_the_data() -> None:
    assert sorted(_order(3, 7, 3)) == sorted([0, 1, 2] * 7)


def test_the_seed_decides_the_order() -> None:
    assert _order(10, 4, 5) == _order(10, 4, 5)
    assert _order(10, 4, 5) != _order(10, 4, 5, seed=1)


def test_images_go_with_their_labels() -> None:
    """Whatever is cut out, the brightest pixel is still that of the labelled image."""
    batches = stream(_numbered(50), batch_size=16, rng=np.random.default_rng(0))
    mean, deviation = MEAN[0], DEVIATION[0]
    for images, labels in islice(batches, 5):
        assert images.dtype == torch.float32
        pixels = images[:, 0].amax(dim=(1, 2)) * deviation + mean
        assert pixels.round().long().tolist() == labels.tolist()


def test_squares_and_mirrorings_are_uniform() -> None:
    """4,000 images, each with one bright pixel: where it ends up tells the square."""
    n = 4000
    images = torch.zeros(n, 3, 32, 32, dtype=torch.uint8)
    images[:, :, 12, 12] = 255
    split = Split(images, torch.zeros(n, dtype=torch.int64))
    batch, _ = next(stream(split, batch_size=n, rng=np.random.default_rng(0)))
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


@pytest.mark.parametrize(("n", "batch"), [(10, 4), (3, 7), (8, 8)])
def test_batches_gathered_on_the_host_are_the_same(n: int, batch: int) -> None:
    """Over three epochs and more, bit for bit, from one generator."""
    split = Split(_images(n), torch.arange(n))
    pairs = []
    for host in (False, True):
        rng = np.random.default_rng(4)
        batches = stream(
            split.beside("cpu") if host else split, batch_size=batch, rng=rng, host=host
        )
        pairs.append(list(islice(batches, 9)))
    for (images, labels), (others, same) in zip(*pairs, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, same)


def test_the_host_is_one_batch_ahead() -> None:
    class Counted(np.random.Generator):
        epochs = 0

        def permutation(self, *args: object, **options: object) -> object:  # type: ignore[override]
            Counted.epochs += 1
            return super().permutation(*args, **options)  # type: ignore[call-overload]

    for host, ahead in ((False, 1), (True, 2)):
        Counted.epochs = 0
        batches = stream(_numbered(4), batch_size=4, rng=Counted(np.random.PCG64(0)), host=host)
        next(batches)
        assert Counted.epochs == ahead


def test_evaluations_take_whole_batches() -> None:
    split = _numbered(10)
    batches = evaluation_batches(split, batch_size=4)
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches[1][0].data_ptr() == split.images[4:].data_ptr()
    assert len(evaluation_batches(split, batch_size=4, images=7)) == 1
    assert len(evaluation_batches(split, batch_size=4, images=99)) == 2


def test_evaluations_of_the_benchmark_are_on_9984_images() -> None:
    many = Split(
        torch.zeros(1, dtype=torch.uint8).expand(10_000, 3, 32, 32),
        torch.zeros(10_000, dtype=torch.int64),
    )
    batches = evaluation_batches(many, batch_size=256)
    assert (len(batches), sum(len(labels) for _, labels in batches)) == (39, 9984)


def test_an_evaluation_without_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="no batch"):
        evaluation_batches(_numbered(10), batch_size=4, images=3)
