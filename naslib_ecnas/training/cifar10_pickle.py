"""The Python version of CIFAR-10, read without unpickling.

Each file is a pickle of a dictionary with `data`, an (n, 3072) uint8 array, and `labels`, a list.
`pickletools` of Python's library splits it into opcodes and runs nothing; a small stack rebuilds
the few kinds of values that such a file has. Names in the pickle are compared with the three that
numpy's arrays need and never looked up. `naslib_ecnas.data.pickle_machine` reads tables in the same
spirit; this one knows Python 2's byte strings and arrays of megabytes, which tables never have.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.source import Source, opened
from naslib_ecnas.errors import FormatError
from naslib_ecnas.training.data import SIDE

__all__ = ["read_python"]

_PIXELS = 3 * SIDE * SIDE
#: Opcodes that put their argument on the stack as it is.
_CONSTANTS = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "NONE", "NEWTRUE", "NEWFALSE"),
        *("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES"),
        *("SHORT_BINUNICODE", "BINUNICODE"),
    )
)
_EMPTY: dict[str, Any] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass(frozen=True)
class _Name:
    text: str


@dataclass
class _Made:
    """What a call gave: an array, a type or bytes, by the name that was called."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


_NDARRAY, _DTYPE, _ENCODE = _Name("numpy ndarray"), _Name("numpy dtype"), _Name("_codecs encode")
_RECONSTRUCT = tuple(_Name(f"numpy.{c}.multiarray _reconstruct") for c in ("core", "_core"))
_NAMES = {name.text: name for name in (_NDARRAY, _DTYPE, _ENCODE, *_RECONSTRUCT)}


def read_python(path: str | PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One file of the Python version.

    Returns:
        (n, 3, 32, 32) images and (n,) labels.

    Raises:
        UnknownTableError: the file cannot be read.
        FormatError: it is no such pickle, or names anything else than numpy's arrays.
    """
    with opened(path) as file:
        raw = file.read()
    source = Source(str(path))
    content = _value(raw, source)
    if type(content) is not dict:
        raise _fault(source, "the file is no dictionary")
    named = {_text(key): value for key, value in content.items()}
    labels = named.get("labels")
    data = _array(named.get("data"), source)
    plain = type(labels) is list and all(
        type(label) is int and 0 <= label < 256 for label in labels
    )
    if not plain or not labels or data.shape != (len(labels), _PIXELS):
        raise _fault(source, "images and labels do not fit each other")
    images = data.reshape(-1, 3, SIDE, SIDE).copy()
    return images, np.array(labels, dtype=np.int64)


def _fault(source: Source, what: str, value: Any = None, at: int = 0) -> FormatError:
    return source.fault(
        what,
        at=at,
        value=value,
        expected=f"a pickle of (n, {_PIXELS}) uint8 data and n labels",
        remedy="do not load it with pickle: it may run code. Take the published archive",
    )


def _text(value: Any) -> Any:
    return value.decode("latin-1") if type(value) is bytes else value


def _value(raw: bytes, source: Source) -> Any:
    """The object of a pickle, arrays as `_Made`."""
    at = 0
    try:
        stack: list[Any] = []
        memory: dict[int, Any] = {}
        for opcode, argument, position in pickletools.genops(raw):
            at = position or 0
            if opcode.name == "STOP":
                break
            _step(opcode.name, argument, stack, memory)
        if len(stack) != 1:
            raise ValueError("it ends with more or less than one object")
    except (ValueError, IndexError, KeyError, TypeError) as error:
        # genops raises ValueError for what is no pickle; the others are of a stack that is not
        # as its opcodes need it.
        raise _fault(source, f"the pickle cannot be read ({error})", at=at) from error
    return stack[0]


def _step(code: str, argument: Any, stack: list[Any], memory: dict[int, Any]) -> None:
    """One opcode; ValueError for what CIFAR-10 does not have."""
    if code in _CONSTANTS:
        stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}.get(code, argument))
    elif code in _EMPTY:
        stack.append(_EMPTY[code]())
    elif code in ("PROTO", "FRAME"):
        pass
    elif code in ("BINPUT", "LONG_BINPUT"):
        memory[argument] = stack[-1]
    elif code == "MEMOIZE":
        memory[len(memory)] = stack[-1]
    elif code in ("BINGET", "LONG_BINGET"):
        stack.append(memory[argument])
    elif code == "MARK":
        stack.append(_MARK)
    elif code in _TUPLES:
        count = _TUPLES[code]
        items = stack[-count:]
        del stack[-count:]
        stack.append(tuple(items))
    elif code == "TUPLE":
        stack.append(tuple(_since_mark(stack)))
    elif code == "APPEND":
        item = stack.pop()
        _checked(stack, list).append(item)
    elif code == "APPENDS":
        items = _since_mark(stack)
        _checked(stack, list).extend(items)
    elif code == "SETITEM":
        value, key = stack.pop(), stack.pop()
        _fill(_checked(stack, dict), [key, value])
    elif code == "SETITEMS":
        items = _since_mark(stack)
        _fill(_checked(stack, dict), items)
    elif code == "GLOBAL":
        stack.append(_named(argument))
    elif code == "STACK_GLOBAL":
        name, module = stack.pop(), stack.pop()
        if not (type(module) is str and type(name) is str):
            raise ValueError("it names what is no name")
        stack.append(_named(f"{module} {name}"))
    elif code == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        if type(function) is not _Name or type(arguments) is not tuple:
            raise ValueError("it calls what is no function of numpy's arrays")
        stack.append(_called(function, arguments))
    elif code == "BUILD":
        state = stack.pop()
        _checked(stack, _Made).state = state
    else:
        raise ValueError(f"opcode {code} is not of this format")


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not _MARK:
        place -= 1
        if place < 0:
            raise ValueError("a mark is missing")
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _checked(stack: list[Any], kind: type) -> Any:
    if type(stack[-1]) is not kind:
        raise ValueError(f"it fills what is no {kind.__name__}")
    return stack[-1]


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    keys = items[::2]
    if len(items) % 2 or not all(type(key) in (str, bytes) for key in keys):
        raise ValueError("a dictionary has a key that is no text")
    target.update(zip(keys, items[1::2], strict=True))


def _named(text: str) -> _Name:
    if text not in _NAMES:
        raise ValueError(f"it names {text[:60]!r}, which is refused")
    return _NAMES[text]


def _called(function: _Name, arguments: tuple[Any, ...]) -> Any:
    if function is _ENCODE:  # how Python 3 writes bytes in protocol 2
        text, encoding = arguments
        if type(text) is not str or encoding != "latin1":
            raise ValueError("only Latin-1 is known")
        return text.encode("latin-1")
    if function in _RECONSTRUCT and (not arguments or arguments[0] is not _NDARRAY):
        raise ValueError("only a plain array is made")
    return _Made(function.text, arguments)


def _array(made: Any, source: Source) -> NDArray[np.uint8]:
    """The (n, 3072) array of numpy's state (version, shape, type, Fortran order, bytes)."""
    state = made.state if type(made) is _Made else None
    if type(state) is not tuple or len(state) != 5:
        raise _fault(source, "the data are no array", type(made).__name__)
    _, shape, dtype, fortran, data = state
    if type(data) is str:  # pickletools shows Python 2's byte strings as Latin-1 text
        data = data.encode("latin-1")
    is_bytes = type(dtype) is _Made and dtype.name == _DTYPE.text and dtype.arguments[:1] == ("u1",)
    good = (
        is_bytes
        and type(shape) is tuple
        and len(shape) == 2
        and all(type(side) is int and side >= 0 for side in shape)
        and type(data) is bytes
        and len(data) == shape[0] * shape[1]
    )
    if not good:
        raise _fault(source, "the array is none of bytes, or does not fill its shape")
    flat: NDArray[np.uint8] = np.frombuffer(data, dtype=np.uint8)
    images: NDArray[np.uint8] = flat.reshape(shape, order="F" if fortran else "C")
    return images
