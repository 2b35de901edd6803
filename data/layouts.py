"""Many messages at once: the places of all values are learned from one message of each layout.

The messages of a file differ in their numbers only: tags, lengths and the order of fields are the
same in thousands of them. A `Layout` is made from one message by the exact reader; another message
of the same length has this layout if all bytes that are no values (tags, lengths, names of devices)
are equal, which is compared for all messages in one step. Then every value is a column of bytes.
Messages that fit no layout are read one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data import wire
from naslib_ecnas.data.message_metrics import Path, check_evaluations, is_device, metric_of
from naslib_ecnas.data.metrics_messages import Message, specs
from naslib_ecnas.data.timestamps import LENGTH, many_to_seconds

__all__ = ["Decoded", "Layout"]

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class _Leaf:
    """One value of a message: where it lies and what it is."""

    path: Path
    kind: str
    start: int
    stop: int


@dataclass(frozen=True)
class Decoded:
    """The content of n messages."""

    values: dict[str, NDArray[np.float64]]
    """(n,) values of each metric that the layout has."""
    parameters: NDArray[np.int64] | None
    """(n,) trainable parameters, None where the layout has none."""
    good: NDArray[np.bool_]
    """(n,) whether the message was read; the others need the exact reader."""


@dataclass(frozen=True)
class Layout:
    """Where the values lie in messages of one layout."""

    template: Bytes
    """(length,) bytes of the message that it was learned from."""
    fixed: NDArray[np.intp]
    """Positions of the bytes that all messages of this layout share."""
    doubles: tuple[tuple[str, int], ...]
    """Metric and position of each number."""
    times: tuple[tuple[str, int], ...]
    """Metric and position of each time."""
    parameters: tuple[int, int] | None
    """Start and stop of the trainable parameters' varint."""
    devices: tuple[tuple[str, str], ...]
    """Sort of device and their names, comma-separated."""

    @classmethod
    def learn(cls, message: type[Message], data: bytes) -> Layout | None:
        """The layout of a message that the exact reader accepts.

        Returns:
            None where the layout is out of the ordinary: unknown fields, fields that occur
            twice, times of another form.
        """
        leaves = _walk(message, data, 0, ())
        if leaves is None:
            return None
        count = sum(field.number == 1 for field in wire.fields(data))
        check_evaluations(count)
        free = np.zeros(len(data), dtype=bool)
        doubles, times, parameters = [], [], None
        devices: dict[str, list[str]] = {}
        for leaf in leaves:
            metric = metric_of(leaf.path, count)
            if is_device(leaf.path):
                name = data[leaf.start : leaf.stop].decode()
                devices.setdefault(str(leaf.path[1]), []).append(name)
                continue
            free[leaf.start : leaf.stop] = True
            if leaf.kind == "int32":
                parameters = (leaf.start, leaf.stop)
            elif metric is not None and leaf.kind == "double":
                doubles.append((metric, leaf.start))
            elif metric is not None:
                if leaf.stop - leaf.start != LENGTH:
                    return None
                times.append((metric, leaf.start))
            elif leaf.kind == "string":
                return None  # a text that only the exact reader checks
        return cls(
            template=np.frombuffer(data, dtype=np.uint8),
            fixed=np.flatnonzero(~free),
            doubles=tuple(doubles),
            times=tuple(times),
            parameters=parameters,
            devices=tuple((sort, ", ".join(names)) for sort, names in devices.items()),
        )

    def fits(self, messages: Bytes) -> NDArray[np.bool_]:
        """(n,) whether each of (n, length) messages has this layout."""
        fits: NDArray[np.bool_] = (messages[:, self.fixed] == self.template[self.fixed]).all(axis=1)
        return fits

    def decode(self, messages: Bytes) -> Decoded:
        """Read (n, length) messages of this layout."""
        good = np.ones(len(messages), dtype=bool)
        values = {}
        for metric, start in self.doubles:
            column = np.ascontiguousarray(messages[:, start : start + 8])
            values[metric] = column.view("<f8")[:, 0].astype(np.float64, copy=False)
        if self.times:
            texts = np.concatenate([messages[:, s : s + LENGTH] for _, s in self.times])
            seconds, known = many_to_seconds(texts)
            good &= known.reshape(len(self.times), -1).all(axis=0)
            split = seconds.reshape(len(self.times), -1)
            values.update({metric: split[i] for i, (metric, _) in enumerate(self.times)})
        parameters = None
        if self.parameters is not None:
            parameters, plain = _varints(messages[:, slice(*self.parameters)])
            good &= plain
        return Decoded(values, parameters, good)


def _walk(message: type[Message], data: bytes, base: int, path: Path) -> list[_Leaf] | None:
    """All values of a message in order; None where its layout is out of the ordinary."""
    known = specs(message)
    leaves: list[_Leaf] = []
    seen: dict[str, int] = {}
    for met in wire.fields(data):
        spec = known.get(met.number)
        if spec is None or met.wire_type != spec.wire_type:
            return None
        place = seen.get(spec.name, 0)
        seen[spec.name] = place + 1
        if place and not spec.repeated:
            return None
        here: Path = (*path, spec.name, place) if spec.repeated else (*path, spec.name)
        if spec.message is None:
            leaves.append(_Leaf(here, spec.kind, base + met.start, base + met.stop))
            continue
        inner = _walk(spec.message, data[met.start : met.stop], base + met.start, here)
        if inner is None:
            return None
        leaves.extend(inner)
    return leaves


def _varints(columns: Bytes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(n,) values of varints of the same length, and whether each has just this length."""
    width = columns.shape[1]
    last = np.arange(width) == width - 1
    plain = ((columns < 0x80) == last).all(axis=1) & (width <= 4)
    value = np.zeros(len(columns), dtype=np.int64)
    for place in range(width if width <= 4 else 0):
        value |= (columns[:, place].astype(np.int64) & 0x7F) << 7 * place
    return value, plain
