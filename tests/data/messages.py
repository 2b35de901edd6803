"""Protocol buffers and rows of TFRecord files, written field by field."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from naslib_ecnas import network
from naslib_ecnas.cell import Cell
from naslib_ecnas.data.tfrecord import pack
from naslib_ecnas.space import Space

CHAIN = Cell("0100001000010000:input,conv3x3-bn-relu,maxpool3x3,output")

#: A message: values by field number, nested messages as such dicts, repeated ones as lists.
Message = dict[int, Any]


def cells(vertices: int, n: int) -> list[Cell]:
    """Cells from the first to the last of a space."""
    space = Space(vertices)
    return [space.cell(row) for row in np.linspace(0, len(space) - 1, n).astype(int).tolist()]


def packed(message: Message | bytes) -> bytes:
    """The bytes of a message; bytes stay as they are."""
    if isinstance(message, bytes):
        return message
    out = []
    for number, values in message.items():
        for value in values if isinstance(values, list) else [values]:
            value = value.encode() if isinstance(value, str) else value
            out.append(pack(number, packed(value) if isinstance(value, dict) else value))
    return b"".join(out)


def row(message: Message | bytes, cell: Cell = CHAIN, epochs: Any = 4, **changed: Any) -> bytes:
    """A row as the official files have it; `hash`, `bits`, `ops` and `text` may be changed."""
    bits, _, ops = str(cell).partition(":")
    text = base64.encodebytes(packed(message)).decode()
    items = {"hash": cell.nasbench_hash, "epochs": epochs, "bits": bits, "ops": ops, "text": text}
    return json.dumps(list((items | changed).values())).encode()


def energy(value: float = 0.5, cell: Cell = CHAIN, epochs: int = 4) -> bytes:
    """A row of EC-NAS with the epochs of two evaluations and the energy of the last."""
    parameters = int(network.parameters(cell.row)[0])
    return row({1: [{1: 0.0}, {1: 2.0}, {6: value}], 2: parameters}, cell, epochs)
