"""From a date and a time of day to one instant, also on the two odd nights of a year."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from certificates import activation

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
SPRING, AUTUMN = date(2030, 3, 31), date(2030, 10, 27)


@pytest.mark.parametrize(
    ("on", "at", "utc"),
    [
        (date(2026, 12, 4), time(2), datetime(2026, 12, 4, 1, tzinfo=UTC)),
        (SPRING, time(1, 59), datetime(2030, 3, 31, 0, 59, tzinfo=UTC)),
        (SPRING, time(3), datetime(2030, 3, 31, 1, tzinfo=UTC)),
        (AUTUMN, time(2, 30), datetime(2030, 10, 27, 0, 30, tzinfo=UTC)),
        (AUTUMN, time(3), datetime(2030, 10, 27, 2, tzinfo=UTC)),
    ],
)
def test_instant_is_what_the_clocks_show(on, at, utc):
    assert activation.instant(on, at, zone=COPENHAGEN) == utc


def test_time_that_is_skipped_is_refused_with_the_next_one():
    with pytest.raises(activation.NoSuchTime, match=r"skip 02:30\. Choose 03:30 CEST"):
        activation.instant(SPRING, time(2, 30), zone=COPENHAGEN)


def test_first_and_last_day_there_are_do_not_end_in_an_error():
    with pytest.raises(OverflowError):
        activation.instant(date.max, time(23), zone=ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    ("utc", "said"),
    [
        (datetime(2026, 12, 4, 1, tzinfo=UTC), "Friday 4 December 2026, 02:00 CET"),
        (
            datetime(2030, 10, 27, 0, 30, tzinfo=UTC),
            "Sunday 27 October 2030, 02:30 CEST (UTC+02:00), the first of the two that night",
        ),
    ],
)
def test_spelled_out(utc, said):
    assert activation.spelled_out(utc, zone=COPENHAGEN) == said


@pytest.mark.parametrize(
    ("before", "after"), [("10:00:00", "10:00"), ("10:00:01", "10:15"), ("23:46:00", "00:00")]
)
def test_recommendation_is_a_full_quarter(before, after):
    at = datetime.fromisoformat(f"2026-12-04T{before}+00:00")

    assert f"{activation.round_up(at):%H:%M}" == after


def test_recommendation_is_the_sum_of_what_must_happen_before(zone, servers, now):
    servers[2].refresh_interval = timedelta(hours=20)
    servers[2].save()

    found = activation.recommendation(zone, now=now)

    assert found.total == timedelta(hours=1 + 20) + settings.ZCC_CANCEL_CUTOFF
    assert found.since >= now + found.total


def test_little_time_to_mend_is_said(ca):
    last_week = ca.expires_at - timedelta(days=7)

    said = activation.consequence(last_week, ca, now=last_week - timedelta(days=2))

    assert said == (
        "in 2 days. Only 7 days remain then before the active CA expires: "
        "little time to mend things."
    )
