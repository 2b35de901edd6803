"""NASLib's `nasbench_only108.pkl`: NAS-Bench-101's 108-epoch trainings as a pickled dictionary.

The dictionary maps a hash to `(fixed, computed)`: the adjacency matrix, the operations and the
trainable parameters, and for each budget a list of the repeats' times and accuracies halfway and
at the end (`naslib/utils/nb101_api.py`). It is read without Python's unpickler, see
`naslib_ecnas.data.pickle_machine`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.data import pickle_machine
from naslib_ecnas.data.assemble import Assembler
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.drawn_cells import DrawnCells
from naslib_ecnas.data.nasbench_tfrecord import NASBENCH_PROVENANCE
from naslib_ecnas.data.pickled_numpy import Array
from naslib_ecnas.data.source import Source, opened
from naslib_ecnas.errors import TruncatedError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.space import Space

__all__ = ["read_nasbench_pickle"]

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
_CHECKED_VERTICES = 5


def read_nasbench_pickle(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    vertices: int | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    check_hashes: bool = False,
) -> Columns:
    """Read NASLib's pickle of NAS-Bench-101. No code of the pickle can run.

    The trainable parameters and the bounds of every value are checked. Memory is about that of
    the dictionary itself (for the published file, over a gigabyte).

    Args:
        path: the file.
        name: short name of the table, by default the file's without its suffix.
        vertices: vertices of the table's space, by default the smallest of 4, 5 and 7.
        provenance: origin of each metric, where it is known better than `NASBENCH_PROVENANCE`.
        check_hashes: compare the hashes of all cells, not only those of up to five vertices.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        FormatError: it names a class or function other than numpy's arrays, or its content is
            not that of NASLib's file.
    """
    source = Source(str(path))
    with opened(path) as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise source.fault("the file is empty", kind=TruncatedError) from error
        with mapped:
            content = pickle_machine.load(mapped, source)
            digest = sha256(mapped).hexdigest()
    reader = _Reader(source)
    if type(content) is not dict:
        reader.fail("the pickle is no dictionary", type(content).__name__)
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
        self._cells = DrawnCells()
        self._hashes: list[str] = []
        self._bits: list[int] = []
        self._ops: list[int] = []
        self._parameters: list[int] = []
        self._entry: list[int] = []
        self._epochs: list[int] = []
        self._values: dict[str, list[float]] = {metric: [] for metric in _METRICS.values()}

    def fail(self, what: str, value: object = None, expected: str | None = None) -> NoReturn:
        raise self._source.fault(what, value=value, expected=expected)

    def take(self, key: Any, entry: Any) -> None:
        """One cell with all its trainings."""
        if type(key) is not str or type(entry) not in (tuple, list) or len(entry) != 2:
            self.fail("an entry is not a hash with two dictionaries", _shown(key))
        fixed, computed = entry
        if type(fixed) is not dict or type(computed) is not dict:
            self.fail("an entry is not a hash with two dictionaries", key)
        matrix = fixed.get("module_adjacency")
        ops = fixed.get("module_operations")
        parameters = fixed.get("trainable_parameters")
        if (
            type(matrix) is not Array
            or type(ops) is not list
            or not all(type(op) is str for op in ops)
            or type(parameters) is not int
        ):
            self.fail("an entry lacks its matrix, operations or trainable parameters", key)
        bits = matrix.array
        if bits.ndim != 2 or bits.dtype.kind not in "iub" or not ((bits == 0) | (bits == 1)).all():
            self.fail("the matrix of an entry is none", key, "a square one of 0 and 1")
        text = (bits.astype(np.uint8) + ord("0")).astype(np.uint8).tobytes()
        self._bits.append(self._cells.number_of_bits(text))
        self._ops.append(self._cells.number_of_ops(",".join(ops).encode("utf-8", "replace")))
        self._hashes.append(key)
        self._parameters.append(parameters)
        for epochs, training in self._trainings(key, computed):
            self._entry.append(len(self._hashes) - 1)
            self._epochs.append(epochs)
            for field, metric in _METRICS.items():
                value = training.get(field, np.nan)
                if type(value) not in (float, int):
                    self.fail(f"{field} of an entry is no number", key)
                self._values[metric].append(value)

    def _trainings(
        self, key: str, computed: dict[Any, Any]
    ) -> Iterator[tuple[int, dict[Any, Any]]]:
        for epochs, repeats in computed.items():
            if type(epochs) is not int or not 1 <= epochs <= _MAX_EPOCHS:
                self.fail("a training budget of an entry is none", key, f"1 to {_MAX_EPOCHS}")
            if type(repeats) is not list or not all(type(one) is dict for one in repeats):
                self.fail("the trainings of an entry are no list of dictionaries", key)
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
        """The columns of everything taken, after the cells are checked."""
        if not self._hashes:
            self.fail("the pickle holds no cell")
        rows = self._cells.rows(np.array(self._bits), np.array(self._ops))
        for i in np.flatnonzero(rows < 0).tolist():
            self.fail("the matrix and the operations of an entry are no cell", self._hashes[i])
        computed = network.parameters(rows)
        for i, stated in enumerate(self._parameters):
            if stated != computed[i]:
                self.fail(
                    "the trainable parameters of an entry are not those of its cell",
                    f"{self._hashes[i]}: {_shown(stated)}",
                    str(int(computed[i])),
                )
        small = Space(_CHECKED_VERTICES)
        every = check_hashes and bool((rows >= len(small)).any())
        self._check_hashes(rows, Space() if every else small)
        assembler = Assembler(self._source)
        # No whole number overflows: those that the machine reads are below 10**256.
        values = {k: np.array(v, dtype=np.float64) for k, v in self._values.items()}
        assembler.add(
            rows[np.array(self._entry, dtype=np.intp)],
            np.array(self._epochs, dtype=np.int32),
            values,
        )
        return assembler.finish(
            name, vertices=vertices, provenance=provenance, default=default, attributes={}
        )

    def _check_hashes(self, rows: np.ndarray[Any, Any], space: Space) -> None:
        checked = np.flatnonzero(rows < len(space))
        true = space.hashes() if len(checked) else np.array([], dtype=np.str_)
        for i in checked.tolist():
            if self._hashes[i] != true[rows[i]]:
                self.fail(
                    "the hash of an entry is not that of its cell",
                    self._hashes[i],
                    str(true[rows[i]]),
                )


def _shown(value: Any) -> str:
    """A key for a message: never a container, which could be endless."""
    return str(value)[:80] if type(value) in (str, int) else type(value).__name__
