"""Reading NASLib's `nasbench_only108.pkl`: NAS-Bench-101's 108-epoch trainings as a pickle.

The pickled dictionary maps a hash to `(fixed, computed)`: the adjacency matrix, the operations and
the trainable parameters, and for each budget a list of the repeats' times and accuracies halfway
and at the end (`naslib/utils/nb101_api.py`).

Python's unpickler runs code that a pickle names, so `load` is an interpreter of its own for the
opcodes of plain data. No name of a pickle is ever looked up: the few names that pickles of numpy
arrays need stand for functions of this file, which build an array of plain numbers from its bytes.
Any other name, persistent ids, extension codes, out-of-band buffers, instances and sets are
refused. Keys of dictionaries are texts or small numbers, so that hashing cannot be made slow, and
every length is checked against the file before it is used. The opcodes are those of `pickletools`
in Python's library.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from os import PathLike
from pathlib import Path
from pickletools import opcodes
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.assemble import Assembler, Source, opened
from naslib_ecnas.data.nasbench_tfrecord import NASBENCH_PROVENANCE, cell_rows
from naslib_ecnas.data.table import Columns
from naslib_ecnas.errors import TruncatedError
from naslib_ecnas.nasbench_hash import wrong_hashes
from naslib_ecnas.provenance import Provenance

__all__ = ["ALLOWED", "Array", "DType", "load", "read_nasbench_pickle"]


# -- numpy's names --------------------------------------------------------------------------------

#: Types of plain numbers; objects, texts, records and dates are refused.
_TYPES = frozenset(kind + size for kind in "iu" for size in "1248") | {"f4", "f8", "b1"}
_MAX_ITEMS = 1 << 16
_MAX_DIMENSIONS = 8


class DType:
    """Stands for `numpy.dtype`: a type of plain numbers."""

    __slots__ = ("name",)

    def __init__(self, name: Any = None, *flags: Any) -> None:
        if type(name) is not str or name.lstrip("<>|=") not in _TYPES:
            raise ValueError(f"an array of type {_word(name)} is refused")
        if not all(type(flag) in (bool, int) for flag in flags) or len(flags) > 2:
            raise ValueError("the flags of a type must be at most two of 0 and 1")
        self.name = name

    def set_state(self, state: Any) -> None:
        """Set the byte order; of numpy's states only the plain form is accepted."""
        plain = type(state) is tuple and len(state) >= 8 and state[0] in (3, 4)
        if not plain or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise ValueError("a type with fields or metadata is refused")
        self.name = state[1] + self.name.lstrip("<>|=")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(self.name)


class Array:
    """Stands for `numpy.ndarray`: an array of plain numbers."""

    __slots__ = ("_data", "_dtype", "_fortran", "_shape")

    def __init__(self) -> None:
        self._data: bytes = b""
        self._dtype = DType("i1")
        self._shape: tuple[int, ...] = (0,)
        self._fortran = False

    def set_state(self, state: Any) -> None:
        """Set `(version, shape, type, Fortran order, bytes)`."""
        if type(state) is not tuple or len(state) != 5 or state[0] != 1:
            raise ValueError("the state must be of five items and version 1")
        _, shape, dtype, fortran, data = state
        self._fill(shape, dtype, bool(fortran) if type(fortran) in (bool, int) else None, data)

    def _fill(self, shape: Any, dtype: Any, fortran: bool | None, data: Any) -> None:
        if type(dtype) is not DType:
            raise ValueError("the type must be a numpy.dtype")
        if (
            type(shape) is not tuple
            or len(shape) > _MAX_DIMENSIONS
            or not all(type(side) is int and 0 <= side <= _MAX_ITEMS for side in shape)
            or prod(shape) > _MAX_ITEMS
        ):
            raise ValueError(f"the shape must be a tuple of at most {_MAX_ITEMS} items")
        if type(data) is not bytes or len(data) != prod(shape) * dtype.dtype.itemsize:
            raise ValueError("the bytes must fill the shape")
        if fortran is None:
            raise ValueError("the order must be C or Fortran")
        self._shape, self._dtype, self._data, self._fortran = shape, dtype, data, fortran

    @property
    def array(self) -> NDArray[Any]:
        """The numpy array, read-only."""
        flat = np.frombuffer(self._data, dtype=self._dtype.dtype)
        return flat.reshape(self._shape, order="F" if self._fortran else "C")

    @classmethod
    def reconstruct(cls, kind: Any, shape: Any, code: Any) -> Array:
        """`_reconstruct(ndarray, (0,), b"b")`: an empty array whose state follows."""
        if kind is not _NDARRAY or shape != (0,) or code not in (b"b", "b"):
            raise ValueError("only a plain ndarray is accepted")
        return cls()

    @classmethod
    def from_buffer(cls, data: Any, dtype: Any, shape: Any, order: Any) -> Array:
        """`_frombuffer(bytes, type, shape, order)`, as protocol 5 has it."""
        made = cls()
        made._fill(shape, dtype, {"C": False, "F": True}.get(order), data)
        return made


def _scalar(dtype: Any, data: Any) -> Any:
    """`scalar(type, bytes)`: a number of Python."""
    if type(dtype) is not DType or type(data) is not bytes:
        raise ValueError("a number must have a type and bytes")
    if len(data) != dtype.dtype.itemsize:
        raise ValueError("the bytes must be those of one number")
    return np.frombuffer(data, dtype=dtype.dtype)[0].item()


def _encode(text: Any, encoding: Any) -> bytes:
    """`_codecs.encode(text, "latin1")`: how protocols below 3 write bytes."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("only Latin-1 is accepted")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("the text must be Latin-1") from error


def _word(value: Any) -> str:
    return repr(value[:20]) if type(value) is str else type(value).__name__


def _none(*_: Any) -> Any:
    raise ValueError("an array cannot be made this way")


@dataclass(frozen=True)
class Global:
    """A name that a pickle may contain, and the function that it stands for."""

    name: str
    make: Callable[..., Any]


_NDARRAY = Global("ndarray", _none)

_MULTIARRAY = {
    "_reconstruct": Global("array", Array.reconstruct),
    "scalar": Global("number", _scalar),
}

#: Everything that a pickle may name, by (module, name), in the spellings of numpy 1 and 2.
ALLOWED: dict[tuple[str, str], Global] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Global("type", DType),
    ("_codecs", "encode"): Global("bytes", _encode),
    **{
        (f"numpy.{core}.multiarray", name): found
        for core in ("core", "_core")
        for name, found in _MULTIARRAY.items()
    },
    **{
        (f"numpy.{core}.numeric", "_frombuffer"): Global("array", Array.from_buffer)
        for core in ("core", "_core")
    },
}


# -- the interpreter ------------------------------------------------------------------------------

_MAX_PROTOCOL = 5
_MAX_LONG = 32  # bytes of a whole number
_MAX_KEY = 1 << 31  # larger numbers can be chosen so that their hashes collide
_END = object()
_BINFLOAT, _BINGET, _MEMOIZE = b"Gh\x94"
_DOUBLE = struct.Struct(">d").unpack_from


def load(data: Any, source: Source) -> Any:
    """The object that a pickle describes.

    Args:
        data: its bytes; anything that slices to bytes, such as a mapped file.
        source: the file.

    Returns:
        None, bool, int, float, str, bytes, tuple, list, dict and `Array`, nested. Lists and
        dictionaries may contain themselves.

    Raises:
        TruncatedError: the bytes end before the pickle does.
        FormatError: it names anything else, or it is not a pickle.
    """
    return _Machine(data, source).run()


class _Machine:
    """Interpreter of one pickle: a stack, marks in it, and a numbered memory."""

    def __init__(self, data: Any, source: Source) -> None:
        self._data = data
        self._end = len(data)
        self._source = source
        self._at = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: list[Any] = []

    def run(self) -> Any:
        try:
            return self._run()
        except IndexError:
            self._fail("the pickle takes from an empty stack or memory")

    def _run(self) -> Any:
        data, operations, end = self._data, _OPERATIONS, self._end
        stack, memo = self._stack, self._memo
        at = self._at
        while at < end:
            code = data[at]
            at += 1
            # Three quarters of all opcodes are these, so they are worth their own branches.
            if code == _BINFLOAT and end - at >= 8:
                stack.append(_DOUBLE(data, at)[0])
                at += 8
            elif code == _BINGET and at < end:
                stack.append(memo[data[at]])
                at += 1
            elif code == _MEMOIZE:
                memo.append(stack[-1])
            else:
                self._at = at
                operation = operations[code]
                if operation is None:
                    name = next((o.name for o in opcodes if ord(o.code) == code), hex(code))
                    self._fail(f"the pickle has an opcode that is refused: {name}")
                if operation(self) is _END:
                    return stack[-1]
                at = self._at
        raise self._source.fault("the pickle must end with STOP", at=end, kind=TruncatedError)

    def _fail(self, message: str, value: object = None) -> NoReturn:
        remedy = "do not load it with pickle: it may run code"
        at = max(self._at - 1, 0)
        raise self._source.fault(message, at=at, value=value, remedy=remedy)

    # -- reading arguments --------------------------------------------------------------------

    def _take(self, length: int) -> bytes:
        start = self._at
        if length > self._end - start:
            message = f"the pickle ends within a value of {length} bytes"
            raise self._source.fault(message, at=start, kind=TruncatedError)
        self._at = start + length
        taken: bytes = self._data[start : self._at]
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> str:
        stop = self._data.find(b"\n", self._at, self._at + 256)
        if stop < 0:
            self._fail("the pickle has a line without an end")
        raw = self._take(stop + 1 - self._at)[:-1]
        try:
            return raw.decode("ascii")
        except UnicodeDecodeError:
            self._fail("the pickle has a line that is not ASCII", raw)

    def _text(self, size: int) -> None:
        self._decoded(self._take(self._number(size)))

    def _decoded(self, raw: bytes) -> None:
        try:
            self._stack.append(raw.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            self._fail("the pickle has a text that is not UTF-8", raw)

    # -- the stack ----------------------------------------------------------------------------

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _pop(self) -> Any:
        # Objects below the last mark may not be taken.
        if self._marks and len(self._stack) <= self._marks[-1]:
            self._fail("the pickle takes from below a mark")
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        found = self._stack[-1]
        if type(found) is not kind:
            self._fail(f"the pickle may fill only a {kind.__name__}", type(found).__name__)
        return found

    # -- opcodes, by their names in pickletools ----------------------------------------------

    def op_proto(self) -> None:
        number = self._number(1)
        if number > _MAX_PROTOCOL:
            self._fail(f"the protocol must be at most {_MAX_PROTOCOL}", number)

    def op_frame(self) -> None:
        length = self._number(8)
        if length > self._end - self._at:
            self._take(length)

    def op_stop(self) -> object:
        if len(self._stack) != 1 or self._marks:
            self._fail("the pickle must end with one object")
        return _END

    def op_mark(self) -> None:
        self._marks.append(len(self._stack))

    def op_none(self) -> None:
        self._stack.append(None)

    def op_newtrue(self) -> None:
        self._stack.append(True)

    def op_newfalse(self) -> None:
        self._stack.append(False)

    def op_binint1(self) -> None:
        self._stack.append(self._number(1))

    def op_binint2(self) -> None:
        self._stack.append(self._number(2))

    def op_binint(self) -> None:
        self._stack.append(int.from_bytes(self._take(4), "little", signed=True))

    def op_long1(self) -> None:
        self._long(self._number(1))

    def op_long4(self) -> None:
        self._long(self._number(4))

    def _long(self, size: int) -> None:
        if size > _MAX_LONG:
            self._fail(f"a number of the pickle must have at most {_MAX_LONG} bytes", size)
        self._stack.append(int.from_bytes(self._take(size), "little", signed=True))

    def op_binfloat(self) -> None:
        self._stack.append(_DOUBLE(self._take(8))[0])

    def op_int(self) -> None:
        line = self._line()
        if line in ("00", "01"):  # how protocols 0 and 1 write False and True
            self._stack.append(line == "01")
            return
        self._parsed(int, line.removesuffix("L"))

    op_long = op_int

    def op_float(self) -> None:
        self._parsed(float, self._line())

    def _parsed(self, kind: Callable[[str], Any], line: str) -> None:
        try:
            self._stack.append(kind(line))
        except ValueError:
            self._fail("the pickle has a malformed number", line)

    def op_unicode(self) -> None:
        stop = self._data.find(b"\n", self._at)
        if stop < 0:
            self._fail("the pickle has a line without an end")
        raw = self._take(stop + 1 - self._at)[:-1]
        try:
            self._stack.append(raw.decode("raw-unicode-escape"))
        except UnicodeDecodeError:
            self._fail("the pickle has a text that cannot be read", raw)

    def op_short_binunicode(self) -> None:
        self._decoded(self._take(self._data[self._at] + 1)[1:])

    def op_binunicode(self) -> None:
        self._text(4)

    def op_binunicode8(self) -> None:
        self._text(8)

    def op_short_binbytes(self) -> None:
        self._stack.append(self._take(self._number(1)))

    def op_binbytes(self) -> None:
        self._stack.append(self._take(self._number(4)))

    def op_binbytes8(self) -> None:
        self._stack.append(self._take(self._number(8)))

    op_bytearray8 = op_binbytes8

    def op_empty_tuple(self) -> None:
        self._stack.append(())

    def op_tuple1(self) -> None:
        self._stack.append((self._pop(),))

    def op_tuple2(self) -> None:
        last = self._pop()
        self._stack.append((self._pop(), last))

    def op_tuple3(self) -> None:
        last, middle = self._pop(), self._pop()
        self._stack.append((self._pop(), middle, last))

    def op_tuple(self) -> None:
        self._stack.append(tuple(self._since_mark()))

    def op_empty_list(self) -> None:
        self._stack.append([])

    def op_list(self) -> None:
        self._stack.append(self._since_mark())

    def op_append(self) -> None:
        item = self._pop()
        self._top(list).append(item)

    def op_appends(self) -> None:
        items = self._since_mark()
        self._top(list).extend(items)

    def op_empty_dict(self) -> None:
        self._stack.append({})

    def op_dict(self) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._fill(items)

    def op_setitem(self) -> None:
        value = self._pop()
        self._fill([self._pop(), value])

    def op_setitems(self) -> None:
        self._fill(self._since_mark())

    def _fill(self, items: list[Any]) -> None:
        target = self._top(dict)
        keys = items[::2]
        plain = all(type(k) is str or (type(k) is int and abs(k) <= _MAX_KEY) for k in keys)
        if len(items) % 2 or not plain:
            self._fail("keys of dictionaries in the pickle must be texts or small numbers")
        target.update(zip(keys, items[1::2], strict=True))

    def op_pop(self) -> None:
        if self._marks and len(self._stack) == self._marks[-1]:
            self._marks.pop()
        else:
            self._stack.pop()

    def op_pop_mark(self) -> None:
        self._since_mark()

    def op_binput(self) -> None:
        self._put(self._number(1))

    def op_long_binput(self) -> None:
        self._put(self._number(4))

    def op_put(self) -> None:
        self._put(self._index())

    def _put(self, index: int) -> None:
        # Every pickler numbers from 0; an arbitrary index could take gigabytes.
        if index > len(self._memo):
            self._fail("the memory of the pickle must be numbered without gaps", index)
        self._memo[index : index + 1] = [self._stack[-1]]

    def op_binget(self) -> None:
        self._stack.append(self._memo[self._number(1)])

    def op_long_binget(self) -> None:
        self._stack.append(self._memo[self._number(4)])

    def op_get(self) -> None:
        self._stack.append(self._memo[self._index()])

    def _index(self) -> int:
        line = self._line()
        if not line.isdigit():
            self._fail("the memory of the pickle must be numbered with digits", line)
        return int(line)

    def op_global(self) -> None:
        module = self._line()
        self._name(module, self._line())

    def op_stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (type(module) is str and type(name) is str):
            self._fail("a name in the pickle must be two texts")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        found = ALLOWED.get((module, name))
        if found is None:
            self._fail(f"the pickle names {module}.{name}, which is refused")
        self._stack.append(found)

    def op_reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if type(function) is not Global or type(arguments) is not tuple:
            self._fail("the pickle calls an object that is no name", type(function).__name__)
        try:
            self._stack.append(function.make(*arguments))
        except (ValueError, TypeError) as error:
            self._fail(f"the pickle has a damaged or refused {function.name}: {error}")

    def op_build(self) -> None:
        state = self._pop()
        target = self._stack[-1]
        if type(target) not in (Array, DType):
            self._fail("the pickle may set only the state of arrays", type(target).__name__)
        try:
            target.set_state(state)
        except (ValueError, TypeError) as error:
            self._fail(f"the pickle has a damaged or refused array: {error}")


#: The method of each opcode, named as in `pickletools`; an opcode without one is refused, except
#: MEMOIZE, which `_run` handles itself.
_OPERATIONS: list[Callable[[_Machine], object] | None] = [None] * 256

for _opcode in opcodes:
    _OPERATIONS[ord(_opcode.code)] = getattr(_Machine, f"op_{_opcode.name.lower()}", None)


# -- NASLib's dictionary --------------------------------------------------------------------------

_METRICS = {
    f"{when}_{what}": prefix + metric
    for when, prefix in (("halfway", "halfway_"), ("final", ""))
    for what, metric in (
        ("training_time", "training_time_s"),
        ("train_accuracy", "train_accuracy"),
        ("validation_accuracy", "validation_accuracy"),
        ("test_accuracy", "test_accuracy"),
    )
}

_MAX_EPOCHS = 999_999


def read_nasbench_pickle(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read NASLib's pickle of NAS-Bench-101. No code of the pickle can run.

    The trainable parameters and the bounds of every value are checked. Takes as much memory as the
    dictionary itself, over a gigabyte for the published file.

    Args:
        path: the file.
        name: short name of the table, by default the file's without its suffix.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric known better than `NASBENCH_PROVENANCE`.
        check_hashes: compare the hashes of all cells, not only those of up to five vertices.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        FormatError: it names anything but numpy's arrays, or its content is not that of
            NASLib's file.
    """
    source = Source(str(path))
    with opened(path) as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise source.fault("the file is empty", kind=TruncatedError) from error
        with mapped:
            content = load(mapped, source)
            digest = sha256(mapped).hexdigest()
    reader = _Reader(source)
    if type(content) is not dict:
        reader.fail("the pickle must be a dictionary", type(content).__name__)
    for key, entry in content.items():
        reader.take(key, entry)
    return reader.finish(
        name or Path(path).stem,
        vertices=vertices,
        provenance=provenance,
        default=Provenance(
            NASBENCH_PROVENANCE.kind,
            device=NASBENCH_PROVENANCE.device,
            source=Path(path).name,
            sha256=digest,
        ),
        check_hashes=check_hashes,
    )


class _Reader:
    """Collects the trainings of all entries."""

    def __init__(self, source: Source) -> None:
        self._source = Source(source.path, None)
        self._hashes: list[str] = []
        self._cells: list[tuple[str, str]] = []
        self._parameters: list[int] = []
        self._entry: list[int] = []
        self._epochs: list[int] = []
        self._values: dict[str, list[float]] = {metric: [] for metric in _METRICS.values()}

    def fail(self, message: str, value: object = None) -> NoReturn:
        raise self._source.fault(message, value=value)

    def take(self, key: Any, entry: Any) -> None:
        """Add one cell with all its trainings."""
        if type(key) is not str or type(entry) not in (tuple, list) or len(entry) != 2:
            self.fail("an entry must be a hash with two dictionaries", _shown(key))
        fixed, computed = entry
        if type(fixed) is not dict or type(computed) is not dict:
            self.fail("an entry must be a hash with two dictionaries", key)
        matrix = fixed.get("module_adjacency")
        ops = fixed.get("module_operations")
        parameters = fixed.get("trainable_parameters")
        if (
            type(matrix) is not Array
            or type(ops) is not list
            or not all(type(op) is str for op in ops)
            or type(parameters) is not int
        ):
            self.fail(f"entry {key} must have a matrix, operations and trainable parameters")
        bits = matrix.array
        if bits.ndim != 2 or bits.dtype.kind not in "iub" or not ((bits == 0) | (bits == 1)).all():
            self.fail(f"the matrix of entry {key} must be of 0 and 1")
        text = (bits.astype(np.uint8) + ord("0")).astype(np.uint8).tobytes()
        self._cells.append((text.decode(), ",".join(ops)))
        self._hashes.append(key)
        self._parameters.append(parameters)
        for epochs, training in self._trainings(key, computed):
            self._entry.append(len(self._hashes) - 1)
            self._epochs.append(epochs)
            for field, metric in _METRICS.items():
                value = training.get(field, np.nan)
                if type(value) not in (float, int):
                    self.fail(f"{field} of entry {key} must be a number")
                self._values[metric].append(value)

    def _trainings(
        self, key: str, computed: dict[Any, Any]
    ) -> Iterator[tuple[int, dict[Any, Any]]]:
        for epochs, repeats in computed.items():
            if type(epochs) is not int or not 1 <= epochs <= _MAX_EPOCHS:
                self.fail(f"a training budget of entry {key} must be 1 to {_MAX_EPOCHS} epochs")
            if type(repeats) is not list or not all(type(one) is dict for one in repeats):
                self.fail(f"the trainings of entry {key} must be a list of dictionaries")
            for training in repeats:
                unknown = set(training) - set(_METRICS)
                if unknown:
                    self.fail("a training has unknown fields", _shown(min(map(str, unknown))))
                yield epochs, training

    def finish(
        self,
        name: str,
        *,
        vertices: int | None,
        provenance: Mapping[str, Provenance] | None,
        default: Provenance,
        check_hashes: bool,
    ) -> Columns:
        """The columns of all entries, after their cells are checked."""
        if not self._hashes:
            self.fail("the pickle holds no cell")
        rows = cell_rows(self._cells)
        for i in np.flatnonzero(rows < 0).tolist():
            self.fail(f"entry {self._hashes[i]} must have a valid cell")
        computed = network.parameters(rows)
        for i, stated in enumerate(self._parameters):
            if stated != computed[i]:
                message = f"the cell {self._hashes[i]} has {computed[i]} trainable parameters"
                self.fail(message, _shown(stated))
        for i in wrong_hashes(rows, self._hashes, whole=check_hashes):
            true = Cell.from_row(int(rows[i])).nasbench_hash
            self.fail(f"the hash of an entry must be its cell's, {true}", self._hashes[i])
        assembler = Assembler(self._source)
        # No whole number overflows: the interpreter reads none above 10**256.
        values = {k: np.array(v, dtype=np.float64) for k, v in self._values.items()}
        assembler.add(
            rows[np.array(self._entry, dtype=np.intp)],
            np.array(self._epochs, dtype=np.int32),
            values,
        )
        return assembler.finish(
            name, vertices=vertices, provenance=provenance, default=default, attributes={}
        )


def _shown(value: Any) -> str:
    """A value for a message; of a container, which may contain itself, only its type."""
    return str(value)[:80] if type(value) in (str, int) else type(value).__name__
