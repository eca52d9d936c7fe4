"""Facts and their two times, on a terminal. Texts of users are never read as markup."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..types import Diff, Fact, Span, Transaction
from .excerpts import printable
from .instants import labels
from .panels import said

NOTHING = "nothing"
ON = "…"
"""Stands for no end."""


def show_timeline(
    console: Console, subject: str, timelines: Mapping[str, Sequence[Span]], *, now: datetime
) -> None:
    """Print the timeline of each predicate. What is true now is bold."""
    shown = False
    if not any(timelines.values()):
        console.print(f"nothing is known of {printable(subject)}", markup=False)
    for predicate, spans in timelines.items():
        if not spans:
            continue
        if shown:
            console.print()
        shown = True
        dates = labels(_bounds(spans))
        learned = labels((fact.asserted_at for span in spans for fact in span.facts), to_second=True)
        table = _table("true from", "until", f"{subject} {predicate}", "learned")
        for span in spans:
            current = span.valid_from <= now and (span.valid_to is None or now < span.valid_to)
            table.add_row(
                dates[span.valid_from],
                ON if span.valid_to is None else dates[span.valid_to],
                _lines(map(value_of, span.facts)) if span.facts else Text(NOTHING, style="dim"),
                "\n".join(learned[fact.asserted_at] for fact in span.facts),
                style="bold" if current else "",
            )
        console.print(table)


def show_history(console: Console, subject: str, predicate: str, facts: Sequence[Fact]) -> None:
    """Print every piece there ever was, in the order in which they were believed. Earlier beliefs are dim."""
    if not facts:
        console.print(f"nothing was ever said of {printable(subject)} {printable(predicate)}", markup=False)
        return
    known = labels((fact.recorded_at for fact in facts), to_second=True)  # the transaction tells them apart
    dates = labels(_bounds(facts))
    table = _table("tx", "believed from", "true from", "until", f"{subject} {predicate}")
    for fact in facts:
        value = value_of(fact)
        if fact.reason is not None:
            value.append(f"  {printable(fact.reason)}", style="italic")
        table.add_row(
            f"{fact.tx_from}–{fact.tx_to or ON}",
            known[fact.recorded_at],
            dates[fact.valid_from],
            ON if fact.valid_to is None else dates[fact.valid_to],
            value,
            style="" if fact.tx_to is None else "dim",
        )
    console.print(table)


def show_diff(console: Console, diff: Diff) -> None:
    """Print what is no longer believed, and what is instead."""
    console.print(f"from transaction {diff.known_a} to {diff.known_b}:")
    console.print(_lines(changed_lines(diff.removed, diff.added)) or "nothing is believed otherwise")


def show_journal(console: Console, transactions: Sequence[Transaction], *, more: bool) -> None:
    """Print who did what, newest first."""
    if not transactions:
        console.print("nothing was written")
        return
    when = labels((each.recorded_at for each in transactions), to_second=True)
    table = _table("tx", "recorded", "operation", "what it did")
    for each in transactions:
        notes = [each.actor, f"session {each.session_id}" if each.session_id else None, each.reason]
        if each.undone_by is not None:
            notes.append(f"undone by {each.undone_by}")
        note = Text(printable(", ".join(filter(None, notes))), style="italic")
        did = [*([note] if note else []), *changed_lines(each.before, each.after)]
        table.add_row(str(each.tx), when[each.recorded_at], each.operation, _lines(did))
    console.print(table)
    if more:
        console.print("there are older ones: --limit", style="dim")


def show_written(console: Console, fact: Fact) -> None:
    """Print what became of a write."""
    if not fact.changed:
        console.print("known already:", style="dim")
    console.print(_line("+", fact, labels(_bounds([fact]))), Text(fact.fact_id, style="dim"), soft_wrap=True)


def changed_lines(before: Sequence[Fact], after: Sequence[Fact]) -> Iterable[Text]:
    """Yield a line for each piece that ceased to be believed, and for each that is from then on."""
    dates = labels(_bounds([*before, *after]))
    for sign, facts in (("-", before), ("+", after)):
        for fact in facts:
            yield _line(sign, fact, dates)


def value_of(fact: Fact) -> Text:
    """Return what a fact says."""
    if fact.void:
        return Text(NOTHING if fact.object is None else f"{NOTHING} ({said(fact.object)})")
    return Text(said(fact.object))


def _line(sign: str, fact: Fact, dates: Mapping[datetime, str]) -> Text:
    line = Text(f"{sign} ", style="green" if sign == "+" else "red")
    line.append(f"{printable(fact.subject)} {printable(fact.predicate)} ")
    line.append_text(value_of(fact))
    until = ON if fact.valid_to is None else dates[fact.valid_to]
    line.append(f", {dates[fact.valid_from]} – {until}")
    return line


def _bounds(items: Iterable[Fact | Span]) -> Iterable[datetime]:
    for each in items:
        yield each.valid_from
        if each.valid_to is not None:
            yield each.valid_to


def _lines(texts: Iterable[Text]) -> Text:
    return Text("\n").join(texts)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(Text(printable(heading)), overflow="fold")
    return table
