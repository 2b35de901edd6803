"""Reading NASLib's `nasbench_only108.pkl`: NAS-Bench-101's 108-epoch trainings as a pickle.

The pickled dictionary maps a hash to `(fixed, computed)`: the adjacency matrix, the operations and
the trainable parameters, and for each budget a list of the repeats' times and accuracies halfway
and at the end (`naslib/utils/nb101_api.py`).
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.data.assemble import Assembler, Source, cell_rows
from naslib_ecnas.data.nasbench_tfrecord import NASBENCH_PROVENANCE
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.unpickle import FIELDS, unpickled
from naslib_ecnas.nasbench_hash import wrong_hashes


def read_nasbench_pickle(path: str | PathLike[str], *, check_hashes: bool = False) -> Columns:
    """Read NASLib's pickle of NAS-Bench-101. No code of the pickle can run.

    The cells, trainable parameters and hashes and the bounds of every value are checked. For the
    time of reading, a second process takes over a gigabyte for the published file.

    Args:
        path: the file.
        check_hashes: compare all digits of the hashes of cells of more than five vertices, not only
            the first eight.

    Raises:
        UnknownTableError: the file cannot be read.
        TruncatedError: it ends too early.
        FormatError: it names anything but numpy's arrays, takes too much memory or time, or its
            content is not that of NASLib's file.
    """
    content, sha256 = unpickled(path, "nasbench")
    source = Source(str(path), None)
    hashes, bits, ops = (content.texts[name] for name in ("hash", "bits", "ops"))
    numbers = {n: np.frombuffer(c, dtype=np.int64) for n, c in content.numbers.items()}
    rows = cell_rows(list(zip(bits, ops, strict=True)))
    for i in np.flatnonzero(rows < 0).tolist():
        raise source.fault("an entry must have a valid cell", value=hashes[i])
    for i in wrong_hashes(rows, hashes, whole=check_hashes):
        raise source.fault("the hash of an entry must be its cell's", value=hashes[i])
    parameters = network.parameters(rows)
    for i in np.flatnonzero(numbers["parameters"] != parameters).tolist():
        message = f"the cell {hashes[i]} has {parameters[i]} trainable parameters"
        raise source.fault(message, value=int(numbers["parameters"][i]))
    values = np.frombuffer(content.numbers["values"]).reshape(-1, len(FIELDS))
    assembler = Assembler(source)
    assembler.add(
        rows[numbers["entry"]],
        numbers["epochs"].astype(np.int32),
        {_metric(field): values[:, i] for i, field in enumerate(FIELDS)},
    )
    return assembler.finish(
        Path(path).stem,
        default=replace(NASBENCH_PROVENANCE, source=Path(path).name, sha256=sha256),
    )


def _metric(field: str) -> str:
    name = field.removeprefix("final_")
    return f"{name}_s" if name.endswith("time") else name
