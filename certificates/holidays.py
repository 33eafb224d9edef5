"""Days on which most devices of working people stayed away: found in the records themselves."""

from collections.abc import Sequence
from statistics import median

from certificates.rhythm import DAY, Rhythm, rhythm_of
from devices.check_ins import HOURS, CheckIns

SAMPLE = 2000  # devices are enough to see it
FEWEST = 20  # devices, for less there is no telling
USUAL = 0.3  # a day of the week on which fewer come is free anyway
EMPTY = 0.5  # of what is usual


def hours(records: Sequence[CheckIns], *, this_hour: int) -> int:
    """Return the hours of such days (UTC), bit 0 being the last hour before `this_hour`."""
    usual = [one for one in records[:: max(len(records) // (3 * SAMPLE), 1)] if _is_usual(one)]
    shares = _shares(usual[:SAMPLE], this_hour)
    found = 0
    for day, share in shares.items():
        same = [shares[other] for other in shares if (other - day) % 7 == 0]
        if len(same) >= 3 and median(same) >= USUAL and share < EMPTY * median(same):
            found |= _mask(day, this_hour)
    return found


def _is_usual(record: CheckIns) -> bool:
    return rhythm_of(record) is Rhythm.WORKING_DAYS


def _shares(records: Sequence[CheckIns], this_hour: int) -> dict[int, float]:
    """Return for each whole past day the share of devices in contact, of those there were."""
    today = this_hour // DAY
    past = [(record.known_from, record.before(this_hour)) for record in records]
    found = {}
    for day in range(today - HOURS // DAY + 1, today):
        mask = _mask(day, this_hour)
        there = [bits & mask != 0 for known_from, bits in past if known_from <= day * DAY]
        if len(there) >= FEWEST:
            found[day] = sum(there) / len(there)
    return found


def _mask(day: int, this_hour: int) -> int:
    """Return the bits of a day's hours."""
    end = this_hour - (day + 1) * DAY
    return ((1 << DAY) - 1) << end
