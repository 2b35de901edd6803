"""From columns to single trainings: what the writers of both TFRecord formats share."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import TypeVar

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.columns import Columns
from naslib_ecnas.data.message_metrics import DEVICES, from_metrics, metrics_of
from naslib_ecnas.data.metrics_messages import ModelMetrics, ModelMetricsEnergy
from naslib_ecnas.data.records import Training
from naslib_ecnas.data.source import Source
from naslib_ecnas.space import Space

__all__ = ["trainings"]

M = TypeVar("M", ModelMetrics, ModelMetricsEnergy)
# From so many cells on, hashing the whole space is faster than hashing cell by cell.
_MANY = 100_000


def trainings(columns: Columns, kind: type[M], path: str | PathLike[str]) -> Iterator[Training[M]]:
    """The trainings of a table, by cell, budget and repeat.

    Args:
        columns: the table.
        kind: the message to put the metrics in.
        path: the file that is written, for errors.

    Raises:
        FormatError: a metric that this kind of message cannot hold.
    """
    source = Source(str(path), None)
    excess = sorted(set(columns.values) - metrics_of(kind))
    if excess:
        raise source.fault(
            f"{kind.__name__} cannot hold these metrics",
            value=excess,
            expected="some of " + ", ".join(sorted(metrics_of(kind))),
            remedy="leave them out of the columns, or write Parquet, CSV or a table instead",
        )
    return _trainings(columns, kind, source)


def _trainings(columns: Columns, kind: type[M], source: Source) -> Iterator[Training[M]]:
    names = list(columns.values)
    values = np.stack([columns.values[name] for name in names], axis=-1)
    parameters = network.parameters(columns.rows)
    hashes = Space(columns.vertices).hashes() if len(columns.rows) > _MANY else None
    devices = {
        sort: columns.attributes[sort]
        for sort in DEVICES
        # More than one set of names cannot be told apart by training.
        if sort in columns.attributes and ";" not in columns.attributes[sort]
    }
    for i, row in enumerate(columns.rows.tolist()):
        cell = Cell.from_row(row)
        bits, _, ops = str(cell).partition(":")
        name = cell.nasbench_hash if hashes is None else str(hashes[row])
        for j, budget in enumerate(columns.budgets):
            for numbers in values[i, j].tolist():
                there = {n: v for n, v in zip(names, numbers, strict=True) if v == v}
                if not there:
                    continue
                message = from_metrics(
                    there,
                    kind,
                    trainable_parameters=int(parameters[i]),
                    devices=devices,
                    source=source,
                )
                yield Training(name, budget, bits, ops, message)
