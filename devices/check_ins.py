"""
When a device was in contact, hour by hour, over the last eight weeks: 176 bytes.

    4 bytes   the hour in which the record begins
    4 bytes   the hour of the last contact
    168 bytes one bit an hour, counted back from there: bit 0 is the hour of the last contact

Hours are whole ones since 1970, UTC. Because the bits move with the last contact, a device that
fell silent months ago still shows the rhythm that it had. Pure functions: no Django, no clock.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime

WEEK = 168  # hours
WEEKS = 8
HOURS = WEEKS * WEEK
_HEAD = struct.Struct(">II")
_BITS = HOURS // 8
_ALL = (1 << HOURS) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CheckIns:
    """The record of one device, read."""

    first: int
    last: int
    bits: int

    def before(self, hour: int) -> int:
        """Return the contacts in the hours before `hour`: bit 0 is the hour right before it."""
        back = hour - 1 - self.last
        return self.bits << back if back >= 0 else self.bits >> -back

    @property
    def known_from(self) -> int:
        """The first hour of which it is known whether there was a contact."""
        return max(self.first, self.last - HOURS + 1)


def hour_of(at: datetime) -> int:
    """Return the number of the hour in which `at` lies."""
    return int((at - _EPOCH).total_seconds() // 3600)


def read(record: bytes | memoryview) -> CheckIns | None:
    """Return what the record says, None if there is none yet."""
    if len(record) != _HEAD.size + _BITS:
        return None
    first, last = _HEAD.unpack_from(record)
    return CheckIns(first, last, int.from_bytes(record[_HEAD.size :], "big"))


def added(record: bytes | memoryview, at: datetime) -> bytes | None:
    """Return the record with a contact at `at`; None if it says so already."""
    hour, known = hour_of(at), read(record)
    if known is None:
        return _written(hour, hour, 1)
    later = hour - known.last
    if later <= 0:  # also when the clock was put back
        return None
    moved = (known.bits << later) & _ALL if later < HOURS else 0
    return _written(known.first, hour, moved | 1)


def _written(first: int, last: int, bits: int) -> bytes:
    return _HEAD.pack(first, last) + bits.to_bytes(_BITS, "big")
