"""The errors: what they say and what they are."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from naslib_ecnas import errors
from naslib_ecnas.files import atomic_write, cache_folder, storage_error
from naslib_ecnas.provenance import Provenance

SIMPLE = [
    getattr(errors, name)
    for name in errors.__all__
    if name.endswith("Error") and name not in ("InvalidCellError", "MissingDependencyError")
]


@pytest.mark.parametrize("kind", SIMPLE)
def test_an_error_says_value_expectation_and_remedy(kind: type[errors.EcnasError]) -> None:
    error = kind("it must be four", value=3, remedy="add one")
    assert str(error) == "it must be four, got 3; add one"
    assert (error.value, error.remedy) == (3, "add one")
    assert isinstance(error, errors.EcnasError)


def test_builtin_relatives_are_kept() -> None:
    assert issubclass(errors.InvalidCellError, ValueError)
    assert issubclass(errors.UnknownCellError, LookupError)
    assert issubclass(errors.UnknownMetricError, AttributeError)
    assert issubclass(errors.StorageError, OSError)
    assert issubclass(errors.MissingDependencyError, ImportError)


def test_a_huge_value_does_not_flood_the_message() -> None:
    assert len(str(errors.ConfigError("no", value=list(range(10_000))))) < 300


def test_files_and_offsets_are_named() -> None:
    error = errors.TruncatedError("ends early", path=Path("a.tfrecord"), offset=12)
    assert str(error) == "a.tfrecord at byte 12: ends early"
    assert (error.path, error.offset) == ("a.tfrecord", 12)


def test_a_missing_package_says_how_to_get_it() -> None:
    error = errors.MissingDependencyError("matplotlib", feature="a plot", extra="plots")
    assert "pip install 'naslib-ecnas[plots]'" in str(error)


def test_an_atomic_write_is_whole_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "file"
    with atomic_write(target) as file:
        file.write(b"one")
    assert target.read_bytes() == b"one"

    def broken() -> None:
        with atomic_write(target) as file:
            file.write(b"two")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert target.read_bytes() == b"one"
    assert [p.name for p in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_refuses_is_told_apart(number: int) -> None:
    error = storage_error(OSError(number, "x"), Path("/there"))
    words = {errno.ENOSPC: "full", errno.EROFS: "cannot be written", errno.EACCES: "be written"}
    assert words.get(number, "cannot write") in str(error)
    assert "ECNAS_CACHE" in str(error)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def full() -> None:
        with atomic_write(tmp_path / "file"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(errors.StorageError, match="full"):
        full()
    assert not list(tmp_path.iterdir())


def test_the_first_failure_of_nested_writes_is_told(tmp_path: Path) -> None:
    """The table fails, not the file that is written around it."""
    first = errors.StorageError("the disk is full", value="table")

    def nested() -> None:
        with atomic_write(tmp_path / "around"):
            raise first

    with pytest.raises(errors.StorageError) as caught:
        nested()
    assert caught.value is first
    assert not list(tmp_path.iterdir())


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ECNAS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("ECNAS_CACHE")
    assert cache_folder().name == "naslib-ecnas"


def test_provenance_tells_what_differs_and_survives_json() -> None:
    one = Provenance("measured", device="Quadro RTX 6000", pue=1.59, repeats=1, source="f")
    other = Provenance("modelled", device="Quadro RTX 6000", pue=1.0)
    assert one.differs_in(other) == ["kind", "pue", "repeats"]
    assert Provenance.from_json(one.to_json()) == one
    assert str(one) == "measured, on Quadro RTX 6000, PUE 1.59 in, 1 repeat, f"
    assert "PUE out" in str(other)
    for wrong in (
        {},
        {"kind": "guess"},
        {"kind": "measured", "x": 1},
        [],
        {"kind": "measured", "pue": "a"},
    ):
        with pytest.raises(errors.FormatError):
            Provenance.from_json(wrong)
