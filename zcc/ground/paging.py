"""
Paging by key: a page is "the next 50 after this row", so that it costs the same at row 100,000.

The cursor is in the URL as `after=VALUE~PK` or `before=VALUE~PK`, VALUE being that of the column
the list is sorted by. A cursor that makes no sense shows the first page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

SIZE = 50


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the cursors of its neighbours (None: there is none)."""

    rows: list[Any]
    previous: str | None
    next: str | None

    @property
    def first(self) -> Any:
        return self.rows[0] if self.rows else None

    @property
    def last(self) -> Any:
        return self.rows[-1] if self.rows else None


def cut(
    rows: "QuerySet[Any, Any]",
    query: Mapping[str, str],
    *,
    key: str,
    descending: bool = False,
    size: int = SIZE,
    tie: str = "pk",
) -> Page:
    """
    Return the page that `query` asks for, sorted by the column `key` and then by `tie`.

    The column must have no nulls; `key` may follow relations ("device__name"). `tie` is a number
    that no two rows share: the primary key, or that of the one row of the relation.
    """
    backwards = "before" in query and "after" not in query
    cursor = query.get("before" if backwards else "after", "")
    towards_less = descending != backwards
    found = _after(rows, cursor, key, tie, towards_less) if cursor else None
    if found is None:
        backwards, towards_less, cursor = False, descending, ""
        found = rows
    sign = "-" if towards_less else ""
    taken = list(found.order_by(f"{sign}{key}", f"{sign}{tie}")[: size + 1])
    more, taken = len(taken) > size, taken[:size]
    if backwards:
        taken.reverse()
    has_previous = more if backwards else bool(cursor)
    has_next = bool(cursor) if backwards else more
    return Page(
        taken,
        previous=_cursor(taken[0], key, tie) if taken and has_previous else None,
        next=_cursor(taken[-1], key, tie) if taken and has_next else None,
    )


def _after(
    rows: "QuerySet[Any, Any]", cursor: str, key: str, tie: str, towards_less: bool
) -> "QuerySet[Any, Any] | None":
    """Return the rows beyond the cursor, or None if it makes no sense."""
    value, _, pk = cursor.rpartition("~")
    beyond = "lt" if towards_less else "gt"
    try:
        return rows.filter(
            Q(**{f"{key}__{beyond}": value}) | Q(**{key: value, f"{tie}__{beyond}": int(pk)})
        )
    except (ValueError, ValidationError):
        return None


def _cursor(row: Any, key: str, tie: str) -> str:
    value, number = (reduce(getattr, name.split("__"), row) for name in (key, tie))
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"{text}~{number}"
