"""Times without a zone, one by one and many at once."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslib_ecnas.data.protobuf import from_seconds, many_to_seconds, to_seconds
from naslib_ecnas.errors import FormatError

MOMENTS = st.datetimes().map(lambda moment: moment.replace(microsecond=0))


def many(texts: list[str]) -> tuple[list[float], list[bool]]:
    characters = np.frombuffer("".join(texts).encode("latin-1"), dtype=np.uint8).reshape(-1, 19)
    seconds, good = many_to_seconds(characters)
    return seconds.tolist(), good.tolist()


@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_both_ways_agree_with_the_library(moments: list[datetime]) -> None:
    texts = [moment.isoformat(sep=" ") for moment in moments]
    wanted = [moment.replace(tzinfo=timezone.utc).timestamp() for moment in moments]
    assert [to_seconds(text) for text in texts] == wanted
    assert many(texts) == (wanted, [True] * len(texts))
    assert [from_seconds(second) for second in wanted] == texts


@given(MOMENTS, st.integers(0, 18), st.characters(max_codepoint=255))
def test_a_changed_character_is_judged_alike(moment: datetime, at: int, character: str) -> None:
    text = moment.isoformat(sep=" ")
    text = text[:at] + character + text[at + 1 :]
    (seconds,), (good,) = many([text])
    if good:
        assert to_seconds(text) == seconds
    else:
        with pytest.raises(FormatError, match="no time"):
            to_seconds(text)


@pytest.mark.parametrize(
    "text",
    ["", "2022-02-29 00:00:00", "2022-1-01  00:00:00", "2022-01-01T00:00:00", "0000-01-01 00:00:00",
     "2022-13-01 00:00:00", "2022-01-01 24:00:00", "2022-01-01 00:60:00", "1900-02-29 00:00:00"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(FormatError, match="no time"):
        to_seconds(text)
    if len(text) == 19:
        assert many([text])[1] == [False]


@pytest.mark.parametrize("seconds", [0.5, float("nan"), float("inf"), 1e15, -1e12])
def test_what_cannot_be_written(seconds: float) -> None:
    with pytest.raises(FormatError, match="can be written"):
        from_seconds(seconds)
