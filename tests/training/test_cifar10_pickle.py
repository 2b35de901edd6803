"""What the reader of the Python version takes, and that nothing of a pickle ever runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslib_ecnas.errors import FormatError
from naslib_ecnas.training.data import read_python

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
LABELS = [4, 0, 9]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("keys", [("data", "labels"), (b"data", b"labels")], ids=str)
def test_files_that_python_3_wrote_again(
    protocol: int, keys: tuple[Any, Any], tmp_path: Path
) -> None:
    content = {keys[0]: PIXELS, keys[1]: LABELS, "filenames": ["a", "b", "c"], "more": (1, None)}
    (tmp_path / "file").write_bytes(pickle.dumps(content, protocol))
    images, labels = read_python(tmp_path / "file")
    np.testing.assert_array_equal(images.reshape(3, -1), PIXELS)
    assert labels.tolist() == LABELS


def test_arrays_in_fortran_order(tmp_path: Path) -> None:
    content = {"data": np.asfortranarray(PIXELS), "labels": LABELS}
    (tmp_path / "file").write_bytes(pickle.dumps(content, 4))
    np.testing.assert_array_equal(read_python(tmp_path / "file")[0].reshape(3, -1), PIXELS)


class _Runs:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self._path),))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nothing_runs(protocol: int, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    content = {"data": PIXELS, "labels": LABELS, "trap": _Runs(trap)}
    (tmp_path / "file").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(FormatError, match=r"refused|not of this format"):
        read_python(tmp_path / "file")
    assert not trap.exists()


@pytest.mark.parametrize(
    "content",
    [
        [PIXELS, LABELS],
        {"data": PIXELS},
        {"labels": LABELS},
        {"data": PIXELS, "labels": LABELS[:2]},
        {"data": PIXELS, "labels": [4, 0, -9]},
        {"data": PIXELS, "labels": [4, 0, "9"]},
        {"data": PIXELS[:, :3071].copy(), "labels": LABELS},
        {"data": PIXELS.ravel(), "labels": LABELS},
        {"data": PIXELS.astype(np.int32), "labels": LABELS},
        {"data": PIXELS.tolist(), "labels": LABELS},
        {"data": PIXELS, "labels": LABELS, 5: 6},
        {"data": PIXELS, "labels": LABELS, "kind": {1, 2}},
        {"data": np.array([["a", "b"]], dtype=object), "labels": LABELS},
    ],
    ids=lambda content: str(content)[:30].replace("\n", " "),
)
def test_other_content_is_refused(content: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(FormatError):
        read_python(tmp_path / "file")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"}\x8c\x06labels", b"s."),
        (b"}\x8c\x04data", b"s."),
        (b"\x8c\x05numpy", b"\x93."),
        (b")", b"R."),
        (b")", b"b."),
        (b"", b"."),
    ],
    ids=["labels", "data", "name", "call", "state", "whole"],
)
def test_a_nest_of_references_is_refused_at_once(
    before: bytes, after: bytes, tmp_path: Path
) -> None:
    """Sixty tuples, each twice in the next: one that were printed would never end."""
    nest = b")\x94" + b"".join(b"h%c\x86\x94" % k for k in range(60))
    (tmp_path / "file").write_bytes(b"\x80\x04" + before + nest + after)
    with pytest.raises(FormatError):
        read_python(tmp_path / "file")


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 400), byte=st.integers(0, 255))
def test_damage_is_told_or_harmless(place: int, byte: int, tmp_path: Path) -> None:
    """Any byte of the structure changed: a typed error, or images all the same."""
    raw = bytearray(pickle.dumps({"labels": LABELS, "data": PIXELS}, 2))
    raw[place] = byte
    (tmp_path / "file").write_bytes(raw)
    try:
        images, labels = read_python(tmp_path / "file")
    except FormatError:
        return
    assert images.shape == (len(labels), 3, 32, 32)
