"""The metrics of many messages, by learned layouts where these fit and exactly where not."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from naslib_ecnas.data import base64_columns
from naslib_ecnas.data.layouts import Layout
from naslib_ecnas.data.message_metrics import to_metrics
from naslib_ecnas.data.metrics_messages import ModelMetrics, ModelMetricsEnergy, decode
from naslib_ecnas.data.source import Source

__all__ = ["ABSENT", "Batch", "MessageReader"]

# A file has a handful of layouts for each length; more than this is no longer worth learning.
_MAX_LAYOUTS = 16
_MAX_FAILURES = 64
#: Stands for trainable parameters that are not stated: no message can state it.
ABSENT = -1 << 40


class Batch:
    """Metrics of n trainings, filled in any order."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.values: dict[str, NDArray[np.float64]] = {}
        """(n,) values of each metric that was met, NaN where missing."""
        self.parameters = np.full(n, ABSENT, dtype=np.int64)
        """(n,) trainable parameters that the messages state, `ABSENT` where they do not."""

    def column(self, metric: str) -> NDArray[np.float64]:
        """The column of a metric, made when it is first asked for."""
        found = self.values.get(metric)
        if found is None:
            found = self.values[metric] = np.full(self.n, np.nan)
        return found


class MessageReader:
    """Reads the messages of one kind of a file; layouts are kept from batch to batch."""

    def __init__(self, kind: type[ModelMetrics] | type[ModelMetricsEnergy]) -> None:
        self._kind = kind
        self._layouts: dict[int, list[Layout]] = {}
        self._failures = 0
        self.devices: dict[str, dict[str, None]] = {}
        """Names of the devices that were met, by sort, as an ordered set."""

    def read_texts(
        self,
        batch: Batch,
        buffer: bytes,
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        skip: NDArray[np.bool_],
    ) -> list[int]:
        """Read messages whose base64 has the official form.

        Args:
            batch: what is filled.
            buffer: where the texts lie, in base64, escaped for JSON.
            starts: (n,) place of each text in the buffer.
            lengths: (n,) length of each text.
            skip: (n,) whether a text is not to be read.

        Returns:
            Places whose text has another form or layout; they are to be read exactly.
        """
        left: list[int] = []
        raw = np.frombuffer(buffer, dtype=np.uint8)
        for length in np.unique(lengths[~skip]).tolist():
            places = np.flatnonzero((lengths == length) & ~skip)
            if not length:
                left.extend(places.tolist())
                continue
            block = sliding_window_view(raw, length)[starts[places]]
            decoded = base64_columns.decode(block)
            if decoded is None:
                left.extend(places.tolist())
                continue
            messages, sizes = decoded
            left.extend(places[sizes < 0].tolist())
            for size in np.unique(sizes[sizes >= 0]).tolist():
                equal = sizes == size
                left.extend(self._read_equal(batch, places[equal], messages[equal, :size]))
        return left

    def _read_equal(
        self, batch: Batch, places: NDArray[np.int64], messages: NDArray[np.uint8]
    ) -> list[int]:
        """Read messages of one length; returns the places that are to be read exactly."""
        layouts = self._layouts.setdefault(messages.shape[1], [])
        left: list[int] = []
        tried = 0
        while len(places):
            if tried == len(layouts):
                if len(layouts) >= _MAX_LAYOUTS or self._failures >= _MAX_FAILURES:
                    break
                layout = self._learned(messages[0].tobytes())
                if layout is None:
                    self._failures += 1
                    left.append(int(places[0]))
                    places, messages = places[1:], messages[1:]
                    continue
                layouts.append(layout)
            layout = layouts[tried]
            tried += 1
            fits = layout.fits(messages)
            if not fits.any():
                continue
            if fits.all():
                return left + self._take(batch, layout, places, messages)
            left.extend(self._take(batch, layout, places[fits], messages[fits]))
            places, messages = places[~fits], messages[~fits]
        left.extend(places.tolist())
        return left

    def _take(
        self, batch: Batch, layout: Layout, places: NDArray[np.int64], messages: NDArray[np.uint8]
    ) -> list[int]:
        decoded = layout.decode(messages)
        for metric, values in decoded.values.items():
            batch.column(metric)[places] = values
        if decoded.parameters is not None:
            batch.parameters[places] = decoded.parameters
        for sort, names in layout.devices:
            self.devices.setdefault(sort, {})[names] = None
        left: list[int] = places[~decoded.good].tolist()
        return left

    def _learned(self, data: bytes) -> Layout | None:
        """The layout of a message; None where it has none, or is not even a message."""
        try:
            to_metrics(decode(self._kind, data))
        except ValueError:  # a FormatError: the exact reader will raise it with its place
            return None
        return Layout.learn(self._kind, data)

    def read_exactly(self, batch: Batch, place: int, data: bytes, source: Source) -> None:
        """Read one message field by field.

        Raises:
            FormatError: it is no message of this kind.
        """
        for column in batch.values.values():
            column[place] = np.nan
        batch.parameters[place] = ABSENT
        message = decode(self._kind, data, source)
        values, devices = to_metrics(message, source)
        for metric, value in values.items():
            batch.column(metric)[place] = value
        if message.trainable_parameters is not None:
            batch.parameters[place] = message.trainable_parameters
        for sort, names in devices.items():
            self.devices.setdefault(sort, {})[names] = None
