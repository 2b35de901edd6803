"""What numpy's names in a pickle stand for: small stand-ins that only hold checked bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALLOWED", "Array", "DType", "Global"]

#: Types of plain numbers; objects, texts, records and dates are refused.
_TYPES = frozenset(kind + size for kind in "iu" for size in "1248") | {"f4", "f8", "b1"}
_MAX_ITEMS = 1 << 16
_MAX_DIMENSIONS = 8


class DType:
    """A type of plain numbers."""

    __slots__ = ("name",)

    def __init__(self, name: Any = None, *flags: Any) -> None:
        if type(name) is not str or name.lstrip("<>|=") not in _TYPES:
            raise ValueError(f"an array of type {_word(name)} is refused")
        if not all(type(flag) in (bool, int) for flag in flags) or len(flags) > 2:
            raise ValueError("a type with strange flags is refused")
        self.name = name

    def set_state(self, state: Any) -> None:
        """Byte order, of which only the plain form is known (numpy's version 3 or 4)."""
        plain = type(state) is tuple and len(state) >= 8 and state[0] in (3, 4)
        if not plain or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise ValueError("a type with fields or metadata is refused")
        self.name = state[1] + self.name.lstrip("<>|=")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(self.name)


class Array:
    """An array of plain numbers, whose state is set after it is made."""

    __slots__ = ("_data", "_dtype", "_fortran", "_shape")

    def __init__(self) -> None:
        self._data: bytes = b""
        self._dtype = DType("i1")
        self._shape: tuple[int, ...] = (0,)
        self._fortran = False

    def set_state(self, state: Any) -> None:
        """(version, shape, type, Fortran order, bytes)."""
        if type(state) is not tuple or len(state) != 5 or state[0] != 1:
            raise ValueError("its state is not that of an array")
        _, shape, dtype, fortran, data = state
        self._fill(shape, dtype, bool(fortran) if type(fortran) in (bool, int) else None, data)

    def _fill(self, shape: Any, dtype: Any, fortran: bool | None, data: Any) -> None:
        if type(dtype) is not DType:
            raise ValueError("its type is none")
        if (
            type(shape) is not tuple
            or len(shape) > _MAX_DIMENSIONS
            or not all(type(side) is int and 0 <= side <= _MAX_ITEMS for side in shape)
            or prod(shape) > _MAX_ITEMS
        ):
            raise ValueError(f"its shape is none, or over {_MAX_ITEMS} items")
        if type(data) is not bytes or len(data) != prod(shape) * dtype.dtype.itemsize:
            raise ValueError("its bytes do not fill its shape")
        if fortran is None:
            raise ValueError("its order is none")
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
            raise ValueError("only a plain ndarray is made")
        return cls()

    @classmethod
    def from_buffer(cls, data: Any, dtype: Any, shape: Any, order: Any) -> Array:
        """`_frombuffer(bytes, type, shape, order)`, as protocol 5 has it."""
        made = cls()
        made._fill(shape, dtype, {"C": False, "F": True}.get(order), data)
        return made


def _scalar(dtype: Any, data: Any) -> Any:
    """`scalar(type, bytes)`: a number, as Python's."""
    if type(dtype) is not DType or type(data) is not bytes:
        raise ValueError("a number without a type")
    if len(data) != dtype.dtype.itemsize:
        raise ValueError("its bytes are not those of a number")
    return np.frombuffer(data, dtype=dtype.dtype)[0].item()


def _encode(text: Any, encoding: Any) -> bytes:
    """`_codecs.encode(text, "latin1")`: how protocols below 3 write bytes."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("only Latin-1 is known")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("a text that is no bytes") from error


def _word(value: Any) -> str:
    return repr(value[:20]) if type(value) is str else type(value).__name__


def _none(*_: Any) -> Any:
    raise ValueError("it is not made this way")


@dataclass(frozen=True)
class Global:
    """A name that a pickle may have, and what it stands for here."""

    name: str
    make: Callable[..., Any]


_NDARRAY = Global("ndarray", _none)
_MULTIARRAY = {
    "_reconstruct": Global("array", Array.reconstruct),
    "scalar": Global("number", _scalar),
}
#: (module, name) of everything that a pickle may name, in the spellings of numpy 1 and 2.
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
