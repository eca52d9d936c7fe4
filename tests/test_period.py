"""A calendar day as an interval, where clocks change too."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recollect import InvalidInput, day, open_memory

# The first use of a time zone reads a file, and nothing may do that in an event loop.
PARIS = day(2024, 3, 31, tz="Europe/Paris")
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"]


def _at(*args: int) -> datetime:
    return datetime(*args, tzinfo=UTC)  # type: ignore[arg-type]  # year, month, day and so on


@pytest.mark.parametrize(
    ("args", "tz", "start", "hours"),
    [
        ((2024, 5, 1), "UTC", _at(2024, 5, 1), 24),
        ((2024, 5, 1), "Europe/Paris", _at(2024, 4, 30, 22), 24),
        ((2024, 3, 31), "Europe/Paris", _at(2024, 3, 30, 23), 23),
        ((2024, 10, 27), "Europe/Paris", _at(2024, 10, 26, 22), 25),
        ((2024, 2, 29), "Asia/Kolkata", _at(2024, 2, 28, 18, 30), 24),
        ((2018, 11, 4), "America/Sao_Paulo", _at(2018, 11, 4, 3), 23),
        ((2018, 2, 17), "America/Sao_Paulo", _at(2018, 2, 17, 2), 25),
    ],
)
def test_day_is_as_long_as_its_clocks_make_it(args, tz: str, start: datetime, hours: int) -> None:
    assert day(*args, tz=tz) == (start, start + timedelta(hours=hours))


@given(st.dates(datetime(1900, 1, 1).date(), datetime(2100, 1, 1).date()), st.sampled_from(ZONES))  # noqa: DTZ001
def test_days_follow_each_other_without_gap_or_overlap(date, tz: str) -> None:
    after = date + timedelta(days=1)
    try:
        (start, end), (next_start, _) = (
            day(each.year, each.month, each.day, tz=tz) for each in (date, after)
        )
    except InvalidInput:
        assert tz == "Pacific/Apia"
        return
    assert start < end == next_start
    assert start.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("args", "tz", "field"),
    [
        ((2023, 2, 29), "UTC", "day"),
        ((2024, 13, 1), "UTC", "day"),
        ((0, 1, 1), "UTC", "day"),
        ((10**30, 1, 1), "UTC", "day"),
        ((9999, 12, 31), "UTC", "day"),
        ((1, 1, 1), "Asia/Kolkata", "day"),
        ((2011, 12, 30), "Pacific/Apia", "day"),
        ((True, 1, 1), "UTC", "year"),
        ((2024, "5", 1), "UTC", "month"),
        ((2024, 5, 1.0), "UTC", "day"),
        ((2024, 5, None), "UTC", "day"),
        ((2024, 5, 1), "Europe/Kanarienvogel", "tz"),
        ((2024, 5, 1), "", "tz"),
        ((2024, 5, 1), "../etc/passwd", "tz"),
        ((2024, 5, 1), "Europe", "tz"),
        ((2024, 5, 1), "a\0", "tz"),
        ((2024, 5, 1), "\ud800", "tz"),
        ((2024, 5, 1), "x" * 5_000, "tz"),
        ((2024, 5, 1), None, "tz"),
        ((2024, 5, 1), 1, "tz"),
    ],
)
def test_what_is_no_day_is_refused(args, tz, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        day(*args, tz=tz)
    assert caught.value.field == field
    assert "anarienvogel" not in f"{caught.value!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_day_is_an_interval_of_facts() -> None:
    start, end = PARIS
    async with open_memory() as memory:
        facts = memory.user("alice").facts
        await facts.add("shop", "closed", True, valid_from=start, valid_to=end)
        assert len(await facts.find(valid_during=day(2024, 3, 31))) == 1
        assert len(await facts.find(valid_during=day(2024, 4, 1, tz="Europe/Paris"))) == 0
