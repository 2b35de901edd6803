"""Reading foreign pickles without running them: NASLib's of NAS-Bench-101, and CIFAR-10's.

Python's unpickler imports and calls whatever a pickle names. Here it gets only the few names that
numpy's arrays need, which stand for the classes of this file; any other name is an error. A small
pickle can still take all memory, compute for hours or crash the interpreter. So it is read in a
process with limits, which checks the content and sends back columns; on a system that has no
limits it is not read.

This module is imported by that process: it imports no numpy.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import pickle
import re
import subprocess
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from math import nan, prod
from os import PathLike
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from naslib_ecnas.errors import FormatError, TruncatedError

if TYPE_CHECKING:
    from naslib_ecnas.data.table import Columns

#: A process may take this many bytes, and so many more for each byte of the file and for each hash
#: of a cell in it, whichever is less. NASLib's own file takes eight times its size, 1.5 GB.
_MEMORY, _MEMORY_PER_BYTE, _MEMORY_PER_HASH = 512 << 20, 16, 4096
_HASH = re.compile(rb"[0-9a-f]{32}")
_MOST_BYTES = 1 << 29  # of a file; NASLib's own has under half of it
_SECONDS = 120  # of computing time; NASLib's own file takes a tenth


class Content(msgspec.Struct):
    """What a pickle holds, or why it is refused."""

    texts: dict[str, list[str]] = {}
    numbers: dict[str, bytes] = {}
    """Columns of numbers as bytes: float64 `values`, uint8 `images`, else int64."""
    refused: str = ""
    truncated: bool = False


# -- in the process: numpy's names, and all that is refused ----

#: Types of plain numbers, as `array` names them; objects, texts, records and dates are refused.
_CODES = {"i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}
_CODES |= {"f4": "f", "f8": "d", "b1": "B"}
_BITS = bytes.maketrans(b"\0\1", b"01")


class _DType:
    """Stands for `numpy.dtype`."""

    def __init__(self, name: str, *_: Any) -> None:
        self.order, self.name = "<", name.lstrip("<>|=")
        if self.name not in _CODES:
            raise ValueError(f"an array of type {name[:20]!r} is refused")

    def __setstate__(self, state: Any) -> None:
        _, self.order, *structure = state[:5]
        if any(structure):
            raise ValueError("an array of records is refused")

    def numbers(self, data: bytes | str) -> array[Any]:
        """The numbers in some bytes, which Python 2 wrote as text."""
        found = array(_CODES[self.name], data.encode("latin-1") if isinstance(data, str) else data)
        if (self.order == ">") == (sys.byteorder == "little"):
            found.byteswap()
        return found


class _Array:
    """Stands for `numpy.ndarray`: an array of plain numbers."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, dtype, fortran, data = state
        self.type, self.fortran, self.numbers = dtype.name, bool(fortran), dtype.numbers(data)
        if len(self.numbers) != prod(self.shape):
            raise ValueError("the bytes of an array must fill its shape")

    def bits(self) -> str:
        """The entries of a square matrix of 0 and 1, row by row."""
        v = self.shape[0] if self.shape else 0
        if self.shape != (v, v) or self.type[0] == "f":
            raise ValueError("an adjacency matrix must be square and of whole numbers")
        entries = bytes(self.numbers.tolist())
        if self.fortran:
            entries = b"".join([entries[row::v] for row in range(v)])
        return entries.translate(_BITS).decode("latin-1")


def _reconstruct(kind: type[_Array], *_: Any) -> _Array:
    return kind()


def _from_buffer(data: bytes, dtype: _DType, shape: tuple[int, ...], order: str) -> _Array:
    made = _Array()
    made.__setstate__((1, shape, dtype, order == "F", bytes(data)))
    return made


def _scalar(dtype: _DType, data: bytes | str) -> Any:
    (number,) = dtype.numbers(data)
    return bool(number) if dtype.name == "b1" else number


def _encode(text: str, encoding: str) -> bytes:
    """How protocols below 3 write bytes."""
    if encoding != "latin1":
        raise ValueError("bytes must be written as Latin-1")
    return text.encode("latin-1")


#: Everything that a pickle may name, in the spellings of numpy 1 and 2.
_NAMES: dict[str, Any] = {"numpy.ndarray": _Array, "numpy.dtype": _DType, "_codecs.encode": _encode}
for _core in ("numpy.core", "numpy._core"):
    _NAMES[f"{_core}.multiarray._reconstruct"] = _reconstruct
    _NAMES[f"{_core}.multiarray.scalar"] = _scalar
    _NAMES[f"{_core}.numeric._frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _NAMES.get(f"{module}.{name}")
        if found is None:
            raise pickle.UnpicklingError(f"it names {module[:80]}.{name[:80]}, which is refused")
        return found


# -- in the process: the content of each kind of file ----

#: Fields of a training in NASLib's file, the columns of `values`.
FIELDS = tuple(
    f"{when}_{what}"
    for when in ("halfway", "final")
    for what in ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
)
_Training = msgspec.defstruct(
    "_Training", [(field, float, nan) for field in FIELDS], forbid_unknown_fields=True
)
_Epochs = Annotated[int, msgspec.Meta(ge=1, le=999_999)]


class _Fixed(msgspec.Struct):
    module_adjacency: _Array
    module_operations: list[str]
    trainable_parameters: int


class _Images(msgspec.Struct):
    data: _Array
    labels: list[Annotated[int, msgspec.Meta(ge=0, le=255)]]


def _nasbench(content: Any) -> Content:
    """NAS-Bench-101's trainings: an entry for each cell, in `entry` and `epochs` of each training
    the number of its entry and its budget."""
    entries = msgspec.convert(
        content,
        dict[str, tuple[_Fixed, dict[_Epochs, list[_Training]]]],  # type: ignore[valid-type]
    )
    texts: dict[str, list[str]] = {"hash": list(entries), "bits": [], "ops": []}
    numbers: dict[str, array[Any]] = {n: array("q") for n in ("parameters", "entry", "epochs")}
    numbers["values"] = array("d")
    for i, (fixed, computed) in enumerate(entries.values()):
        texts["bits"].append(fixed.module_adjacency.bits())
        texts["ops"].append(",".join(fixed.module_operations))
        numbers["parameters"].append(fixed.trainable_parameters)
        for epochs, trainings in computed.items():
            for training in trainings:
                numbers["entry"].append(i)
                numbers["epochs"].append(epochs)
                numbers["values"].extend(msgspec.structs.astuple(training))
    return Content(texts, {name: column.tobytes() for name, column in numbers.items()})


def _cifar10(content: dict[Any, Any]) -> Content:
    """Images of CIFAR-10, (n, 3072) in the order `fortran` says, and their labels."""
    named = {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}
    found = msgspec.convert(named, _Images)
    data = found.data
    if data.shape != (len(found.labels), 3072) or data.type != "u1" or not found.labels:
        raise ValueError(f"the data are of shape {data.shape} and type {data.type}")
    flag = array("q", [data.fortran]).tobytes()
    labels = array("q", found.labels).tobytes()
    return Content(numbers={"images": data.numbers.tobytes(), "labels": labels, "fortran": flag})


#: Kinds of files: what they hold, in words, and the function that takes it apart.
_KINDS: dict[str, tuple[str, Callable[[Any], Content]]] = {
    "nasbench": ("NASLib's dictionary of NAS-Bench-101", _nasbench),
    "cifar10": ("(n, 3072) uint8 data and n labels", _cifar10),
}


def load(file: Any, kind: str) -> Content:
    """The content of a pickle; what is refused says why."""
    try:
        return _KINDS[kind][1](_Unpickler(file, encoding="latin1").load())
    except Exception as error:  # noqa: BLE001 - whatever a pickle makes the unpickler raise
        why = " ".join(f"{type(error).__name__}: {error}".split())
        if isinstance(error, MemoryError):
            why = "it takes far more memory than such content"
        cut = isinstance(error, EOFError) or "truncated" in why
        return Content(refused=why[:300], truncated=cut)


def _main(kind: str, memory: str, seconds: str) -> None:
    """Read the standard input and write a `Content`, within limits."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: killed when the caller dies
    gc.disable()  # nothing is let go before the end
    import resource  # Windows has none

    for limit, most in ((resource.RLIMIT_AS, int(memory)), (resource.RLIMIT_CPU, int(seconds))):
        hard = resource.getrlimit(limit)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):  # macOS has no limit of memory
            resource.setrlimit(limit, (most, most))
    sys.stdout.buffer.write(msgspec.msgpack.encode(load(sys.stdin.buffer, kind)))
    sys.stdout.flush()
    os._exit(0)  # freeing what a pickle made may take long


# -- in the caller's process ----

_START = (
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from naslib_ecnas.data.unpickle import _main; _main(*sys.argv[1:4])"
)


def unpickled(path: str | PathLike[str], kind: str) -> tuple[Content, str]:
    """The content of a pickle, `"nasbench"` or `"cifar10"`, and the SHA-256 of the file.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        FormatError: it names anything but numpy's arrays, takes too much memory or time, or has
            other content.
    """
    from naslib_ecnas.data.assemble import Source, opened, pieces
    from naslib_ecnas.nasbench_hash import prefixes

    if importlib.util.find_spec("resource") is None:
        message = "this system cannot limit the memory of a process, so pickles are not read on it"
        raise Source(path).fault(message, remedy="convert it on Linux")

    digest, hashes, known = sha256(), 0, set(prefixes().tolist())
    with opened(path, most=_MOST_BYTES) as file:
        for piece in pieces(file):
            digest.update(piece)
            # One may lie across the ends of two pieces.
            hashes += 1 + sum(int(each[:8], 16) in known for each in _HASH.findall(piece))
        more = min(_MEMORY_PER_BYTE * file.tell(), _MEMORY_PER_HASH * hashes)
        memory = _MEMORY + more
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # not only in the buffer
        done = subprocess.run(
            [sys.executable, "-c", _START, kind, str(memory), str(_SECONDS), *sys.path],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode == 0:
        content = msgspec.msgpack.decode(done.stdout, type=Content)
    else:
        limits = f"{memory >> 20} MB of memory and {_SECONDS} s of computing time"
        content = Content(refused=f"it cannot be read within {limits}")
    if content.refused:
        remedy = "do not load it with pickle: it may run code"
        message = f"the pickle must hold {_KINDS[kind][0]}: {content.refused}"
        error = TruncatedError if content.truncated else FormatError
        raise Source(path).fault(message, kind=error, remedy=remedy)
    return content, digest.hexdigest()


def read_nasbench_pickle(path: str | PathLike[str]) -> Columns:
    """Read NASLib's `nasbench_only108.pkl`, NAS-Bench-101's 108-epoch trainings as a pickle.

    The pickled dictionary maps a hash to `(fixed, computed)`: the adjacency matrix, the operations
    and the trainable parameters, and for each budget a list of the repeats' times and accuracies
    halfway and at the end (`naslib/utils/nb101_api.py`). All of these are checked. For the time of
    reading, a second process takes over a gigabyte for the published file.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        FormatError: it names anything but numpy's arrays, takes too much memory or time, or its
            content is not that of NASLib's file.
    """
    import numpy as np

    from naslib_ecnas.data.assemble import Assembler, Source, check_parameters, rows_with_hashes
    from naslib_ecnas.data.nasbench_tfrecord import NASBENCH_PROVENANCE

    content, sha256 = unpickled(path, "nasbench")
    source, texts = Source(path), content.texts
    numbers = {n: np.frombuffer(c, dtype=np.int64) for n, c in content.numbers.items()}
    cells = list(zip(texts["bits"], texts["ops"], strict=True))
    rows = rows_with_hashes(cells, texts["hash"], lambda _: source)
    if len(np.unique(rows)) < len(rows):
        raise source.fault("each cell must have one entry")
    check_parameters(rows, numbers["parameters"], lambda _: source)
    values = np.frombuffer(content.numbers["values"]).reshape(-1, len(FIELDS))
    metrics = [f.removeprefix("final_").replace("_time", "_time_s") for f in FIELDS]
    assembler = Assembler(source)
    assembler.add(
        rows[numbers["entry"]],
        numbers["epochs"].astype(np.int32),
        dict(zip(metrics, values.T, strict=True)),
    )
    return assembler.finish(replace(NASBENCH_PROVENANCE, sha256=sha256))
