"""Many numbers for a query, as one parameter: one for each cost as much as moving the rows did."""

import json
from collections.abc import Iterable

from django.db import connection
from django.db.models.expressions import RawSQL


def listed(numbers: Iterable[int]) -> RawSQL:
    """Return these numbers for the right side of `__in`."""
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::bigint[])", [list(numbers)])
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(list(numbers))])
