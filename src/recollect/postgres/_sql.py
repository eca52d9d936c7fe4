"""Statements live in .sql files, one block each, named by a comment."""

import re
from collections.abc import Mapping
from importlib.resources import files

EPISODE = (
    "seq, id, session_id, agent_id, input, output, occurred_at, recorded_at,"
    " metadata::text as metadata, transcript::text as transcript, embedding_state"
)
"""The columns that a read returns."""

ASSERTION = (
    "a.id, a.tx, a.seq, a.recorded_at, a.op, a.branch, a.subject, a.predicate, a.slot,"
    " a.object::text as object, a.claimed_from, a.claimed_to, a.onset, a.ref, a.confidence, a.sources,"
    " a.session_id, a.actor, a.reason, a.replaces"
)
PIECE = (
    "f.valid_from, f.valid_to, f.tx_from, f.tx_to, f.recorded_at as opened_at,"
    " f.superseded_at, f.superseded_by"
)
FACT = (
    "assertion_tx, assertion_seq, valid_from, valid_to, tx_from, tx_to, recorded_at, superseded_at,"
    " superseded_by, branch, subject, predicate, slot, session_id, object_digest, void"
)
"""All columns but the tenant, in the order of `fact_writes.piece_rows`."""

_ARRAYS = re.compile(r"unnest\(([^()]*)\)")
_AMONG = re.compile(r"= any\((\$\d+::\w+)\[\]\)")
_OF_TENANT = re.compile(r"\b((?:\w+\.)?tenant) = \$1\b")
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def quoted(identifier: str) -> str:
    """Quote an SQL identifier. The only place that does."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a string, whatever the server takes a backslash for."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def statements(name: str, *, schema: str, vector: str, binary: bool = False) -> Mapping[str, str]:
    """Return the blocks of `sql/<name>.sql` by name, for these schemas; what a reader fills in stays.

    Args:
        binary: whether vectors are parameters of their own type, rather than text.
    """
    text = (files("recollect.postgres") / "sql" / f"{name}.sql").read_text()
    _, *parts = _NAME.split(text)
    return {
        block: rendered(sql.strip(), schema=schema, vector=vector, binary=binary)
        for block, sql in zip(parts[::2], parts[1::2], strict=True)
    }


def rendered(sql: str, *, schema: str, vector: str, binary: bool = False) -> str:
    names = {
        "{schema}": quoted(schema),
        "{vector}": quoted(vector),
        "{given_vector}": f"{quoted(vector)}.vector" if binary else "text",
        "{episode}": EPISODE,
        "{assertion}": ASSERTION,
        "{piece}": PIECE,
        "{fact}": FACT,
    }
    for placeholder, name in names.items():
        sql = sql.replace(placeholder, name)
    return _OF_TENANT.sub(_few, sql)


def _few(tenant: re.Match[str]) -> str:
    """Say twice that rows are of one tenant, so that a server takes them for few.

    A plan that serves all tenants is made for one of mean size. Beside a large one that is much, and a small
    one would have all of a table read for its own few rows. What the second half adds is taken for selective,
    whoever it is about; to look rows up by tenant is then the best plan, as it is for any of them.
    """
    return f"{tenant[0]} and {tenant[1]} between $1 and $1"


def for_one(sql: str) -> str:
    """Return a statement over arrays of rows as one over a single row, whose parameters are no arrays.

    It does the same, and costs less: a driver looks at each array, and a server at each `unnest`. Where an
    array would be empty, all that is known of the row is null.
    """
    single = _ARRAYS.sub(lambda arrays: f"(select {arrays[1].replace('[]', '')})", sql)
    return _AMONG.sub(r"= \1", single)
