"""On which days of the week a device is in contact, and for how long it has been silent."""

from enum import IntEnum
from functools import cache

from devices.check_ins import HOURS, WEEK, CheckIns

DAY = 24
_DAYS = sum(1 << at for at in range(0, HOURS, DAY))
_WEEKS = sum(1 << at for at in range(0, HOURS, WEEK))
# Hour 0 was a Thursday's first, UTC.
_SATURDAY = 2 * DAY
# Of all days of contact: less is somebody at work, two of seven is a device that knows no weekend.
AT_WEEKENDS = 0.12


class Rhythm(IntEnum):
    """How a device comes; `words` say it."""

    EVERY_DAY = 0
    WORKING_DAYS = 1
    SOME_DAYS = 2
    RARELY = 3
    UNKNOWN = 4

    @property
    def words(self) -> str:
        return "" if self is Rhythm.UNKNOWN else self.name.lower().replace("_", " ")


def rhythm_of(record: CheckIns) -> Rhythm:
    """Return the rhythm of a device, as it was until its last contact."""
    days = _folded(record.bits)
    number = days.bit_count()
    if number == 0:
        return Rhythm.UNKNOWN
    share = number / _weeks_with(days)
    if share >= 6:
        return Rhythm.EVERY_DAY
    if share < 1.75:
        return Rhythm.RARELY
    weekends = _folded(record.bits & _weekends(record.last % WEEK)).bit_count()
    return Rhythm.SOME_DAYS if weekends >= AT_WEEKENDS * number else Rhythm.WORKING_DAYS


def _folded(bits: int) -> int:
    """Return one bit for each 24 hours back from the last contact: whether there was any."""
    bits |= bits >> 1
    bits |= bits >> 2
    bits |= bits >> 4
    bits |= bits >> 8
    bits |= bits >> 8
    return bits & _DAYS


def _weeks_with(days: int) -> int:
    """Return in how many weeks, counted back, there is any of these days."""
    weeks = days | days >> DAY
    weeks |= weeks >> 2 * DAY
    weeks |= weeks >> 3 * DAY
    return (weeks & _WEEKS).bit_count()


@cache
def _weekends(last: int) -> int:
    """Return the hours of all weekends, bit 0 being the hour `last` of its week."""
    return sum(1 << back for back in range(HOURS) if (last - back) % WEEK - _SATURDAY in range(48))


def silence(past: int, holidays: int, known: int) -> int:
    """
    Return for how many hours there has been no contact, holidays not counted.

    Bit 0 of both is the last hour. Without any contact it is as long as anything is `known`.
    """
    hours = (past & -past).bit_length() - 1 if past else max(known, 0)
    return hours - (holidays & ((1 << hours) - 1)).bit_count() if holidays else hours
