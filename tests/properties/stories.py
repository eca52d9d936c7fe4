"""Histories that others tell to explain two times, as tables of what is answered where.

Those of PostgreSQL's tests of UPDATE and DELETE FOR PORTION OF, of XTDB's of how one period supersedes
another, of bitempura's, of Snodgrass's book on time in SQL and of Fowler's essay on two dimensions.
"""

from dataclasses import dataclass

NEVER = "1700-01-01"
"""Stands for no beginning: a claim has one here."""


@dataclass(frozen=True)
class Told:
    """Something that is said on a day: `since` its beginning, `during` it, or that nothing holds then."""

    on: str
    how: str
    value: str | None
    start: str
    end: str | None = None

    @property
    def onset(self) -> bool:
        return self.how in ("since", "end")

    @property
    def op(self) -> str:
        return "void" if self.value is None else "assert"


@dataclass(frozen=True)
class Story:
    """What is said, and what is answered: for a day on which it is asked, of which day, what."""

    told: list[Told]
    asked: dict[str, dict[str, str | None]]


def since(on: str, value: str, start: str | None = None) -> Told:
    return Told(on, "since", value, start or on)


def during(on: str, value: str, start: str, end: str | None = None) -> Told:
    return Told(on, "during", value, start, end)


def end(on: str, start: str | None = None) -> Told:
    return Told(on, "end", None, start or on)


def deny(on: str, start: str, end: str | None = None) -> Told:
    return Told(on, "deny", None, start, end)


ONE, TWO, LATER = "2030-01-01", "2030-01-02", "2031-01-01"
THREE, FOUR, FIVE = "2030-01-03", "2030-01-04", "2030-01-05"

PORTIONS = {
    "a portion is updated, another one deleted": Story(
        [
            during(ONE, "one", "2018-01-02", "2020-01-01"),
            during(TWO, "one^1", "2018-01-15", "2019-01-01"),
            deny(THREE, "2019-01-15", "2019-01-20"),
        ],
        {
            LATER: {
                "2018-01-01": None,
                "2018-01-02": "one",
                "2018-01-14": "one",
                "2018-01-15": "one^1",
                "2018-12-31": "one^1",
                "2019-01-01": "one",
                "2019-01-14": "one",
                "2019-01-15": None,
                "2019-01-19": None,
                "2019-01-20": "one",
                "2019-12-31": "one",
                "2020-01-01": None,
            },
            TWO: {"2019-01-15": "one", "2018-01-15": "one^1"},
            ONE: {"2018-01-15": "one"},
        },
    ),
    "single days are updated and deleted next to each other": Story(
        [
            during(ONE, "one", "2018-01-02", "2020-01-01"),
            during(TWO, "one^2", "2019-02-01", "2019-02-03"),
            deny(TWO, "2019-02-03", "2019-02-04"),
            during(TWO, "one^3", "2019-02-04", "2019-02-05"),
            deny(TWO, "2019-02-05", "2019-02-06"),
        ],
        {
            LATER: {
                "2019-01-31": "one",
                "2019-02-01": "one^2",
                "2019-02-02": "one^2",
                "2019-02-03": None,
                "2019-02-04": "one^3",
                "2019-02-05": None,
                "2019-02-06": "one",
            }
        },
    ),
    "finite to open, updated from both sides and then deleted": Story(
        [
            during(ONE, "three", "2018-01-01"),
            during(TWO, "three^1", "2018-06-01"),
            during(THREE, "three^2", "2018-01-01", "2018-03-01"),
            deny(FOUR, "2018-04-01"),
        ],
        {
            ONE: {"2017-12-31": None, "2018-01-01": "three", "2029-01-01": "three"},
            TWO: {"2018-05-31": "three", "2018-06-01": "three^1", "2029-01-01": "three^1"},
            THREE: {"2018-02-28": "three^2", "2018-03-01": "three", "2018-06-01": "three^1"},
            FOUR: {"2018-02-28": "three^2", "2018-03-31": "three", "2018-04-01": None, "2029-01-01": None},
        },
    ),
    "open to finite, updated until it fits exactly": Story(
        [
            during(ONE, "four", NEVER, "2018-04-01"),
            during(TWO, "four^1", NEVER, "2018-02-01"),
            during(THREE, "four^2", "2017-01-01", "2018-04-01"),
            during(FOUR, "four^3", "2017-01-01", "2018-02-01"),
        ],
        {
            TWO: {"2018-01-31": "four^1", "2018-02-01": "four", "2018-04-01": None},
            THREE: {"2016-12-31": "four^1", "2017-01-01": "four^2", "2018-03-31": "four^2"},
            FOUR: {
                "2016-12-31": "four^1",
                "2017-01-01": "four^3",
                "2018-01-31": "four^3",
                "2018-02-01": "four^2",
                "2018-04-01": None,
            },
        },
    ),
    "open to open, updated within and around, and deleted across": Story(
        [
            during(ONE, "five", NEVER),
            during(TWO, "five^1", "2018-01-01", "2019-01-01"),
            during(THREE, "five^2", "2017-01-01", "2020-01-01"),
            deny(FOUR, "2018-06-01", "2020-06-01"),
        ],
        {
            TWO: {"2017-12-31": "five", "2018-12-31": "five^1", "2019-01-01": "five"},
            THREE: {
                "2016-12-31": "five",
                "2018-06-01": "five^2",
                "2019-12-31": "five^2",
                "2020-01-01": "five",
            },
            FOUR: {"2018-05-31": "five^2", "2018-06-01": None, "2020-05-31": None, "2020-06-01": "five"},
        },
    ),
    "an enclosed span is updated whole": Story(
        [during(ONE, "two", "2018-01-01", "2018-01-05"), during(TWO, "two^2", "2018-01-01", "2018-01-05")],
        {LATER: {"2017-12-31": None, "2018-01-01": "two^2", "2018-01-04": "two^2", "2018-01-05": None}},
    ),
    "several spans that meet are updated as one, then within": Story(
        [
            during(ONE, "a", "2018-01-02", "2018-02-03"),
            during(ONE, "b", "2018-02-03", "2018-03-03"),
            during(ONE, "c", "2018-03-03", "2018-04-04"),
            during(TWO, "one^2", "2018-01-02", "2018-04-04"),
            during(THREE, "one^3", "2018-03-10", "2018-03-15"),
            during(FOUR, "one^3", "2018-03-15", "2018-03-17"),
            deny(FIVE, NEVER, "2018-02-08"),
        ],
        {
            ONE: {"2018-02-02": "a", "2018-02-03": "b", "2018-03-02": "b", "2018-03-03": "c"},
            TWO: {"2018-02-02": "one^2", "2018-03-03": "one^2", "2018-04-04": None},
            FOUR: {
                "2018-03-09": "one^2",
                "2018-03-10": "one^3",
                "2018-03-16": "one^3",
                "2018-03-17": "one^2",
            },
            FIVE: {"2018-02-07": None, "2018-02-08": "one^2", "2018-03-12": "one^3", "2018-04-03": "one^2"},
        },
    ),
}


def supersession(old: tuple[str, str], new: tuple[str, str], asked: dict[str, str | None]) -> Story:
    """An older and a newer period: what each year has after both, and after the older one alone."""
    before = {year: "old" if old[0] <= year < old[1] else None for year in asked}
    return Story(
        [
            during(ONE, "old", f"{old[0]}-01-01", f"{old[1]}-01-01"),
            during(TWO, "new", *(f"{y}-01-01" for y in new)),
        ],
        {
            known: {f"{year}-01-01": value for year, value in values.items()}
            for known, values in ((ONE, before), (TWO, asked))
        },
    )


PERIODS = {
    "no overlap, the newer one before": supersession(
        ("2010", "2020"),
        ("2005", "2009"),
        {"2005": "new", "2008": "new", "2009": None, "2010": "old", "2020": None},
    ),
    "the newer one reaches in from before": supersession(
        ("2015", "2025"),
        ("2010", "2020"),
        {"2010": "new", "2019": "new", "2020": "old", "2024": "old", "2025": None},
    ),
    "both start together, the older one lasts longer": supersession(
        ("2010", "2025"),
        ("2010", "2020"),
        {"2009": None, "2010": "new", "2019": "new", "2020": "old", "2025": None},
    ),
    "the newer one lies within": supersession(
        ("2010", "2025"), ("2015", "2020"), {"2014": "old", "2015": "new", "2019": "new", "2020": "old"}
    ),
    "the older one lies within": supersession(
        ("2010", "2020"), ("2010", "2025"), {"2010": "new", "2019": "new", "2024": "new", "2025": None}
    ),
    "both end together": supersession(
        ("2010", "2025"), ("2015", "2025"), {"2014": "old", "2015": "new", "2024": "new", "2025": None}
    ),
    "the newer one lasts longer": supersession(
        ("2010", "2020"), ("2015", "2025"), {"2010": "old", "2014": "old", "2015": "new", "2020": "new"}
    ),
    "the newer one touches from before": supersession(
        ("2010", "2020"), ("2005", "2010"), {"2005": "new", "2009": "new", "2010": "old", "2019": "old"}
    ),
    "the newer one touches from behind": supersession(
        ("2005", "2010"), ("2010", "2020"), {"2009": "old", "2010": "new", "2019": "new", "2020": None}
    ),
}

OTHERS = {
    "a back-dated pay raise, corrected twice": Story(
        [
            since("2021-01-01", "6000"),
            since("2021-03-15", "6500", "2021-02-15"),
            since("2021-04-05", "6400", "2021-02-15"),
            during("2021-04-20", "6450", "2021-03-01", "2021-04-01"),
        ],
        {
            "2021-02-25": {"2021-01-25": "6000", "2021-02-25": "6000", "2021-03-25": "6000"},
            "2021-03-25": {"2021-02-14": "6000", "2021-02-15": "6500", "2021-03-25": "6500"},
            "2021-04-05": {"2021-01-25": "6000", "2021-02-25": "6400", "2021-03-25": "6400"},
            LATER: {
                "2021-02-25": "6400",
                "2021-03-01": "6450",
                "2021-03-31": "6450",
                "2021-04-01": "6400",
            },
        },
    ),
    "a flat in Aalborg is bought, sold, and its purchase corrected": Story(
        [
            since("1998-01-10", "Eva"),
            since("1998-01-15", "Peter"),
            end("1998-01-20"),
            during("1998-01-23", "Eva", "1998-01-03", "1998-01-15"),
            deny("1998-01-26", "1998-01-02", "1998-01-05"),
            during("1998-01-28", "Peter", "1998-01-12", "1998-01-15"),
        ],
        {
            "1998-01-09": {"1998-01-10": None},
            "1998-01-10": {"1998-01-09": None, "1998-01-10": "Eva", "1998-02-01": "Eva"},
            "1998-01-15": {"1998-01-14": "Eva", "1998-01-15": "Peter", "1998-02-01": "Peter"},
            "1998-01-20": {"1998-01-14": "Eva", "1998-01-19": "Peter", "1998-01-20": None},
            "1998-01-23": {
                "1998-01-02": None,
                "1998-01-03": "Eva",
                "1998-01-14": "Eva",
                "1998-01-15": "Peter",
            },
            "1998-01-26": {"1998-01-03": None, "1998-01-04": None, "1998-01-05": "Eva"},
            "1998-01-28": {
                "1998-01-11": "Eva",
                "1998-01-12": "Peter",
                "1998-01-14": "Peter",
                "1998-01-19": "Peter",
                "1998-01-20": None,
            },
        },
    ),
    "a purchase at a better price": Story(
        [since("2021-03-14", "100"), since("2021-03-20", "75"), since("2021-03-21", "90", "2021-03-20")],
        {
            "2021-03-13": {"2021-03-13": None, "2021-03-14": None},
            "2021-03-14": {"2021-03-14": "100", "2021-03-22": "100"},
            "2021-03-20": {"2021-03-14": "100", "2021-03-19": "100", "2021-03-20": "75"},
            "2021-03-21": {"2021-03-14": "100", "2021-03-20": "90", "2021-03-22": "90"},
        },
    ),
    "a traveller whose departure was misrecorded": Story(
        [
            since("2018-12-31", "in by LA"),
            since("2019-01-04", "left LA"),
            since("2019-01-07", "in by LA", "2019-01-04"),
            since("2019-01-07", "left LA"),
            since("2019-01-08", "in by SFO"),
            since("2019-01-09", "left SFO", "2019-01-08"),
        ],
        {
            "2019-01-03": {"2018-12-30": None, "2019-01-02": "in by LA"},
            "2019-01-04": {"2019-01-03": "in by LA", "2019-01-04": "left LA"},
            "2019-01-07": {"2019-01-04": "in by LA", "2019-01-06": "in by LA", "2019-01-07": "left LA"},
            "2019-01-08": {"2019-01-07": "left LA", "2019-01-08": "in by SFO"},
            LATER: {"2019-01-02": "in by LA", "2019-01-07": "left LA", "2019-01-08": "left SFO"},
        },
    ),
    "a traveller of whom all is learned late": Story(
        [
            since("2019-01-04", "in by NY", "2018-12-31"),
            since("2019-01-04", "left NY", "2019-01-03"),
            since("2019-01-04", "in by LA"),
        ],
        {
            "2019-01-03": {"2019-01-02": None},
            LATER: {
                "2018-12-31": "in by NY",
                "2019-01-02": "in by NY",
                "2019-01-03": "left NY",
                "2019-01-04": "in by LA",
            },
        },
    ),
    "a value with an end, and one that is deleted": Story(
        [
            during("2022-01-01", "old", "2022-01-01", "2022-01-03"),
            since("2022-01-05", "new"),
            end("2022-01-07"),
        ],
        {
            "2021-12-31": {"2022-01-01": None},
            "2022-01-01": {"2022-01-01": "old", "2022-01-02": "old", "2022-01-03": None},
            "2022-01-05": {"2022-01-04": None, "2022-01-05": "new", "2022-01-07": "new"},
            "2022-01-07": {"2022-01-02": "old", "2022-01-06": "new", "2022-01-07": None},
        },
    ),
    "something that is ended is not raised by what arrives late": Story(
        [
            since("2020-01-01", "Rome", "2019-01-01"),
            end("2022-01-01"),
            since("2023-01-01", "Paris", "2015-01-01"),
        ],
        {
            LATER: {
                "2016-01-01": "Paris",
                "2019-01-01": "Rome",
                "2021-12-31": "Rome",
                "2022-01-01": None,
                "2024-01-01": None,
            }
        },
    ),
}

STORIES = {**PORTIONS, **PERIODS, **OTHERS}
