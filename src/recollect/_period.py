from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .errors import InvalidInput


def day(year: int, month: int, day: int, *, tz: str = "UTC") -> tuple[datetime, datetime]:
    """Return a calendar day as a half-open interval, in UTC: 23 or 25 hours long where clocks change.

    Args:
        tz: name of a time zone, such as "Europe/Paris".

    Raises:
        InvalidInput: there is no such day or time zone.
    """
    for field, value in (("year", year), ("month", month), ("day", day)):
        if type(value) is not int:
            raise InvalidInput(field, f"expected an integer, got {type(value).__name__}")
    try:
        start = date(year, month, day)
        end = start + timedelta(days=1)
    except (ValueError, OverflowError):
        raise InvalidInput("day", "is no day of a calendar") from None
    try:
        # Others are read from the disk, once.
        zone = UTC if tz == "UTC" else ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise InvalidInput(
            "tz", "is no time zone that is known here; use a name such as Europe/Paris"
        ) from None
    try:
        valid_from, valid_to = (datetime.combine(at, time(), zone).astimezone(UTC) for at in (start, end))
    except OverflowError:
        raise InvalidInput("day", "leaves the years 1..9999 in UTC") from None
    if valid_from >= valid_to:
        raise InvalidInput("day", "was left out there, when the date line moved")
    return valid_from, valid_to
