import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from .memory import Value


class ExportedRule(Value):
    """What holds of a predicate."""

    cardinality: Literal["one", "many"]
    key: str | None
    immutable: bool


class ExportHeader(Value):
    """What comes before the records of an export."""

    version: int = Field(description="of the format; 1")
    namespace: str = Field(description="whose it was; it may be restored as anybody's")
    user_id: str | None = Field(description="whose it was; None for the anonymous tenant")
    tx: int = Field(description="the tenant's transaction counter, >= 0")
    at: datetime | None = Field(description="the instant of its newest transaction, UTC; None if it had none")
    episodes: int = Field(description="how many records of this kind there are; so are the next two")
    transactions: int
    assertions: int
    erased: int = Field(description="hashes of what was forgotten, and must not come back")
    erasure_key: str | None = Field(description="hexadecimal: what these hashes are keyed with")
    predicates: dict[str, ExportedRule] = Field(description="of those of the facts that are declared")
    model: str | None = Field(description="that made the vectors; None if they were left out")
    dimensions: int | None = Field(description="of the vectors; None if they were left out")


class Export(Value):
    """Everything that a tenant owns, at one moment, with both time axes.

    Two exports are equal if their tenants are, but for whose they are.
    """

    header: ExportHeader
    records: tuple[dict[str, Any], ...] = Field(
        description="JSON objects, each of one `kind`: what happened in the order of the tenant's clock, "
        "then working memory scope by scope"
    )

    def lines(self) -> Iterator[str]:
        """Yield it as lines of JSON, without line breaks: what `UserMemory.restore_lines` takes."""
        yield line({"kind": "header", **self.header.model_dump(mode="json")})
        for record in self.records:
            yield line(record)
        yield line({"kind": "end", "records": len(self.records)})


def line(record: dict[str, Any]) -> str:
    """Return a record as a line of JSON."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
