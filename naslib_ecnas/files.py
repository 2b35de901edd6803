"""Where the package keeps files of its own, and how it writes any file: whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, Union, get_args, get_origin, get_type_hints

from naslib_ecnas.errors import ConfigError, EcnasError, FormatError, StorageError

__all__ = [
    "Sheet",
    "atomic_write",
    "cache_folder",
    "exists",
    "from_json",
    "from_plain",
    "is_file",
    "is_folder",
    "storage_error",
    "to_json",
    "to_plain",
    "write_together",
]


def cache_folder() -> Path:
    """The folder of downloads and converted tables: `ECNAS_CACHE`, else the user's cache."""
    chosen = os.environ.get("ECNAS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("naslib-ecnas", appauthor=False)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether something is there.

    `Path.exists`, `is_file` and `is_dir` raise where a name is too long or a folder above is
    private; to a reader such a path is one where nothing is.
    """
    return os.path.exists(path)


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is there; see `exists`."""
    return os.path.isfile(path)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is there; see `exists`."""
    return os.path.isdir(path)


def storage_error(error: OSError, path: Path) -> StorageError:
    """The typed error of a failed write, with its remedy."""
    remedy = "choose another folder, by ECNAS_CACHE or --out"
    if error.errno == errno.ENOSPC:
        what, remedy = "the disk is full", "free some room, or " + remedy
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = "the folder cannot be written"
    else:
        what = f"cannot write ({error.strerror or error})"
    return StorageError(what, value=str(path), expected="a writable place", remedy=remedy)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when it is complete.

    Readers and other writers see the old file or the whole new one; on any error nothing is
    left.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    import tempfile  # brings in compression and randomness, which readers do not need

    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a finished file gets the user's ordinary mode.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error(error, path) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all of them take their names, or none does.

    Each is on the disk before the first takes its name, so that a full disk shows in time.

    Raises:
        StorageError: a folder cannot be written or the disk is full.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            file = stack.enter_context(atomic_write(path))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


# JSON without NaN and infinities, which JSON does not have, and JSON of files from anywhere.


#: Digits of the longest whole number that every float can take.
_DIGITS = 300


def from_json(text: str | bytes) -> Any:
    """The plain values of JSON that nobody vouches for.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or has a number that no float can take;
            or it is no text.
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def to_json(data: Any, *, indent: int | None = None) -> str:
    """JSON of plain values; what is not known or not finite becomes null."""
    return json.dumps(_finite(data), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


# Frozen dataclasses to plain values for JSON, and back with every type checked.


T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dictionaries, lists, texts, numbers and None; numbers that are not finite become None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(kind: type[T], data: Any, *, path: str | None = None) -> T:
    """The inverse of `to_plain`; None becomes NaN where a number is wanted.

    Args:
        kind: a dataclass of texts, numbers, flags, such dataclasses, tuples and mappings of them.
        data: plain values.
        path: the file that they come from.

    Raises:
        FormatError: a field is missing, not known, or of another type.
    """
    made: T = _made(kind, data, kind.__name__, path)
    return made


def _made(kind: Any, data: Any, place: str, path: str | None) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, data, place, path)
    if origin in (Union, types.UnionType):  # only `X | None` is used
        return None if data is None else _made(inner[0], data, place, path)
    if origin is tuple and isinstance(data, list):
        return tuple(_made(inner[0], item, f"{place}[{i}]", path) for i, item in enumerate(data))
    if origin is Mapping and isinstance(data, dict) and all(type(key) is str for key in data):
        return {key: _made(inner[1], item, f"{place}.{key}", path) for key, item in data.items()}
    if kind is float and (data is None or type(data) in (int, float)):
        return math.nan if data is None else float(data)
    if kind in (str, int, bool) and type(data) is kind:
        return data
    raise _fault(place, data, getattr(kind, "__name__", str(kind)), path)


def _dataclass(kind: Any, data: Any, place: str, path: str | None) -> Any:
    hints = _hints(kind)
    names = list(hints)
    if not isinstance(data, dict) or set(data) != set(names):
        got = sorted(map(str, data)) if isinstance(data, dict) else type(data).__name__
        raise _fault(place, got, f"an object of {', '.join(names)}", path)
    values = {name: _made(hints[name], data[name], f"{place}.{name}", path) for name in names}
    try:
        return kind(**values)
    except EcnasError as error:
        raise _fault(place, error.value, error.expected or "another value", path) from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Types of a dataclass's fields. Reading thousands of records, to find them is most of it."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fault(place: str, value: Any, expected: str, path: str | None) -> FormatError:
    return FormatError(
        f"{place} is not as a record has it",
        path=path,
        value=value,
        expected=expected,
        remedy="take a record that this version wrote",
    )


# The numbers behind a figure or a table: named columns, written as CSV.


@dataclass(frozen=True)
class Sheet:
    """Rows of values under headings that carry their units."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    """One value for each heading: text, a whole number, or a float that is NaN where unknown."""

    def __post_init__(self) -> None:
        odd = [row for row in self.rows if len(row) != len(self.headings)]
        if odd or len(set(self.headings)) < len(self.headings):
            raise ConfigError(
                "rows do not fit the headings",
                value=odd[0] if odd else self.headings,
                expected=f"{len(self.headings)} values under different headings",
                remedy="give one value for each heading",
            )

    @classmethod
    def of(cls, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> Sheet:
        """A sheet of rows, numpy's numbers turned into plain ones."""
        return cls(tuple(headings), tuple(tuple(map(_plain, row)) for row in rows))

    def __len__(self) -> int:
        return len(self.rows)

    def records(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict, for JSON."""
        return (dict(zip(self.headings, row, strict=True)) for row in self.rows)

    def text(self) -> str:
        """The sheet as CSV; an unknown value is an empty field, floats are written exactly."""
        return "".join(map(_line, (self.headings, *self.rows)))

    def write(self, path: Path) -> Path:
        """Write it as CSV, whole or not at all.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        with atomic_write(path) as file:
            file.write(self.text().encode("utf-8"))
        return path


def _line(row: Sequence[Any]) -> str:
    out = io.StringIO()
    # With both characters as the terminator, each of them in a text is quoted.
    csv.writer(out, lineterminator="\r\n").writerow([_field(value) for value in row])
    return out.getvalue()[:-2] + "\n"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _field(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return "" if value is None else value
