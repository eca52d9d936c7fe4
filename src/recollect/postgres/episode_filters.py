from collections.abc import Sequence

from .. import _json
from ..stores import Filters


def filtered(statement: str, filters: Filters, *, first: int) -> tuple[str, Sequence[object]]:
    """Return a statement with a filter in the place for it, and the values from parameter `$first` on."""
    condition, values = _condition(filters, first=first)
    return statement.replace("{filters}", condition), values


def _condition(filters: Filters, *, first: int) -> tuple[str, Sequence[object]]:
    """Return a filter as SQL that continues a condition, with parameters from `$first` on."""
    parts: list[str] = []
    values: list[object] = []

    def parameter(value: object) -> str:
        values.append(value)
        return f"${first + len(values) - 1}"

    for column, value in (
        ("session_id =", filters.session_id),
        ("agent_id =", filters.agent_id),
        ("occurred_at >=", filters.start),
        ("occurred_at <", filters.end),
    ):
        if value is not None:
            parts.append(f" and {column} {parameter(value)}")
    for path, expected in filters.where.items():
        found = " -> ".join(["metadata", *(f"{parameter(name)}::text" for name in path)])
        parts.append(f" and ({found})::jsonb = {parameter(_json.dumps(expected))}::text::jsonb")
    return "".join(parts), values
