"""The forecast as a pure function: what a few devices did, and what is said of them."""

import pytest

from certificates.forecast import HORIZON, Standing, between, crossing, forecast
from tests.certificates.records import MONDAY, WEEK, candidate

NOW = MONDAY + 5 * WEEK  # Monday 00:00, after five weeks of records
FRIDAY_EVENING = NOW + 4 * 24 + 18


def office(key, *, until=NOW, away=()):
    """A laptop in contact at 8 on working days, but for the days it is away."""
    days = [day for day in range(6 * 7) if day % 7 < 5 and day not in away]
    return candidate(key, [MONDAY + day * 24 + 8.5 for day in days], before=until)


def server(key, *, until=NOW, ended=None):
    """In contact every eleven hours; ended: and then never again."""
    hours = range(key % 11, 6 * WEEK, 11)
    return candidate(
        key, [MONDAY + at for at in hours if ended is None or at < ended], before=until
    )


def fleet(make, number=40, **how):
    return [make(key, **how) for key in range(number)]


def hours_until(found, share, start):
    at = found.reached(share)
    return None if at is None else round(at - start)


def test_office_is_ready_on_monday_morning_not_at_the_weekend():
    found = forecast(fleet(office, until=FRIDAY_EVENING), now=FRIDAY_EVENING, start=FRIDAY_EVENING)

    assert found.at(NOW + WEEK) < 1  # Monday 00:00
    assert hours_until(found, 0.5, FRIDAY_EVENING) in (6 + 48 + 8, 6 + 48 + 9)
    assert found.at(NOW + WEEK + 9) > 39


def test_servers_are_ready_within_their_interval():
    found = forecast(fleet(server), now=NOW, start=NOW)

    assert hours_until(found, 0.5, NOW) in (5, 6)
    assert hours_until(found, 0.9, NOW) in (9, 10, 11)


def test_dead_device_has_no_date_and_keeps_the_whole_from_one():
    devices = [*fleet(server), *(server(key, ended=WEEK) for key in range(40, 50))]

    found = forecast(devices, now=NOW, start=NOW)

    assert [key for key, at in found.due.items() if at is None] == list(range(40, 50))
    assert found.reached(1) is None
    assert found.reached(0.7) is not None


def test_holiday_in_the_records_is_no_prophecy():
    holiday = 4 * 7  # the last Monday
    with_holiday = forecast(fleet(office, away={holiday}), now=NOW, start=NOW)
    without = forecast(fleet(office), now=NOW, start=NOW)

    assert with_holiday.at(NOW + 9) == pytest.approx(without.at(NOW + 9), abs=1)


def test_who_is_ready_counts_and_who_is_stuck_never_does():
    devices = [
        candidate(1, [NOW - 1], before=NOW, standing=Standing.READY),
        candidate(2, [NOW - 1], before=NOW, standing=Standing.STUCK),
    ]

    found = forecast(devices, now=NOW, start=NOW)

    assert (found.total, found.ready, found.due) == (2, 1, {2: None})
    assert found.at(NOW) == found.at(NOW + HORIZON) == 1


@pytest.mark.parametrize(
    ("silent", "due"), [(0, 6.0), (12, 6.0), (23, 6.0), (25, None), (1000, None)]
)
def test_fresh_zone_goes_by_the_schedule_and_gives_the_silent_no_date(silent, due):
    device = candidate(1, [], before=NOW, enrolled=NOW - 2000.0)
    device = type(device)(1, None, 12.0, NOW - 2000.0, NOW - silent)

    found = forecast([device], now=NOW, start=NOW + 1)

    assert found.by_schedule == 1
    assert found.due == {1: None if due is None else NOW + 1 + due}
    assert found.at(NOW + 1 + 3) == (0.25 if due else 0)


def test_device_that_calls_every_ten_seconds_is_ready_in_ten_seconds():
    interval = 10 / 3600
    device = candidate(99, [NOW - 2, NOW - interval], before=NOW, interval=interval)

    found = forecast([device, *fleet(server)], now=NOW, start=NOW + 0.5)

    assert found.due[99] == NOW + 0.5 + interval / 2


def test_newcomer_is_judged_by_the_others():
    newcomer = candidate(99, [NOW - 2], before=NOW, enrolled=NOW - 2.0)

    found = forecast([newcomer, *fleet(server)], now=NOW, start=NOW)

    assert NOW < found.due[99] < NOW + 12


def test_start_in_the_middle_of_an_hour_loses_nobody():
    found = forecast(fleet(server), now=NOW + 0.4, start=NOW + 0.4)

    assert found.at(NOW + 0.4) == 0
    assert found.at(NOW + 12) > 38


def test_empty_zone_has_a_flat_curve():
    found = forecast([], now=NOW, start=NOW)

    assert (found.total, found.at(NOW + 5), found.due) == (0, 0, {})


LINE = [(0.0, 0.0), (2.0, 10.0), (4.0, 10.0), (6.0, 20.0)]


@pytest.mark.parametrize(("at", "height"), [(-1, 0), (0, 0), (1, 5), (3, 10), (5, 15), (9, 20)])
def test_line_is_straight_between_its_points(at, height):
    assert between(LINE, at) == height


@pytest.mark.parametrize(("height", "at"), [(0, 0), (5, 1), (10, 2), (15, 5), (21, None)])
def test_line_is_crossed_where_it_first_comes_that_high(height, at):
    assert crossing(LINE, height) == at
