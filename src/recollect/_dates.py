"""Dates as index terms: an episode of 13 October 2023 is found by "on October 13" and by "in October 2023".

When an episode occurred is not in its text, and the parts of a date collide with words ("may", "13"). So
dates have terms of their own, which no analyzed word can equal because they contain "@":

    @2023-10-13   the day       @--10-13   the day of any year
    @2023-10      the month     @--10      the month of any year

An episode has all four, a query those that it names, a day together with its month. From there on they are
ordinary terms: document frequency makes a day weigh more than a month, a query without a date is unchanged. A
year alone is not a term: it would let every episode of the year match "the 2023 finals".
"""

import re
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b"
)
_DAY: Final = r"\b(?P<day>[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)?\b"
_YEAR: Final = r"(?P<year>(?:19|20)\d\d)\b"
# The name of a month alone is too often a verb or a person: it needs a number, or a preposition before it.
_BEFORE: Final = r"\b(?:in|during|since|until|till|by|of|from|around|last|this|next|early|mid|late)[ -]"
_NAMED: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"\b(?P<year>(?:19|20)\d\d)-(?P<number>0[1-9]|1[0-2])"
        r"(?:-(?P<day>[12]\d|3[01]|0?[1-9])(?:T[\d:.]+(?:Z|[+-][\d:]+)?)?)?(?![\w-])",
        rf"{_DAY}(?: of)? {_MONTH}(?:\.?,? {_YEAR})?",
        rf"\b{_MONTH}\.? {_DAY}(?![.,:]\d)(?:,? {_YEAR})?",
        rf"\b{_MONTH}\.?,?(?: of)? {_YEAR}",
        rf"{_BEFORE}{_MONTH}",
    )
)


def date_terms(occurred_at: datetime) -> list[str]:
    """Return the terms of the day on which an episode occurred, in UTC; `occurred_at` is aware."""
    day = occurred_at.astimezone(UTC).date().isoformat()
    return [f"@{day}", f"@--{day[5:]}", f"@{day[:7]}", f"@--{day[5:7]}"]


def named_dates(query: str) -> list[str]:
    """Return the terms of the days and months that `query` names, each once; empty if it names none.

    Understands ISO dates and English names of months, with or without a day and a year.
    """
    terms: list[str] = []

    def take(found: re.Match[str]) -> str:
        parts = found.groupdict()
        name, year = parts.get("name"), parts.get("year") or "-"
        month = f"{_MONTHS.index(name[:3].lower()) + 1:02}" if name else parts["number"]
        if day := parts.get("day"):
            terms.append(f"@{year}-{month}-{int(day):02}")
        terms.append(f"@{year}-{month}")
        return " "  # so that a later, less specific pattern does not see it again

    for pattern in _NAMED:
        query = pattern.sub(take, query)
    return list(dict.fromkeys(terms))
