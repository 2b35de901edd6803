"""Files: the cache folder, careful reading, atomic writing, JSON and CSV of plain values."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from naslib_ecnas.errors import ConfigError, EcnasError, FormatError, StorageError

# Unlike the methods of Path they do not raise if a name is too long or a folder above is private.
exists, is_file, is_folder = os.path.exists, os.path.isfile, os.path.isdir


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path, with the home folder for a leading `~` if there is such a home."""
    return Path(os.path.expanduser(path))


def cache_folder() -> Path:
    """The folder of downloads and converted tables: `ECNAS_CACHE`, else the user's cache.

    Raises:
        StorageError: it is in the home folder of a user who has none.
    """
    folder = os.environ.get("ECNAS_CACHE")
    if not folder:
        from platformdirs import user_cache_dir

        try:
            folder = user_cache_dir("naslib-ecnas", appauthor=False)
        except RuntimeError:  # newer versions; others leave the ~
            folder = "~"
    path = expanded(folder)
    if str(path).startswith("~"):
        message = "there is no such home folder, so there is no cache"
        raise StorageError(message, value=folder, remedy="name a folder in ECNAS_CACHE")
    return path


#: Most bytes of a document that is read whole: a record, a history, a log, weights.
DOCUMENT = 1 << 26


def open_file(path: str | PathLike[str], *, most: int | None = None) -> io.FileIO:
    """A regular file, open for reading bytes. Every file that others made is opened here.

    Opening a pipe may wait for ever, and reading a device may never end: both are refused unread,
    as is a file of more than `most` bytes.

    Raises:
        OSError: there is no such file, it cannot be read, it is not regular, or it is too large.
    """

    def check(found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if most is not None and found.st_size > most:
            reason = f"it has {found.st_size:,} bytes, more than {most:,}"
            raise OSError(errno.EFBIG, reason, str(path))

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        check(os.stat(path))
        file = io.FileIO(os.fspath(path), opener=opener)
    except ValueError as error:  # the name contains a NUL
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    try:
        check(os.fstat(file.fileno()))  # it may have been replaced since
    except OSError:
        file.close()
        raise
    return file


def read_bytes(path: str | PathLike[str], *, most: int = DOCUMENT) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        OSError: as by `open_file`.
    """
    with open_file(path, most=most) as file:
        return file.readall() or b""  # None where a reader would wait, as of /proc/kmsg


_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def storage_error(error: OSError, path: Path) -> StorageError:
    """The typed error of a failed write."""
    reason = f"cannot write ({error.strerror or error})"
    if error.errno == errno.ENOSPC:
        reason = "the disk is full"
    elif error.errno in _NOT_ALLOWED:
        reason = "the folder cannot be written"
    remedy = "choose another folder, by ECNAS_CACHE or --out"
    return StorageError(f"{reason}: {path}", remedy=remedy)


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Context in which an error of the system means that a path cannot be written.

    Raises:
        StorageError: in place of that error.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error(error, path) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file that gets its name only when it is complete.

    Readers and other writers see either the old file or the whole new one. After an error nothing
    is left.

    Raises:
        StorageError: the folder cannot be written or the disk is full.
    """
    import tempfile  # here, as it imports compression and randomness, which readers do not need

    with storing(path), ExitStack() as stack:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        stack.callback(_remove, name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file private; a finished file has the user's ordinary mode.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
        stack.pop_all()


def _remove(path: str | PathLike[str]) -> None:
    """Remove a file, if that is possible."""
    with suppress(OSError):
        os.unlink(path)


def write_together(
    contents: Mapping[Path, bytes | Iterable[bytes]], *, without: Iterable[Path] = ()
) -> None:
    """Write files that belong together: all of them get their names, the first one last, or none.

    Each is on the disk before any gets its name, so that a full disk shows in time; and before, the
    files `without` are removed, if there are any.

    Raises:
        StorageError: a folder cannot be written or the disk is full.
    """
    with ExitStack() as stack:
        for path, content in contents.items():
            file = stack.enter_context(atomic_write(path))
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        for path in without:
            path.unlink(missing_ok=True)


#: File by which a process locks a folder; it is left behind by one that was killed.
LOCK = ".lock"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes; the lock of a process that ended is void.

    Raises:
        ConfigError: another process is at work in it.
        StorageError: it cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    with storing(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            message = f"another process is at work in {folder}"
            raise ConfigError(message, remedy="wait for it, or choose another --out") from None
    try:
        yield
    finally:
        _remove(folder / LOCK)
        lock.release()


# -- JSON, and frozen dataclasses as plain values ----

T = TypeVar("T")

if TYPE_CHECKING:
    MaybeNaN = float
else:

    class _Float(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, float)

    class MaybeNaN(metaclass=_Float):
        """Type of a dataclass's field that is a float, NaN if unknown, and null in JSON."""


def from_json(text: str | bytes) -> Any:
    """The plain values of JSON from an untrusted source.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has a number too large for a float.
    """
    import msgspec  # here, as it takes 15 ms and most processes read no document

    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def to_json(data: Any, *, indent: int | None = None) -> str:
    """JSON of `to_plain(data)`."""
    return json.dumps(to_plain(data), indent=indent, ensure_ascii=False)


def to_plain(value: Any) -> Any:
    """Dictionaries, lists, texts, numbers and None; a float that is not finite becomes None.

    Parts of a file's name that are not UTF-8 become escapes such as `\\udcff`.
    """
    import msgspec

    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_encoded))
    except UnicodeEncodeError:
        return to_plain(_as_utf8(msgspec.to_builtins(value, enc_hook=_encoded)))


def from_plain(kind: type[T], data: Any, *, path: str | None = None) -> T:
    """The inverse of `to_plain`; None becomes NaN if the field is a `MaybeNaN`.

    A kind is a dataclass of texts, numbers, flags, such dataclasses, tuples and mappings of them.

    Raises:
        FormatError: a field is missing or unknown, or has another type; it names the path.
    """
    import msgspec

    try:
        made: T = msgspec.convert(data, kind, dec_hook=_decoded)
        _check_names(made, data, "$")
    except (ValueError, OverflowError, EcnasError) as error:
        raise FormatError(f"{kind.__name__}: {error}", path=path) from error
    return made


def _as_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_as_utf8(key): _as_utf8(item) for key, item in value.items()}
    return list(map(_as_utf8, value)) if isinstance(value, (list, tuple)) else value


def _encoded(value: Any) -> Any:
    """A number of numpy, or a mapping, as msgspec can encode it."""
    is_number = hasattr(value, "item") and not hasattr(value, "__len__")
    return value.item() if is_number else dict(value)


def _decoded(kind: type, data: Any) -> float:
    """A `MaybeNaN`."""
    if data is not None and type(data) not in (int, float):
        raise TypeError(f"Expected `float | null`, got {data!r}")
    return math.nan if data is None else float(data)


def _check_names(made: Any, data: Any, place: str = "$") -> None:
    """Raise unless `data` names each field of all dataclasses in `made`, and no other one.

    A whole number of more than 64 bits is refused, too: no field can mean one.
    """
    if isinstance(made, int) and made.bit_length() > 64:
        raise ValueError(f"a whole number may have 64 bits, not {made.bit_length()} - at `{place}`")
    if isinstance(made, (str, int, float, NoneType)):
        return
    if isinstance(made, dict):
        for key, item in made.items():
            _check_names(item, data[key], f"{place}.{key}")
    elif isinstance(made, tuple):
        for i, item in enumerate(made):
            _check_names(item, data[i], f"{place}[{i}]")
    else:
        names = [field.name for field in fields(made)]
        if data.keys() != set(names):
            message = f"an object must have the fields {', '.join(names)} - at `{place}`"
            raise FormatError(message, value=sorted(data))
        for name in names:
            _check_names(getattr(made, name), data[name], f"{place}.{name}")


# -- tables of named columns, as CSV ----


class _Written(list[str]):
    """The texts that a writer was given."""

    write = list.append


@dataclass(frozen=True)
class Sheet:
    """Rows of values under headings that carry their units."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    """One value for each heading: text, a whole number, or a float, NaN if unknown."""

    def __post_init__(self) -> None:
        odd = [row for row in self.rows if len(row) != len(self.headings)]
        if odd or len(set(self.headings)) < len(self.headings):
            message = f"a row must have {len(self.headings)} values under different headings"
            raise ConfigError(message, value=odd[0] if odd else self.headings)

    @classmethod
    def of(cls, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> Sheet:
        """A sheet of rows; numpy's numbers become plain ones."""
        return cls(tuple(headings), tuple(tuple(map(_plain, row)) for row in rows))

    def __len__(self) -> int:
        return len(self.rows)

    def records(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict, for JSON."""
        return (dict(zip(self.headings, row, strict=True)) for row in self.rows)

    def text(self) -> str:
        """The sheet as CSV; an unknown value is an empty field, floats are exact."""
        import csv  # here, as most processes write no CSV

        lines = _Written()
        # A text is quoted if it has a character of the terminator: so either kind of line end is.
        writer = csv.writer(lines, lineterminator="\r\n")
        writer.writerows(map(_field, row) for row in (self.headings, *self.rows))
        return "".join(line[:-2] + "\n" for line in lines)

    def write(self, path: Path) -> Path:
        """Write it as CSV, atomically.

        Raises:
            StorageError: the folder cannot be written or the disk is full.
        """
        with atomic_write(path) as file:
            file.write(self.text().encode("utf-8", "backslashreplace"))
        return path


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _field(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return "" if value is None else value
