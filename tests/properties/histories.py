"""Histories to test facts with: records by hand, and drawn ones whose bounds meet and coincide."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from recollect._timeline import Assertion, Op, Piece

START = datetime(2024, 1, 1, tzinfo=UTC)
RECORDED = datetime(2025, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

KINDS: tuple[tuple[Op, str], ...] = (
    ("assert", "onset"),
    ("assert", "bounded"),
    ("assert", "forever"),
    ("void", "onset"),
    ("void", "bounded"),
    ("retract", ""),
)


def day(n: float) -> datetime:
    return START + timedelta(days=n)


def recorded(tx: int) -> datetime:
    return RECORDED + timedelta(minutes=tx)


def record(
    tx: int,
    object: str | None,
    start: datetime,
    end: datetime | None = None,
    *,
    onset: bool = False,
    op: Op = "assert",
    **fields: Any,
) -> Assertion:
    given: dict[str, Any] = {
        "id": f"r{tx}", "seq": 0, "branch": "", "subject": "ann", "predicate": "lives_in", "slot": "",
    }  # fmt: skip
    return Assertion(
        **{**given, **fields}, tx=tx, recorded_at=recorded(tx), op=op, object=object,
        claimed_from=start, claimed_to=end, onset=onset,
    )  # fmt: skip


def since(tx: int, object: str | None, start: float, **fields: Any) -> Assertion:
    """An onset: since a day, until something else is known."""
    return record(tx, object, day(start), onset=True, **fields)


def during(tx: int, object: str | None, start: float, end: float | None, **fields: Any) -> Assertion:
    """A bounded record; without an end it is for ever."""
    return record(tx, object, day(start), None if end is None else day(end), **fields)


def retraction(tx: int, of: Assertion, **fields: Any) -> Assertion:
    return record(tx, None, of.claimed_from, of.claimed_to, onset=of.onset, op="retract", ref=of.id, **fields)


def drawn(pieces: Iterable[Piece]) -> str:
    """Write pieces as text: `Paris 10-20 -- 20-25 Rome 25-`, in days, nothing where a void holds."""
    return " ".join(
        f"{piece.assertion.object if piece.assertion.op == 'assert' else '--'} "
        f"{_number(piece.valid_from)}-{'' if piece.valid_to is None else _number(piece.valid_to)}"
        for piece in pieces
    )


def _number(instant: datetime) -> str:
    return f"{(instant - START) / timedelta(days=1):g}"


@st.composite
def instants(draw: st.DrawFn, used: list[datetime]) -> datetime:
    """Draw one that was used before, four times out of five."""
    if used and draw(st.integers(0, 4)) < 4:
        return draw(st.sampled_from(used))
    used.append(day(draw(st.integers(0, 30))) + draw(st.integers(-1, 1)) * MICROSECOND)
    return used[-1]


@st.composite
def claims(draw: st.DrawFn, used: list[datetime], kind: str) -> tuple[datetime, datetime | None]:
    start = draw(instants(used))
    if kind != "bounded":
        return start, None
    end = draw(instants(used))
    start, end = min(start, end), max(start, end)
    return start, end if start < end else start + MICROSECOND


@st.composite
def logs(
    draw: st.DrawFn,
    *,
    max_size: int = 9,
    kinds: Sequence[tuple[Op, str]] = KINDS,
    episodes: Sequence[str] = ("x", "y", "z"),
    objects: Sequence[str] = ("a", "b", "c"),
) -> list[Assertion]:
    """Draw what is said of one slot, up to several records in a transaction."""
    used: list[datetime] = []
    log: list[Assertion] = []
    tx = 0
    for i in range(draw(st.integers(1, max_size))):
        tx += not log or draw(st.integers(0, 3)) > 0
        seq = sum(each.tx == tx for each in log)
        op, kind = draw(st.sampled_from(kinds))
        if op == "retract" and not log:
            op, kind = "assert", "onset"
        if op == "retract":
            log.append(retraction(tx, draw(st.sampled_from(log)), id=f"r{i}", seq=seq))
            continue
        start, end = draw(claims(used, kind))
        said = draw(st.lists(st.sampled_from(episodes), unique=True, max_size=2)) if episodes else []
        log.append(
            record(
                tx,
                draw(st.sampled_from(objects)) if op == "assert" else None,
                start,
                end,
                onset=kind == "onset",
                op=op,
                id=f"r{i}",
                seq=seq,
                sources=tuple(said),
            )
        )
    return log
