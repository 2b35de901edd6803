"""The machine that reads pickles: opcodes that NASLib's file does not need, and broken ones."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from naslib_ecnas.data.assemble import Source
from naslib_ecnas.data.nasbench_pickle import load
from naslib_ecnas.errors import FormatError, TruncatedError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def shape(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """A value with its loops cut: where it holds itself stands how far up that is."""
    if id(value) in seen:
        return f"up {len(seen) - seen.index(id(value))}"
    if isinstance(value, (list, tuple)):
        return type(value), [shape(item, (*seen, id(value))) for item in value]
    return value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 9])
def test_tuples_that_contain_themselves_are_read(length: int, protocol: int) -> None:
    """The pickler then takes from the stack what it put there: POP, POP_MARK."""
    loop: list[Any] = [0]
    value = tuple([loop] * length)
    loop.append(value)
    found = load(pickle.dumps(value, protocol), Source("x"))
    assert shape(found) == shape(value)
    assert found[0][1] is found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_comes_again_is_the_same_object(protocol: int) -> None:
    """300 of them: a number of one byte does not reach the last."""
    lists = [[i] for i in range(300)]
    found = load(pickle.dumps(lists * 2, protocol), Source("x"))
    assert found == lists * 2
    assert all(first is again for first, again in zip(found[:300], found[300:], strict=True))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"K\x01K\x020.", 1),
        (b"K\x01(0.", 1),
        (b"K\x01(K\x02K\x031.", 1),
        (b"\x8e" + (3).to_bytes(8, "little") + b"abc.", b"abc"),
        (b"Va\\u00fcb\n.", "aüb"),
        (b"F0.5\n.", 0.5),
        (b"L7L\n.", 7),
        (b"I01\n.", True),
        (b"]p0\n0(h\x00j\x00\x00\x00\x00g0\nt.", ([], [], [])),
    ],
)
def test_opcodes_by_hand(raw: bytes, value: Any) -> None:
    assert pickle.loads(raw) == value  # noqa: S301
    found = load(raw, Source("x"))
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"Vabc", "line without an end"),
        (b"V\\u12\n.", "text that cannot be read"),
        (b"c\xff\nx\n.", "not ASCII"),
        (b"F1.5.2\n.", "number that is none"),
        (b"1.", "empty stack"),
        (b"K\x01h\x01.", "empty stack or memory"),
        (b"K\x01j\x01\x00\x00\x00.", "empty stack or memory"),
        (b"K\x01q\x02.", "numbered with gaps"),
        (b"K\x01g-1\n.", "no number"),
    ],
)
def test_broken_opcodes_are_told(raw: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said) as caught:
        load(raw, Source("x"))
    assert "may run code" in str(caught.value.remedy)


@pytest.mark.parametrize(
    "raw", [b"G\x00\x00", b"K\x01h", b"K\x01j\x00", b"B\x05\x00\x00\x00ab", b"C", b"J\x01\x00"]
)
def test_an_end_within_a_value_is_told(raw: bytes) -> None:
    with pytest.raises(TruncatedError, match="ends within a value") as caught:
        load(raw, Source("x"))
    assert caught.value.offset is not None
    assert caught.value.offset <= len(raw)
