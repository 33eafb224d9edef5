"""Dates, spans, numbers, fingerprints, icons and bars as pages write them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import TemplateSyntaxError
from django.utils import timezone

from systemupdates.models.device_update import State
from zcc.templatetags import bars, icons, numbers, times, words

NOW = datetime(2026, 11, 23, 13, 32, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=3, seconds=40), "3 min 40 s"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=1, seconds=3), "1 day"),
        (timedelta(days=10, hours=11, minutes=59), "10 days 11 h"),
    ],
)
def test_span_has_two_units_at_most(duration, text):
    assert times.span(duration) == text


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(days=111, hours=5), "111 days left"),
        (timedelta(days=1), "1 day left"),
        (timedelta(hours=5, minutes=9), "5 h left"),
        (timedelta(), "expired"),
    ],
)
def test_days_left(left, text):
    assert times.days_left_text(NOW + left, now=NOW) == text


def test_planned_instant_has_weekday_and_zone():
    at = datetime(2026, 12, 4, 1, 0, tzinfo=UTC)

    with timezone.override("Europe/Berlin"):
        assert times.planned_text(at) == "Fri 4 Dec 2026, 02:00 CET"


@pytest.mark.parametrize(
    ("passed", "text"), [(timedelta(seconds=-2), "0 s ago"), (timedelta(minutes=9), "9 min ago")]
)
def test_ago_is_never_in_the_future(passed, text):
    assert times.ago_text(passed) == text


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("until 2026-11-23 13:32 UTC.", "until 23 Nov 2026, 14:32 CET."),
        ("from 2026-07-01 23:30 UTC to", "from 2 Jul 2026, 01:30 CEST to"),
        ("2026-13-99 13:32 UTC", "2026-13-99 13:32 UTC"),
        ("9999-12-31 23:59 UTC", "9999-12-31 23:59 UTC"),
        ("2026-11-23", "2026-11-23"),
        ("Remint CA 2026-11-23 13:32 UTC", "Remint CA 2026-11-23 13:32 UTC"),
    ],
)
def test_text_that_was_kept_is_shown_in_the_local_time(kept, shown):
    with timezone.override("Europe/Copenhagen"):
        assert times.local_times(kept) == shown


def test_instant_is_kept_in_utc_whatever_zone_pages_use():
    with timezone.override("Asia/Tokyo"):
        assert times.stored_text(timezone.localtime(NOW)) == "2026-11-23 13:32 UTC"


def test_ago_is_a_date_after_a_day():
    written = times.ago({"now": NOW}, NOW - timedelta(days=1))

    assert ">22 Nov 2026<" in written
    assert times.ago({"now": NOW}, None) == "Never"


@pytest.mark.parametrize(
    ("offset", "text"),
    [(5, "Right"), (-5, "Right"), (6, "6 s fast"), (-541 * 60, "9 h 1 min slow")],
)
def test_clock_is_right_up_to_five_seconds(offset, text):
    assert times.off_by(timedelta(seconds=offset)) == text


@pytest.mark.parametrize(("part", "text"), [(0, "0 %"), (999, "99 %"), (1000, "100 %")])
def test_percent_is_rounded_down(part, text):
    assert numbers.percent(part, 1000) == text
    assert numbers.percent(0, 0) == "0 %"


@pytest.mark.parametrize(
    ("octets", "text"), [(999, "999 bytes"), (14_321, "14 kB"), (1_900_000, "1.9 MB")]
)
def test_size(octets, text):
    assert numbers.size(octets) == text


@pytest.mark.parametrize("given", ["f230457935ab", "F2:30:45:79:35:AB"])
def test_fingerprint_is_upper_case_with_colons(given):
    assert numbers.fingerprint(given) == "F2:30:45:79:35:AB"


def test_fingerprint_is_shortened_to_its_ends():
    assert numbers.fingerprint_ends("f23045" + "00" * 27 + "7935") == "F2:30:45 … 79:35"
    assert numbers.fingerprint_ends("unreadable") == "unreadable"


@pytest.mark.parametrize("name", ["../views", "House", "no-such-icon"])
def test_icon_that_does_not_exist_is_an_error_for_the_programmer(name):
    with pytest.raises((TemplateSyntaxError, FileNotFoundError)):
        icons.icon(name)


def test_every_status_word_has_an_icon_that_exists():
    for _, name in words.WORDS.values():
        assert "<path" in icons.icon(name)


def test_every_state_of_a_device_update_is_drawn():
    assert [state for state in State.labels if state not in words.WORDS] == []


def test_stacked_bar_fills_the_width_and_shows_one_in_100_000():
    counts = {"Update Completed": 1, "Update Assigned": 100_000, "Update Ignored": 0}

    widths = bars._widths([(word, number) for word, number in counts.items() if number])

    assert widths[0] == (0, bars.SMALLEST)
    assert sum(widths[1]) == pytest.approx(100, abs=0.02)


def test_status_escapes_what_it_shows():
    assert "&lt;b&gt;" in words.status("<b>")
