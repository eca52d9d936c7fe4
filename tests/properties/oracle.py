"""What is true of facts, by definition: a loop over the records for one instant at a time.

Nothing here knows of intervals, pieces or remainders, and nothing of the package is called: only the fields
of a record are read. It is slow, and short enough to be believed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from recollect._timeline import Assertion

Log = Sequence[Assertion]
MICROSECOND = timedelta(microseconds=1)


def covers(record: Assertion, v: datetime) -> bool:
    if record.op == "retract" or v < record.claimed_from:
        return False
    return record.claimed_to is None or v < record.claimed_to


def hidden(record: Assertion, log: Log, k: int) -> bool:
    """Whether a retraction of it is known at k, and is not itself hidden there."""
    return any(each.ref == record.id and each.tx <= k and not hidden(each, log, k) for each in log)


def known(log: Log, k: int) -> list[Assertion]:
    """Return the records that count at k, in order."""
    ordered = sorted(log, key=lambda each: (each.tx, each.seq))
    return [each for each in ordered if each.tx <= k and not hidden(each, log, k)]


def winner(log: Log, v: datetime, k: int) -> Assertion | None:
    return _last(known(log, k), v)


def _last(records: Log, v: datetime) -> Assertion | None:
    w: Assertion | None = None
    for r in records:
        if not covers(r, v):
            continue
        if r.onset and w is not None and w.claimed_from > r.claimed_from:
            continue
        w = r
    return w


def winners(log: Log, vs: Iterable[datetime], k: int) -> list[Assertion | None]:
    records = known(log, k)
    return [_last(records, v) for v in vs]


def held(record: Assertion | None) -> str | None:
    """Return what is true if this record wins."""
    return None if record is None or record.op == "void" else record.object


def answer(log: Log, v: datetime, k: int) -> str | None:
    return held(winner(log, v, k))


def laid_over(main: Log, branch: Log, v: datetime, k: int) -> Assertion | None:
    """Return the winner for a session: that of its own branch, or else that of everybody."""
    return winner(branch, v, k) or winner(main, v, k)


def support(log: Log, object: str | None, v: datetime, k: int) -> list[Assertion]:
    return [
        each for each in known(log, k) if each.op == "assert" and each.object == object and covers(each, v)
    ]


def sources(records: Iterable[Assertion]) -> set[str]:
    return {source for each in records for source in each.sources}


def moments(*logs: Log) -> list[datetime]:
    """Return every bound, and one microsecond before and after it."""
    bounds = {bound for log in logs for each in log for bound in (each.claimed_from, each.claimed_to)}
    return sorted(
        {
            bound + step
            for bound in bounds
            if bound is not None
            for step in (-MICROSECOND, 0 * MICROSECOND, MICROSECOND)
        }
    )


def counters(*logs: Log) -> list[int]:
    """Return 0 and every transaction."""
    return sorted({0, *(each.tx for log in logs for each in log)})


def says_nothing_new(log: Log, new: Assertion) -> bool:
    """Whether a record is an earlier one again, and no instant has another winner because of it.

    A winner is another one if it holds something else, or since another instant: that is all that
    what comes later can tell of it.
    """
    before = known(log, new.tx)
    return any(_same(old, new) for old in before) and all(
        _tells(_last([*before, new], v)) == _tells(_last(before, v)) for v in moments(log, [new])
    )


def _same(old: Assertion, new: Assertion) -> bool:
    alike = (old.op, old.object, old.claimed_from, old.claimed_to, old.onset) == (
        new.op, new.object, new.claimed_from, new.claimed_to, new.onset,
    )  # fmt: skip
    return alike and set(new.sources) <= set(old.sources)


def _tells(record: Assertion | None) -> tuple[str, str | None, datetime] | None:
    return None if record is None else (record.op, record.object, record.claimed_from)


def never_remembered(log: Log, episodes: Iterable[str]) -> list[Assertion]:
    """Return the log without what only these episodes said, and without the retractions of that."""
    gone: set[str | None] = set()
    kept: list[Assertion] = []
    for each in log:
        left = tuple(source for source in each.sources if source not in set(episodes))
        if (each.sources and not left) or (each.ref is not None and each.ref in gone):
            gone.add(each.id)
        else:
            kept.append(replace(each, sources=left))
    return kept
