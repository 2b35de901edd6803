"""The file of a record: byte-exact back, and an error for every damage."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.campaign import Measurement, Plan
from naslib_ecnas.campaign.record import record_path
from naslib_ecnas.errors import ChecksumError, EcnasError, FormatError, StorageError
from naslib_ecnas.files import to_json


def _first(folder: Path) -> Path:
    return record_path(folder, Plan.read(folder).units[0])


def test_a_record_comes_back_byte_for_byte(sound: Path, tmp_path: Path) -> None:
    for unit in Plan.read(sound).units:
        path = record_path(sound, unit)
        record = Measurement.read(path)
        record.write(tmp_path / "again.json")
        assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
        again = Measurement.read(tmp_path / "again.json")
        assert again.window("total") == record.window("total")
        assert again.training == record.training


def test_a_truncated_record_is_an_error(measured: Path) -> None:
    path = _first(measured)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            Measurement.read(path)


def test_a_changed_byte_is_an_error_or_changes_nothing(measured: Path) -> None:
    path = _first(measured)
    whole = path.read_bytes()
    before = Measurement.read(path)
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(300):
        at, value = int(rng.integers(len(whole))), int(rng.integers(1, 256))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ value]) + whole[at + 1 :])
        try:
            after = Measurement.read(path)
        except EcnasError:
            errors += 1
        else:  # such as a capital letter for a small one in an escape, or another space
            assert repr(after) == repr(before)
    assert errors > 250


def test_a_content_that_fits_its_digest_is_still_checked(measured: Path) -> None:
    path = _first(measured)
    data = json.loads(path.read_bytes())
    for key, value in (
        ("unit", {}),
        ("attempt", "x"),
        ("training", None),
        ("windows", [{}]),
        ("windows", None),
        ("meter", {"kind": "nvml"}),
    ):
        content = {**data["content"], key: value}
        digest = sha256(to_json(content).encode()).hexdigest()
        path.write_text(json.dumps({**data, "content": content, "sha256": digest}))
        with pytest.raises(FormatError):
            Measurement.read(path)
    path.write_text(json.dumps({**data, "sha256": "0" * 64}))
    with pytest.raises(ChecksumError, match="not what was written"):
        Measurement.read(path)
    with pytest.raises(StorageError):
        Measurement.read(path.with_name("none.json"))
