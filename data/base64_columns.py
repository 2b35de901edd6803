"""Base64 of many texts of the same length at once, as `base64.encodebytes` writes it into JSON."""

from __future__ import annotations

import binascii

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode"]

_ALPHABET = np.zeros(256, dtype=bool)
_ALPHABET[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = True
_LINE = 76
#: A line feed, escaped in JSON.
_BREAK = b"\\n"
# Texts decoded together: few enough to stay in the processor's cache.
_CHUNK = 1024

Bytes = NDArray[np.uint8]


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
    decoded = _decoded(plain)
    if decoded is None:
        bad = ~_ALPHABET[plain].all(axis=1)
        good &= ~bad
        plain[bad] = ord("A")
        decoded = binascii.a2b_base64(plain.data)
    out[:] = np.frombuffer(decoded, dtype=np.uint8).reshape(n, -1)
    return np.where(good, out.shape[1] - last.astype(np.intp) - both, -1)


def _decoded(plain: Bytes) -> bytes | None:
    """All characters decoded in a row, None where there are others than those of base64."""
    try:
        decoded = binascii.a2b_base64(plain.data)
    except binascii.Error:
        return None
    # Other characters are left out, so that the result is too short.
    return decoded if len(decoded) * 4 == plain.size * 3 else None
