"""From the frames of a NAS-Bench-101 or EC-NAS file to columns, and back."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas import network
from naslib_ecnas.data.assemble import Assembler
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.drawn_cells import DrawnCells
from naslib_ecnas.data.message_batch import ABSENT, Batch, MessageReader
from naslib_ecnas.data.metrics_messages import ModelMetrics, ModelMetricsEnergy
from naslib_ecnas.data.row_batch import RowSplitter
from naslib_ecnas.data.rows import HASH_LENGTH, decode_row
from naslib_ecnas.data.source import Source
from naslib_ecnas.data.tfrecord import Frames, read_batches
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = ["read_columns"]

#: Cells up to these vertices have their hash checked always: it costs a tenth of a second.
_CHEAP = 5


def read_columns(
    path: str | PathLike[str],
    kind: type[ModelMetrics] | type[ModelMetricsEnergy],
    *,
    name: str | None,
    vertices: int | None,
    provenance: Mapping[str, Provenance] | None,
    default: Provenance,
    check_hashes: bool,
) -> Columns:
    """Read a file of frames; see `read_nasbench` and `read_ecnas`."""
    reader = _Reader(str(path), kind, check_hashes)
    digest = sha256()
    for frames in read_batches(path, digest=digest):
        reader.add(frames)
    default = Provenance(
        default.kind, device=default.device, source=Path(path).name, sha256=digest.hexdigest()
    )
    return reader.assembler.finish(
        name or Path(path).stem,
        vertices=vertices,
        provenance=provenance,
        default=default,
        attributes={sort: "; ".join(names) for sort, names in reader.messages.devices.items()},
        drop_zero_co2=True,
    )


class _Reader:
    """The state that lasts from batch to batch."""

    def __init__(
        self,
        path: str,
        kind: type[ModelMetrics] | type[ModelMetricsEnergy],
        check_hashes: bool,
    ) -> None:
        self.source = Source(path, None)
        self.assembler = Assembler(self.source)
        self.messages = MessageReader(kind)
        self._cells = DrawnCells()
        self._rows = RowSplitter(self._cells)
        self._check_hashes = check_hashes
        self._small_space = Space(_CHEAP)
        self._hashes: dict[Space, NDArray[np.bytes_]] = {}

    def add(self, frames: Frames) -> None:
        """Read one batch."""
        found = self._rows.split(frames)
        hashes, epochs, bits, ops = found.hashes, found.epochs, found.bits, found.ops
        batch = Batch(len(frames.offsets))
        left = self.messages.read_texts(
            batch, frames.buffer, found.text_starts, found.text_lengths, found.odd
        )
        exact = found.odd.copy()
        exact[left] = True
        for i in np.flatnonzero(exact).tolist():  # so that a file's first fault is the one told
            source = self._source(frames, i)
            row = decode_row(frames.content(i), source)
            hashes[i] = np.frombuffer(row.hash.encode("ascii"), dtype=np.uint8)
            epochs[i] = row.epochs
            bits[i] = self._cells.number_of_bits(row.bits.encode("ascii"))
            ops[i] = self._cells.number_of_ops(row.ops.encode("ascii", "replace"))
            self.messages.read_exactly(batch, i, row.message, source.encoded())
        rows = self._cells.rows(bits, ops)
        self._check_cells(frames, rows)
        self._check(frames, rows, hashes, batch.parameters)
        self.assembler.add(rows, epochs, batch.values, offsets=frames.offsets)

    def _source(self, frames: Frames, i: int) -> Source:
        return Source(self.source.path, frames.offsets[i], exact=False)

    def _check_cells(self, frames: Frames, rows: NDArray[np.int32]) -> None:
        wrong = np.flatnonzero(rows < 0)
        if len(wrong):
            source = self._source(frames, int(wrong[0]))
            row = decode_row(frames.content(int(wrong[0])), source)
            raise source.fault(
                "the matrix and the operations of a row are no cell: "
                + self._cells.why_not(row.bits, row.ops),
                value=f"{row.bits}:{row.ops}",
                expected="a cell of NAS-Bench-101's space",
            )

    def _check(
        self,
        frames: Frames,
        rows: NDArray[np.int32],
        hashes: NDArray[np.uint8],
        parameters: NDArray[np.int64],
    ) -> None:
        """Compare what follows from the cells with what the rows state."""
        computed = network.parameters(rows)
        for i in np.flatnonzero((parameters != computed) & (parameters != ABSENT)).tolist():
            raise self._source(frames, i).fault(
                "the trainable parameters are not those of the cell",
                value=int(parameters[i]),
                expected=str(int(computed[i])),
            )
        stated: NDArray[np.bytes_] = hashes.view(f"S{HASH_LENGTH}")[:, 0]
        space = self._small_space
        checked = np.flatnonzero(rows < len(space))
        if self._check_hashes and len(checked) < len(rows):
            space, checked = Space(), np.arange(len(rows))
        if not len(checked):
            return
        if space not in self._hashes:
            self._hashes[space] = space.hashes().astype(f"S{HASH_LENGTH}")
        for i in checked[stated[checked] != self._hashes[space][rows[checked]]].tolist():
            cell = Space().cell(int(rows[i]))
            raise self._source(frames, i).fault(
                "the hash of a row is not that of its cell",
                value=stated[i].decode("ascii"),
                expected=cell.nasbench_hash,
            )
