"""
The forecast against what then happens, in a fleet of 10,000 that it knows only by its records.

The records are of four to six weeks with a public holiday in them; what comes after was never
shown. A start is Friday evening, Monday morning, the middle of the week, and not on the hour.
"""

from functools import cache

import pytest

from certificates.forecast import Standing, forecast
from tests.certificates.records import MONDAY, candidate
from tests.certificates.simulated_fleet import simulate

NUMBER = 10_000
WARM_UP = 3 * 168  # the fleet is older than its records
HOLIDAY = 44  # a Wednesday, in the fourth week of records
FRIDAY_17, MONDAY_8, TUESDAY_13, SUNDAY_3 = 53 * 24 + 17, 56 * 24 + 8, 57 * 24 + 13.5, 55 * 24 + 3
AHEAD = 14 * 24
POINTS = 2 / 100


@cache
def contacts(seed):
    """The contacts of each device, in hours."""
    lives = simulate(NUMBER, weeks=11, seed=seed, holidays={HOLIDAY})
    return [(life.kind, [at / 60 for at in life.contacts]) for life in lives]


def known(seed, now):
    """What the records say right before `now`."""
    return [
        candidate(key, [MONDAY + at for at in hours if WARM_UP <= at < now], before=MONDAY + now)
        for key, (_, hours) in enumerate(contacts(seed))
    ]


def ready_at(seed, start):
    """When each device really is ready: at its first contact from the start on."""
    return [next((at for at in hours if at >= start), float("inf")) for _, hours in contacts(seed)]


@pytest.mark.parametrize(
    ("seed", "now", "later"),
    [
        (1, FRIDAY_17, 0),
        (1, MONDAY_8, 0),
        (2, TUESDAY_13, 0),
        (2, SUNDAY_3, 13),
        (3, FRIDAY_17, 1),
        (3, MONDAY_8, 0),
    ],
)
def test_expected_is_within_two_points_of_what_happens_at_every_hour(seed, now, later):
    start = now + later
    found = forecast(known(seed, now), now=MONDAY + now, start=MONDAY + start)

    real = sorted(ready_at(seed, start))
    hours = range(int(start) + 1, int(start) + AHEAD)
    really = {hour: sum(at < hour for at in real) for hour in hours}
    off = {hour: found.at(MONDAY + hour) - really[hour] for hour in hours}

    assert max(map(abs, off.values())) <= POINTS * NUMBER


def test_those_named_are_those_that_miss_the_date():
    found = forecast(known(3, MONDAY_8), now=MONDAY + MONDAY_8, start=MONDAY + MONDAY_8)
    date = MONDAY_8 + 7 * 24

    named = {key for key, at in found.due.items() if at is None or at > MONDAY + date}
    missed = {key for key, at in enumerate(ready_at(3, MONDAY_8)) if at > date}

    assert len(named & missed) > 0.6 * len(named)  # "probably": more likely than not
    assert len(missed - named) < 0.1 * (NUMBER - len(named))


def test_whoever_is_gone_has_no_date():
    found = forecast(known(1, MONDAY_8), now=MONDAY + MONDAY_8, start=MONDAY + MONDAY_8)

    gone = [
        key
        for key, (kind, hours) in enumerate(contacts(1))
        if kind == "dead" and max(hours, default=0) < MONDAY_8 - 28 * 24
    ]
    dated = [key for key in gone if found.due[key] is not None]
    assert len(gone) > 100
    assert len(dated) <= 0.05 * len(gone)


def test_without_any_candidate_waiting_it_is_done():
    devices = [candidate(1, [MONDAY], before=MONDAY + 500, standing=Standing.READY)]

    assert forecast(devices, now=MONDAY + 500.0, start=MONDAY + 500.0).reached(1) == MONDAY + 500
