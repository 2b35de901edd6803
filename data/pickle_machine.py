"""A reader of pickles that can make plain containers and small numpy arrays, and nothing else.

Python's unpickler runs what a pickle names. This one is an interpreter of its own for the opcodes
that plain data needs: no name of a pickle is ever looked up, so nothing can run. The few names that
a pickle of numpy arrays must have stand for functions of this file that build an array of a
handful of types from its bytes. Any other name, persistent ids, extension codes, out-of-band
buffers, instances and sets are refused. Keys of dictionaries are texts or numbers, so hashing
cannot be made slow, and every length is checked against the file before it is used. The
opcodes are those of `pickletools` in Python's library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pickletools import opcodes
from typing import Any, NoReturn

from naslib_ecnas.data.pickled_numpy import ALLOWED, Array, DType, Global
from naslib_ecnas.data.source import Source
from naslib_ecnas.errors import TruncatedError

__all__ = ["load"]

_MAX_PROTOCOL = 5
_MAX_LONG = 32
# Larger numbers can be chosen so that their hashes collide.
_MAX_KEY = 1 << 31
_END = object()
_BINFLOAT, _BINGET, _MEMOIZE = b"Gh\x94"
_DOUBLE = struct.Struct(">d").unpack_from


def load(data: Any, source: Source) -> Any:
    """The object that a pickle describes.

    Args:
        data: its bytes; anything that slices to bytes, such as a mapped file.
        source: the file.

    Returns:
        None, bool, int, float, str, bytes, tuple, list, dict and `pickled_numpy.Array`, nested.
        Lists and dictionaries may contain themselves.

    Raises:
        TruncatedError: the bytes end before the pickle does.
        FormatError: it names anything else, or is no pickle.
    """
    return _Machine(data, source).run()


class _Machine:
    """The state of one reading: a stack, marks in it, and numbered memories."""

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
                    self._fail(f"the pickle has an opcode that plain data does not need: {name}")
                if operation(self) is _END:
                    return stack[-1]
                at = self._at
        raise self._source.fault(
            "the pickle ends too early", at=end, kind=TruncatedError, expected="a STOP"
        )

    def _fail(self, what: str, value: object = None) -> NoReturn:
        raise self._source.fault(
            what,
            at=max(self._at - 1, 0),
            value=value,
            expected="a pickle of dictionaries, lists, texts, numbers and numpy arrays",
            remedy="do not load it with pickle: it may run code. Take the published file",
        )

    # -- reading arguments --------------------------------------------------------------------

    def _take(self, length: int) -> bytes:
        start = self._at
        if length > self._end - start:
            raise self._source.fault(
                "the pickle ends within a value",
                at=start,
                kind=TruncatedError,
                value=f"{length} bytes",
                expected=f"at most the {self._end - start} that are left",
            )
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
        # What lies below the last mark is not to be taken.
        if self._marks and len(self._stack) <= self._marks[-1]:
            self._fail("the pickle takes from below a mark")
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        found = self._stack[-1]
        if type(found) is not kind:
            self._fail(f"the pickle fills what is no {kind.__name__}", type(found).__name__)
        return found

    # -- opcodes, by their names in pickletools ----------------------------------------------

    def op_proto(self) -> None:
        number = self._number(1)
        if number > _MAX_PROTOCOL:
            self._fail("the pickle has an unknown protocol", number)

    def op_frame(self) -> None:
        length = self._number(8)
        if length > self._end - self._at:
            self._take(length)

    def op_stop(self) -> object:
        if len(self._stack) != 1 or self._marks:
            self._fail("the pickle ends with more or less than one object")
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
            self._fail("the pickle has a number of too many bytes", size)
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
            self._fail("the pickle has a number that is none", line)

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
            self._fail("the pickle has a key of a dictionary that is no text and no small number")
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
        # Every pickler numbers from 0; an arbitrary index could claim gigabytes.
        if index > len(self._memo):
            self._fail("the pickle's memory is numbered with gaps", index)
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
            self._fail("the pickle's memory is numbered with no number", line)
        return int(line)

    def op_global(self) -> None:
        module = self._line()
        self._name(module, self._line())

    def op_stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (type(module) is str and type(name) is str):
            self._fail("the pickle names what is no name")
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        found = ALLOWED.get((module, name))
        if found is None:
            self._fail("the pickle names something that is refused", f"{module}.{name}")
        self._stack.append(found)

    def op_reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if type(function) is not Global or type(arguments) is not tuple:
            self._fail("the pickle calls what cannot be called", type(function).__name__)
        try:
            self._stack.append(function.make(*arguments))
        except (ValueError, TypeError) as error:
            self._fail(f"the pickle has a damaged or refused {function.name}: {error}")

    def op_build(self) -> None:
        state = self._pop()
        target = self._stack[-1]
        if type(target) not in (Array, DType):
            self._fail("the pickle sets the state of what has none", type(target).__name__)
        try:
            target.set_state(state)
        except (ValueError, TypeError) as error:
            self._fail(f"the pickle has a damaged or refused array: {error}")


#: Each opcode's method is named after it in `pickletools`; what has none is refused (but MEMOIZE,
#: which `_run` does itself).
_OPERATIONS: list[Callable[[_Machine], object] | None] = [None] * 256
for _opcode in opcodes:
    _OPERATIONS[ord(_opcode.code)] = getattr(_Machine, f"op_{_opcode.name.lower()}", None)
