"""Reading JSON that came over the wire from a device: whatever it holds, the type is right."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

MAX_ENTRIES = 64
# Where in a request's `state` the listener puts the client's certificate, in DER.
CLIENT_CERTIFICATE = "client_certificate"


def entries(fields: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the objects in the list `key`, at most 64; nothing if there is no list."""
    value = fields.get(key)
    found = value if isinstance(value, list) else []
    return [entry for entry in found[:MAX_ENTRIES] if isinstance(entry, dict)]


def text(fields: Mapping[str, Any], key: str) -> str:
    """Return the string `key`, empty if it is none."""
    value = fields.get(key)
    return storable(value) if isinstance(value, str) else ""


def storable(value: str) -> str:
    """Return the string with a `?` for what no database takes: NUL and halves of characters."""
    return value.replace("\0", "?").encode(errors="replace").decode()


def guid(fields: Mapping[str, Any], key: str) -> UUID | None:
    """Return the GUID `key`, None if it is none."""
    try:
        return UUID(text(fields, key))
    except ValueError:
        return None


def whole_number(fields: Mapping[str, Any], key: str) -> int | None:
    """Return the non-negative integer `key` (below 2**62), None if it is none."""
    value = fields.get(key)
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62
    return value if is_one else None


def instant(fields: Mapping[str, Any], key: str) -> datetime | None:
    """Return the ISO 8601 instant `key` in UTC, None if it is none."""
    try:
        found = datetime.fromisoformat(text(fields, key))
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):  # 1 January of year 1, east of Greenwich
        return None
