"""Reading NASLib's `nasbench_only108.pkl`: NAS-Bench-101's 108-epoch trainings as a pickle.

The pickled dictionary maps a hash to `(fixed, computed)`: the adjacency matrix, the operations and
the trainable parameters, and for each budget a list of the repeats' times and accuracies halfway
and at the end (`naslib/utils/nb101_api.py`).
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike

import numpy as np

from naslib_ecnas.data.assemble import Assembler, Source, check_parameters, rows_with_hashes
from naslib_ecnas.data.nasbench_tfrecord import NASBENCH_PROVENANCE
from naslib_ecnas.data.table import Columns
from naslib_ecnas.data.unpickle import FIELDS, unpickled


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
    texts = content.texts
    numbers = {n: np.frombuffer(c, dtype=np.int64) for n, c in content.numbers.items()}
    cells = list(zip(texts["bits"], texts["ops"], strict=True))
    rows = rows_with_hashes(cells, texts["hash"], lambda _: source, whole=check_hashes)
    if len(np.unique(rows)) < len(rows):
        raise source.fault("each cell must have one entry")
    check_parameters(rows, numbers["parameters"], lambda _: source)
    values = np.frombuffer(content.numbers["values"]).reshape(-1, len(FIELDS))
    assembler = Assembler(source)
    assembler.add(
        rows[numbers["entry"]],
        numbers["epochs"].astype(np.int32),
        {_metric(field): values[:, i] for i, field in enumerate(FIELDS)},
    )
    return assembler.finish(replace(NASBENCH_PROVENANCE, sha256=sha256))


def _metric(field: str) -> str:
    name = field.removeprefix("final_")
    return f"{name}_s" if name.endswith("time") else name
