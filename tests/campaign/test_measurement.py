"""The file of a record: byte-exact back, and an error for every damage."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from naslib_ecnas.campaign import Measurement, Plan
from naslib_ecnas.campaign.measurement import record_path
from naslib_ecnas.errors import ChecksumError, EcnasError, FormatError, StorageError
from naslib_ecnas.files import to_json


@pytest.fixture
def path(measured: Path) -> Path:
    """The first record of a campaign."""
    return record_path(measured, Plan.read(measured).units[0])


def test_a_record_comes_back_byte_for_byte(sound: Path, tmp_path: Path) -> None:
    for unit in Plan.read(sound).units:
        path = record_path(sound, unit)
        record = Measurement.read(path)
        record.write(tmp_path / "again.json")
        assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_damaged_record_is_an_error_or_the_same_record(path: Path) -> None:
    whole, before = path.read_bytes(), repr(Measurement.read(path))
    rng, errors = np.random.default_rng(0), 0
    for _ in range(200):
        at, value = int(rng.integers(len(whole))), int(rng.integers(1, 256))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ value]) + whole[at + 1 :])
        try:  # the same for a capital letter in an escape, say, or another space
            assert repr(Measurement.read(path)) == before
        except EcnasError:
            errors += 1
    assert errors > 160


def test_a_content_that_fits_its_digest_is_still_checked(path: Path) -> None:
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
    for changes, error, text in (
        ({"sha256": "0" * 64}, ChecksumError, "not what was written"),
        ({"format": "ecnas-measurement/3"}, FormatError, "has the format ecnas-measurement/2"),
    ):
        path.write_text(json.dumps({**data, **changes}))
        with pytest.raises(error, match=text):
            Measurement.read(path)
    with pytest.raises(StorageError):
        Measurement.read(path.with_name("none.json"))
