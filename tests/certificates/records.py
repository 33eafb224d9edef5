"""Records of contacts for tests of the forecast, made without the code that the product writes."""

from certificates.forecast import Candidate
from devices.check_ins import CheckIns

MONDAY = (4 + 7 * 2900) * 24  # 00:00 UTC of some Monday, in hours since 1970
WEEK = 168


def record(hours, *, before):
    """The record that contacts in these hours leave, as it stands right before an hour."""
    seen = sorted({int(hour) for hour in hours if hour < before})
    if not seen:
        return None
    bits = sum(1 << (seen[-1] - hour) for hour in seen if seen[-1] - hour < 8 * WEEK)
    return CheckIns(seen[0], seen[-1], bits)


def candidate(key, hours, *, before, interval=12.0, enrolled=MONDAY - 10_000.0, **more):
    """A device of which contacts in these hours are known right before an hour."""
    heard = max((hour for hour in hours if hour < before), default=MONDAY - 400.0)
    return Candidate(key, record(hours, before=before), interval, enrolled, heard, **more)
