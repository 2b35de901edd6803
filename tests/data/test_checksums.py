"""Checksums of files against hashlib, and a file against what is published of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from naslib_ecnas.data.catalog import FileEntry, file_entry
from naslib_ecnas.data.fetch import check, sha256_of
from naslib_ecnas.errors import ChecksumError, TruncatedError, UnknownTableError

CONTENT = bytes(range(256)) * 9000  # more than one block


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "made-up.bin"
    file.write_bytes(CONTENT)
    return file


def published(content: bytes) -> FileEntry:
    known = file_entry("4v-rtx6000")
    return replace(
        known, name="made-up.bin", size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


def test_a_checksum_is_hashlib_s(path: Path, tmp_path: Path) -> None:
    assert sha256_of(path) == hashlib.sha256(CONTENT).hexdigest()
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty") == hashlib.sha256().hexdigest()


def test_the_published_file_passes(path: Path) -> None:
    entry = published(CONTENT)
    assert check(path, entry) == entry.sha256
    assert check(path, replace(entry, sha256=None)) == entry.sha256
    assert check(path, replace(entry, size=None)) == entry.sha256


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (CONTENT + b"!", TruncatedError),
        (CONTENT[:-1], ChecksumError),
        (CONTENT[:-1] + b"!", ChecksumError),
    ],
)
def test_another_file_is_told_by_length_and_content(
    path: Path, content: bytes, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        check(path, published(content))
    assert type(caught.value) is kind


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, size: int | None) -> None:
    with pytest.raises(UnknownTableError, match="cannot be read"):
        check(tmp_path / "none", replace(published(CONTENT), size=size))
