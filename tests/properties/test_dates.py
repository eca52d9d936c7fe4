"""The dates of episodes and those that queries name."""

import calendar
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recollect._analysis import analyze
from recollect._dates import date_terms, named_dates

instants = st.datetimes(
    datetime(2, 1, 1),  # noqa: DTZ001
    datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours))),
)
days = st.dates(date(1900, 1, 1), date(2099, 12, 31))

WITH_YEAR = (
    "{iso}",
    "{iso}T12:30",
    "{iso}T12:30:05.5Z",
    "{iso}T12:30:05-05:00",
    "{day} {month} {year}",
    "{day} of {month}, {year}",
    "{ordinal} {month} {year}",
    "{month} {day}, {year}",
    "{month} {ordinal} {year}",
    "{short}. {day}, {year}",
    "{day} {short} {year}",
)
WITHOUT_YEAR = ("{day} {month}", "{ordinal} of {month}", "{month} {day}", "{short} {ordinal}")
MONTHS = ("{month} {year}", "{short} {year}", "{month}, {year}", "{month} of {year}", "{year}-{number:02}")
MONTHS_ALONE = ("in {month}", "since {short}", "mid-{month}", "last {month}")


def spelled(spelling: str, day: date) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10 if day.day not in (11, 12, 13) else 0, "th")
    return spelling.format(
        iso=day.isoformat(),
        day=day.day,
        ordinal=f"{day.day}{suffix}",
        month=calendar.month_name[day.month],
        short=calendar.month_abbr[day.month],
        number=day.month,
        year=day.year,
    )


def terms_of(day: date) -> list[str]:
    return date_terms(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))


@settings(max_examples=200)
@given(instants)
def test_episode_has_its_day_and_month_in_utc_with_and_without_the_year(instant: datetime) -> None:
    utc = instant.astimezone(UTC)
    year, month, day = f"{utc.year:04}", f"{utc.month:02}", f"{utc.day:02}"
    expected = [f"@{year}-{month}-{day}", f"@--{month}-{day}", f"@{year}-{month}", f"@--{month}"]
    assert date_terms(instant) == expected
    assert date_terms(utc) == date_terms(instant)


@settings(max_examples=300)
@given(days, st.integers(0, 3), st.sampled_from(("{}", "what about {}?", "On {}, she said", "({})", "{}.")))
def test_query_names_the_terms_of_the_episodes_of_that_day(day: date, kind: int, around: str) -> None:
    with_year, month_with_year = terms_of(day)[0], terms_of(day)[2]
    without_year, month_alone = terms_of(day)[1], terms_of(day)[3]
    spellings, expected = (
        (WITH_YEAR, [with_year, month_with_year]),
        (WITHOUT_YEAR, [without_year, month_alone]),
        (MONTHS, [month_with_year]),
        (MONTHS_ALONE, [month_alone]),
    )[kind]
    for spelling in spellings:
        for written in (
            spelled(spelling, day),
            spelled(spelling, day).lower(),
            spelled(spelling, day).upper(),
        ):
            assert named_dates(around.format(written)) == expected, written


@settings(max_examples=200)
@given(st.lists(days, min_size=1, max_size=4))
def test_several_dates_are_each_named_once(chosen: list[date]) -> None:
    query = " and ".join(spelled("{month} {day}, {year}", day) for day in chosen)
    expected = {term for day in chosen for term in (terms_of(day)[0], terms_of(day)[2])}
    named = named_dates(f"{query}; {query}")
    assert len(named) == len(expected)
    assert set(named) == expected


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=())))
def test_no_text_is_refused_and_no_word_is_a_date(text: str) -> None:
    assert all(term.startswith("@") for term in named_dates(text))
    assert not any(term.startswith("@") for term in analyze(f"@2023-10 {text} @--10"))


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", []),
        ("where does she live?", []),
        ("May I ask", []),
        ("she may go", []),
        ("march on, April", []),
        ("the 2023 finals", []),
        ("May 10,000 people", []),
        ("0 may and 32 may", []),
        ("13/10/2023", []),
        ("2023-13-01", []),
        ("2023-10-32", []),
        ("call 2023-10-1x or 12023-10-10", []),
        ("part 555-2023-10-05-1", []),
        ("marches in marching", []),
        ("in march", ["@--03"]),
        ("early December", ["@--12"]),
        ("31 and 5 may come", ["@--05-05", "@--05"]),
        ("the 2nd of May, 2022", ["@2022-05-02", "@2022-05"]),
        ("Sept. 5, 2021", ["@2021-09-05", "@2021-09"]),
        ("on October 13 and in October 2022", ["@--10-13", "@--10", "@2022-10"]),
        ("13 October 2023 and 2023-10-14", ["@2023-10-14", "@2023-10", "@2023-10-13"]),
    ],
)
def test_examples(query: str, terms: list[str]) -> None:
    assert named_dates(query) == terms
