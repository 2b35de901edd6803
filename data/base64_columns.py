"""Base64 of many texts of the same length at once, as `base64.encodebytes` writes it into JSON."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode"]

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LINE = 76
#: A line feed, escaped in JSON.
_BREAK = b"\\n"
_BAD = 0xFFFF
# Texts decoded together: few enough to stay in the processor's cache.
_CHUNK = 512

Bytes = NDArray[np.uint8]


@cache
def _pairs() -> NDArray[np.uint16]:
    """(65536,) twelve bits of each pair of characters, indexed as a little-endian u16."""
    table = np.full(65536, _BAD, dtype=np.uint16)
    characters = np.frombuffer(_ALPHABET, dtype=np.uint8).astype(np.uint16)
    sextets = np.arange(64, dtype=np.uint16)
    index = characters[:, None] | characters[None, :] << np.uint16(8)
    table[index] = sextets[:, None] << np.uint16(6) | sextets[None, :]
    return table


def decode(texts: Bytes) -> tuple[Bytes, NDArray[np.intp]] | None:
    """Decode texts of one length.

    Args:
        texts: (n, length) characters, with an escaped line feed after every 76 characters and
            at the end.

    Returns:
        (n, m) bytes, and (n,) how many of them are the text's: m, or less by its padding; -1
        where the text is not exactly of this form. None where the length is impossible.
    """
    n, length = texts.shape
    step = _LINE + len(_BREAK)
    whole, rest = divmod(length, step)
    if n == 0 or length == 0 or (rest and (rest - len(_BREAK)) % 4) or rest == len(_BREAK):
        return None
    messages = np.empty((n, (whole * _LINE + max(rest - len(_BREAK), 0)) // 4 * 3), dtype=np.uint8)
    sizes = np.empty(n, dtype=np.intp)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        sizes[part] = _decode(texts[part], messages[part], whole, rest)
    return messages, sizes


def _decode(texts: Bytes, out: Bytes, whole: int, rest: int) -> NDArray[np.intp]:
    """Decode some of the texts into `out`; returns their sizes."""
    n, length = texts.shape
    step = _LINE + len(_BREAK)
    breaks = np.array([i * step + _LINE for i in range(whole)] + ([length - 2] if rest else []))
    good = (texts[:, breaks] == _BREAK[0]).all(axis=1)
    good &= (texts[:, breaks + 1] == _BREAK[1]).all(axis=1)
    lines = texts[:, : whole * step].reshape(n, whole, step)[:, :, :_LINE].reshape(n, -1)
    plain = np.concatenate([lines, texts[:, whole * step : length - len(_BREAK)]], axis=1)
    last = plain[:, -1] == ord("=")
    both = last & (plain[:, -2] == ord("="))
    plain[last, -1] = ord("A")
    plain[both, -2] = ord("A")
    twelve = _pairs()[plain.view("<u2")]
    good &= ~(twelve == _BAD).any(axis=1)
    high, low = twelve[:, 0::2], twelve[:, 1::2]
    triples = out.reshape(n, -1, 3)
    triples[:, :, 0] = high >> 4
    triples[:, :, 1] = (high & 15) << 4 | low >> 8
    triples[:, :, 2] = low & 255
    return np.where(good, out.shape[1] - last.astype(np.intp) - both, -1)
