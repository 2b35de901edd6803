"""Times of day without a zone, as EC-NAS's tracker writes them, and seconds since 1970.

The zone is not recorded. The seconds count as if it were UTC, so differences are right and a
text comes back as it was.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

from naslib_ecnas.data.source import NOWHERE, Source

__all__ = ["LENGTH", "from_seconds", "many_to_seconds", "to_seconds"]

_FORM = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: Characters of `YYYY-mm-dd HH:MM:SS`.
LENGTH = 19
_PLACES = {"year": (0, 4), "month": (5, 2), "day": (8, 2), "hour": (11, 2), "minute": (14, 2)}
_MARKS = ((4, "-"), (7, "-"), (10, " "), (13, ":"), (16, ":"))
_CUMULATIVE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])


def to_seconds(text: str, source: Source = NOWHERE) -> float:
    """Seconds of a text such as `2022-05-29 06:03:58`.

    Raises:
        FormatError: it is none of this form.
    """
    found = _FORM.fullmatch(text)
    try:
        year, month, day, hour, minute, second = map(int, found.groups() if found else ())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError as error:
        raise source.fault("no time", value=text, expected="YYYY-mm-dd HH:MM:SS") from error
    return (moment - _EPOCH).total_seconds()


def from_seconds(seconds: float, source: Source = NOWHERE) -> str:
    """The inverse of `to_seconds`.

    Raises:
        FormatError: the seconds are not whole, or of no year from 1 to 9999.
    """
    try:
        if seconds != int(seconds):
            raise ValueError(seconds)
        moment = _EPOCH + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError) as error:
        raise source.fault(
            "no time that can be written",
            value=seconds,
            expected="whole seconds since 1970, of a year from 1 to 9999",
            remedy="leave the column out",
        ) from error
    return moment.replace(tzinfo=None).isoformat(sep=" ")


def many_to_seconds(
    characters: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Seconds of many texts.

    Args:
        characters: (n, 19) ASCII codes.

    Returns:
        (n,) seconds, and (n,) whether the text was a time; where it was not the seconds mean
        nothing.
    """
    digits = (characters - np.uint8(ord("0"))).astype(np.int32)
    good = np.ones(len(characters), dtype=bool)
    for at, mark in _MARKS:
        good &= characters[:, at] == ord(mark)
    number = {}
    for name, (start, width) in {**_PLACES, "second": (17, 2)}.items():
        value = np.zeros(len(characters), dtype=np.int32)
        for place in range(start, start + width):
            digit = digits[:, place]
            good &= digit <= 9
            value = value * 10 + digit
        number[name] = value
    year, month, day = number["year"], number["month"], number["day"]
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (number["hour"] < 24) & (number["minute"] < 60) & (number["second"] < 60)
    month = np.where(good, month, 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    in_month = _CUMULATIVE[month] - _CUMULATIVE[month - 1] + (leap & (month == 2))
    good &= day <= in_month
    before = year.astype(np.int64) - 1
    days = 365 * before + before // 4 - before // 100 + before // 400 - 719_162
    days += _CUMULATIVE[month - 1] + (leap & (month > 2)) + day - 1
    seconds = ((days * 24 + number["hour"]) * 60 + number["minute"]) * 60 + number["second"]
    return seconds.astype(np.float64), good
