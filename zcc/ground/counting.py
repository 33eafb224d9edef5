"""
Counts of many rows, kept for a moment: no page costs as much as there are devices.

A count that comes to LARGE or more is used again for KEPT seconds by this process; a smaller one
is made anew each time, so that what somebody has just done is seen at once.
"""

import time
from collections.abc import Callable, Hashable
from typing import TypeVar

LARGE = 2_000
KEPT = 10.0  # seconds
MOST = 500  # counts that are kept at once

Counts = TypeVar("Counts")
_kept: dict[Hashable, tuple[float, object]] = {}


def kept(
    key: Hashable,
    count: Callable[[], dict[Counts, int]],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> dict[Counts, int]:
    """Return what `count` returns, or returned a moment ago for the same `key`."""
    at, found = _kept.get(key, (0.0, None))
    if isinstance(found, dict) and clock() - at < KEPT:
        return found
    counts = count()
    if sum(counts.values()) >= LARGE:
        if len(_kept) >= MOST:
            _kept.clear()
        _kept[key] = (clock(), counts)
    return counts


def forget() -> None:
    """Make every count anew."""
    _kept.clear()
