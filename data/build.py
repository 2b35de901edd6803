"""The official seven-vertex table made anew: NAS-Bench-101's records and a model's energies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.checksums import sha256_of
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.errors import FormatError
from naslib_ecnas.provenance import Provenance
from naslib_ecnas.storage import is_file

__all__ = ["Energy", "built"]

#: From rows (n,) and budgets (b,) to columns of (n, b): energies and, where known, deviations.
Energy = Callable[[NDArray[np.int32], Sequence[int]], Mapping[str, NDArray[np.float64]]]

_KEPT = ("training_time_s", "train_accuracy", "validation_accuracy", "test_accuracy")


def built(
    nasbench: str | PathLike[str], energy: Energy, provenance: Provenance, *, name: str = "7v"
) -> Columns:
    """NAS-Bench-101's trainings with the energies of a model.

    Accuracies and times are the file's, repeat by repeat; budgets and cells that it lacks are
    lacking here too. A modelled energy is one for a cell and a budget: every repeat that the file
    has gets the same.

    Args:
        nasbench: a file of NAS-Bench-101's, in any format that is read.
        energy: the model.
        provenance: of its energies.
        name: short name of the table.

    Raises:
        UnknownTableError: there is no such file.
        FormatError: it is damaged, of no known format, or has no accuracies.
    """
    from naslib_ecnas.data.formats import read

    records = read(nasbench, name=name, vertices=7)
    kept = {m: v for m, v in records.values.items() if m.removeprefix("halfway_") in _KEPT}
    if "validation_accuracy" not in kept:
        raise FormatError(
            "holds no trainings of NAS-Bench-101",
            path=nasbench,
            value=", ".join(records.values),
            expected="validation_accuracy among the columns",
            remedy="use nasbench_full.tfrecord or nasbench_only108.tfrecord",
        )
    there = np.isfinite(kept["validation_accuracy"])
    columns = energy(records.rows, records.budgets)
    modelled = {
        metric: np.where(there, values[:, :, None], np.nan) for metric, values in columns.items()
    }
    file = Path(nasbench)
    sha256 = sha256_of(file) if is_file(file) else None
    origin = {
        metric: replace(
            known,
            source=known.source or file.name,
            sha256=known.sha256 or sha256,
            note=_with(known.note),
        )
        for metric, known in records.provenance.items()
        if metric in kept
    }
    return replace(
        records,
        name=name,
        values={**modelled, **kept},
        provenance={**dict.fromkeys(modelled, provenance), **origin},
        attributes={
            **records.attributes,
            "description": f"trainings of {Path(nasbench).name} with modelled energies",
        },
    )


def _with(note: str | None) -> str:
    ours = "trained by NAS-Bench-101, on the file's word; not the trainings of the energy"
    return f"{note}; {ours}" if note else ours
