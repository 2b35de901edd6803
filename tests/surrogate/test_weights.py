"""Files of weights: what comes back, equal bytes, what is refused."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.errors import EcnasError, FormatError, UnknownTableError
from naslib_ecnas.surrogate.models import Weights, shipped

HEADER = {"target": "synthetic", "seed": 0, "quality": {"a": {"mae": 0.5}}}
ARRAYS = {
    "b": np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32),
    "a": np.arange(5),
    "scalar": np.float32(6).reshape(()),
}


def test_header_and_arrays_come_back(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "w.npz"
    Weights(HEADER, ARRAYS).save(path)
    found = Weights.load(path)
    assert {k: v for k, v in found.header.items() if k != "version"} == HEADER
    assert found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.npz" for i in range(3)]
    Weights(HEADER, ARRAYS).save(paths[0])
    turned = dict(reversed(HEADER.items())), dict(reversed(ARRAYS.items()))
    Weights(*turned).save(paths[1])
    Weights.load(paths[0]).save(paths[2])
    one, *others = [path.read_bytes() for path in paths]
    assert others == [one, one]


def test_numbers_that_json_lacks_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Weights({"mae": float("nan")}, ARRAYS).save(tmp_path / "w.npz")
    assert not list(tmp_path.iterdir())


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    for header in ({"version": 99}, {}, [1], 3):
        text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        np.savez(path, header=text)
        with pytest.raises(FormatError, match="another version"):
            Weights.load(path)


def test_what_is_no_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(UnknownTableError):
        Weights.load(tmp_path / "none.npz")
    path = tmp_path / "w.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(FormatError):
        Weights.load(path)
    np.savez(path, header=np.array([{"version": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError):
        Weights.load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    for content in (path.read_bytes(), b"", b"synthetic", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(FormatError):
            Weights.load(path)
    with pytest.raises(FormatError):
        Weights.load(tmp_path)


def test_an_archive_that_unpacks_to_far_more_is_refused_before_it_does(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("header.npy", "a.npy"):
            archive.writestr(name, bytes((1 << 27) + 1))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(FormatError, match="unpacks to more than"):
        Weights.load(path)


def test_arrays_of_another_version_are_refused(tmp_path: Path) -> None:
    """What numpy writes for names of fields that do not fit into Latin-1, which are none here."""
    path = tmp_path / "w.npz"
    content = BytesIO()
    np.lib.format.write_array(content, np.zeros(3), version=(2, 0))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", content.getvalue())
    with pytest.raises(FormatError, match="array of version"):
        Weights.load(path)


def test_damage_is_an_error_of_ours_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    Weights(HEADER, ARRAYS).save(path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for i in range(500):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data[: rng.integers(len(data))] if i % 5 == 0 else data)
        try:
            found = Weights.load(path)
        except EcnasError:
            refused += 1
            continue
        for name, array in found.arrays.items():
            np.testing.assert_array_equal(array, ARRAYS[name])
    assert refused > 300


def test_shipped_files_are_small_and_sound() -> None:
    files = sorted(shipped("energy").parent.glob("surrogate_*.npz"))
    assert shipped("energy") in files
    assert sum(file.stat().st_size for file in files) < 2_000_000
    for file in files:
        weights = Weights.load(file)
        assert weights.header["target"]
        assert all(array.dtype.kind in "iufb" for array in weights.arrays.values())
