"""CIFAR-10 from tiny files in its three published formats, written here byte by byte; batches."""

from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Callable
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from naslib_ecnas.data.tfrecord import pack, write_frames
from naslib_ecnas.errors import ChecksumError, ConfigError, FormatError, UnknownTableError

pytest.importorskip("torch", reason="torch is not installed")

import torch

from naslib_ecnas.training import data as data_module
from naslib_ecnas.training.data import (
    DEVIATION,
    DIGESTS,
    MEAN,
    Cifar10,
    Split,
    augment,
    evaluation_batches,
    read_binary,
    read_cifar10,
    read_python,
    read_tfrecord,
    standardise,
    synthetic,
    training_batches,
)

N = 4


def _content(file: int) -> NDArray[Any]:
    """(N, 3073) labels and pixels of one file."""
    rng = np.random.default_rng(file)
    pixels = rng.integers(0, 256, (N, 3072), dtype=np.uint8)
    return np.column_stack([rng.integers(0, 10, N), pixels]).astype(np.uint8)


def binary(path: Path, lines: NDArray[Any]) -> None:
    path.write_bytes(lines.tobytes())


def _short(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def python2(path: Path, lines: NDArray[Any]) -> None:
    """Protocol 2 as Python 2's cPickle and numpy write such a dictionary."""
    data = lines[:, 1:].tobytes()
    path.write_bytes(
        b"\x80\x02}q\x01("
        + (_short("batch_label") + b"q\x02" + _short("training batch 1 of 5") + b"q\x03")
        + (_short("labels") + b"q\x04]q\x05(")
        + b"".join(b"K" + bytes([label]) for label in lines[:, 0])
        + (b"e" + _short("data") + b"q\x06")
        + b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08"
        + (b"K\x00\x85" + _short("b") + b"\x87Rq\x09")
        + (b"(K\x01" + b"M" + struct.pack("<H", len(lines)) + b"M\x00\x0c\x86")
        + (b"cnumpy\ndtype\nq\x0a" + _short("u1") + b"K\x00K\x01\x87Rq\x0b")
        + (b"(K\x03" + _short("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
        + (b"\x89T" + struct.pack("<i", len(data)) + data + b"tb")
        + (_short("filenames") + b"q\x0c]q\x0d(" + _short("a_s_000001.png") + b"q\x0eeu.")
    )


def example(row: bytes, label: int, *, packed: bool) -> bytes:
    """A `tf.train.Example`; integers as one packed field, or each by itself."""
    image = pack(1, b"image") + pack(2, pack(1, pack(1, row)))
    number = pack(1, b"label") + pack(2, pack(3, pack(1, bytes([label]) if packed else label)))
    return pack(1, pack(1, image) + pack(1, number))


def tfrecord(path: Path, lines: NDArray[Any]) -> None:
    images = enumerate(map(bytes, lines))
    write_frames(path, (example(x[1:], x[0], packed=k % 2 == 0) for k, x in images))


_BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
_RECORDS = [*(f"train_{i}" for i in range(1, 5)), "validation", "test"]
FORMS: dict[str, tuple[Callable[..., None], Callable[..., NDArray[Any]], str, list[str]]] = {
    "binary": (binary, read_binary, "cifar-10-batches-bin", [f"{b}.bin" for b in _BATCHES]),
    "python": (python2, read_python, "cifar-10-batches-py", _BATCHES),
    "tfrecord": (tfrecord, read_tfrecord, ".", [f"{name}.tfrecords" for name in _RECORDS]),
}


def write_all(folder: Path, form: str) -> Path:
    write, _, name, files = FORMS[form]
    (folder / name).mkdir(parents=True, exist_ok=True)
    for k, file in enumerate(files):
        write(folder / name / file, _content(k))
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_one_file_and_parts_of_it(form: str, tmp_path: Path) -> None:
    write, read, _, _ = FORMS[form]
    write(tmp_path / "file", _content(7))
    found = read(tmp_path / "file")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, _content(7))
    raw = (tmp_path / "file").read_bytes()
    for stop in (0, 1, 11, 100, len(raw) // 2 + 5, len(raw) - 1):
        (tmp_path / "cut").write_bytes(raw[:stop])
        with pytest.raises(FormatError):
            read(tmp_path / "cut")
    with pytest.raises(UnknownTableError):
        read(tmp_path / "absent")


def test_every_form_gives_the_same_splits(tmp_path: Path) -> None:
    checksums = set()
    for form in FORMS:
        data = read_cifar10(write_all(tmp_path / form, form), images_per_file=N)
        checksums.add(data.sha256)
        assert data.name == "not CIFAR-10"
        assert (len(data.train), len(data.validation), len(data.test)) == (4 * N, N, N)
        whole = np.concatenate([_content(k) for k in range(4)])
        np.testing.assert_array_equal(data.train.images.reshape(4 * N, -1).numpy(), whole[:, 1:])
        for k, split in enumerate((data.train_first, data.validation, data.test)):
            lines = _content((0, 4, 5)[k])
            np.testing.assert_array_equal(split.images.reshape(N, -1).numpy(), lines[:, 1:])
            assert split.labels.tolist() == lines[:, 0].tolist()
            assert split.images.dtype == torch.uint8
            # The second plane is green, row after row.
            assert split.images[0, 1, 2, 3] == lines[0, 1 + 1024 + 2 * 32 + 3]
    assert len(checksums) == 1
    # The folder of the six files itself will do too.
    found = read_cifar10(tmp_path / "binary" / "cifar-10-batches-bin", images_per_file=N)
    assert found.sha256 in checksums


def test_digests_tell_cifar10_not_the_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the form, a file counts by the digest of the published binary version."""
    assert len(set(DIGESTS)) == 6
    assert all(re.fullmatch("[0-9a-f]{64}", published) for published in DIGESTS)
    write_all(tmp_path, "binary")
    folder = tmp_path / "cifar-10-batches-bin"
    files = [folder / name for name in FORMS["binary"][3]]
    # As if the published files held these few images.
    digests = tuple(sha256(file.read_bytes()).hexdigest() for file in files)
    monkeypatch.setattr(data_module, "DIGESTS", digests)
    for form in FORMS:
        whole = write_all(tmp_path / form, form)
        assert read_cifar10(whole, images_per_file=N).name == "CIFAR-10"
    before = read_cifar10(folder, images_per_file=N)
    raw = bytearray(files[2].read_bytes())
    raw[-1] ^= 1
    files[2].write_bytes(raw)
    after = read_cifar10(folder, images_per_file=N)
    assert (after.name, after.sha256 == before.sha256) == ("not CIFAR-10", False)
    assert Cifar10.of([np.zeros((10_000, 3073), dtype=np.uint8)] * 6).name == "not CIFAR-10"


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = write_all(tmp_path, "binary")
    third = folder / "cifar-10-batches-bin" / "data_batch_3.bin"
    with pytest.raises(FormatError, match="expected 10000 images, got 4"):
        read_cifar10(folder)
    binary(third, _content(2) + np.uint8(10) * (np.arange(3073) == 0))
    with pytest.raises(FormatError, match="0 to 9"):
        read_cifar10(folder, images_per_file=N)
    third.unlink()
    with pytest.raises(UnknownTableError, match=r"data_batch_1\.bin"):
        read_cifar10(folder, images_per_file=N)


# -- TFRecord -------------------------------------------------------------------------------


def test_damaged_frames_and_frames_without_an_image_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    tfrecord(path, _content(0))
    raw = bytearray(path.read_bytes())
    raw[2000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ChecksumError):
        read_tfrecord(path)
    two = pack(1, b"label") + pack(2, pack(3, pack(1, b"\x01\x01")))
    image = pack(1, b"image") + pack(2, pack(1, pack(1, b"\x00" * 3072)))
    for frame in (
        b"",
        example(b"\x00" * 3071, 1, packed=True),
        example(b"\x00" * 3072, 10, packed=True),
        pack(1, pack(1, pack(1, b"label") + pack(2, pack(3, pack(1, b"\x01"))))),
        example(b"\x00" * 3072, 1, packed=True)[:-9],
        pack(1, pack(1, pack(1, b"image"))),
        pack(1, pack(1, image) + pack(1, two)),
    ):
        write_frames(path, [frame])
        with pytest.raises(FormatError):
            read_tfrecord(path)


# -- the Python version ---------------------------------------------------------------------

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
LABELS = [4, 0, 9]


def test_files_that_python_3_wrote_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for protocol in (2, 3, 4):
        for keys in (("data", "labels"), (b"data", b"labels")):
            more = {"filenames": ["a", "b", "c"], "more": (1, None)}
            path.write_bytes(pickle.dumps({keys[0]: PIXELS, keys[1]: LABELS, **more}, protocol))
            np.testing.assert_array_equal(read_python(path), np.column_stack([LABELS, PIXELS]))
    path.write_bytes(pickle.dumps({"data": np.asfortranarray(PIXELS), "labels": LABELS}, 4))
    np.testing.assert_array_equal(read_python(path)[:, 1:], PIXELS)


def test_other_content_is_refused(tmp_path: Path) -> None:
    whole, objects = {"data": PIXELS, "labels": LABELS}, np.array([["a", "b"]], dtype=object)
    pixels = (PIXELS[:, :3071].copy(), PIXELS.ravel(), PIXELS.astype(np.int32), PIXELS.tolist())
    for content in (
        *([PIXELS, LABELS], {"data": PIXELS}, {"labels": LABELS}),
        *({**whole, "labels": labels} for labels in (LABELS[:2], [4, 0, -9], [4, 0, "9"])),
        *({**whole, "data": data} for data in (*pixels, objects)),
    ):
        (tmp_path / "file").write_bytes(pickle.dumps(content, 4))
        with pytest.raises(FormatError, match="uint8 data and n labels: "):
            read_python(tmp_path / "file")
    # A name of anything but numpy's arrays: what could run is not even looked up.
    (tmp_path / "file").write_bytes(pickle.dumps({**whole, "trap": os.mkdir}))
    with pytest.raises(FormatError, match="refused"):
        read_python(tmp_path / "file")


# -- splits ---------------------------------------------------------------------------------


def numbered(n: int) -> Split:
    """Labels are places; every image is filled with its place."""
    place = torch.arange(n)
    return Split(place.to(torch.uint8)[:, None, None, None].repeat(1, 3, 32, 32), place)


def test_files_and_splits_that_do_not_fit_are_refused() -> None:
    lines = np.zeros((4, 3073), dtype=np.uint8)
    for files in ([lines] * 5, [lines] * 5 + [lines[1:]]):
        with pytest.raises(FormatError, match="six files"):
            Cifar10.of(files)
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
