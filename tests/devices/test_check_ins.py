"""The record of contacts: an hour a bit, moved along with the last contact."""

from datetime import UTC, datetime, timedelta

import pytest

from devices import actions, check_ins, contacts
from devices.models import Device

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
HOUR = check_ins.hour_of(MONDAY)


def recorded(*hours):
    """The record after contacts so many hours after Monday 00:00."""
    record = b""
    for hour in hours:
        record = check_ins.added(record, MONDAY + timedelta(hours=hour)) or record
    return record


@pytest.mark.parametrize(
    ("hours", "seen"),
    [
        ((0,), {0}),
        ((0, 0.5, 0.9), {0}),
        ((0, 1, 5), {0, 1, 5}),
        ((0, 5, 3), {0, 5}),  # the clock was put back
        ((0, 1343), {0, 1343}),
        ((0, 1344), {1344}),
        ((0, 1344 * 3), {1344 * 3}),
    ],
)
def test_record_holds_the_hours_of_eight_weeks(hours, seen):
    found = check_ins.read(recorded(*hours))

    bits = found.before(HOUR + 5000)
    assert {4999 - back for back in range(bits.bit_length()) if bits >> back & 1} == seen
    assert found.known_from == HOUR + max(0, max(seen) - 1343)


def test_record_has_one_size_and_a_second_contact_in_the_hour_changes_nothing():
    record = recorded(0, 700)

    assert len(record) == 176
    assert check_ins.added(record, MONDAY + timedelta(hours=700, minutes=59)) is None


def test_hours_before_an_hour_leave_out_what_came_later():
    found = check_ins.read(recorded(0, 3, 4))

    assert found.before(HOUR + 4) == 0b1001
    assert found.before(HOUR + 6) == 0b100110


@pytest.mark.parametrize("record", [b"", b"too short", bytes(177)])
def test_what_is_no_record_is_none(record):
    assert check_ins.read(record) is None


def test_refresh_writes_the_hour_with_the_contact(make_device, now, django_assert_num_queries):
    device = make_device("ws-1", last_contact_at=None)

    with django_assert_num_queries(1):
        contacts.record_contact(device, {}, now=now)

    stored = check_ins.read(Device.objects.get(name="ws-1").check_ins)
    assert (stored.last, stored.bits) == (check_ins.hour_of(now), 1)


def test_primary_server_is_recorded_with_its_heartbeat(make_device, now):
    server = make_device("ps1", kind="primary", last_contact_at=None)

    actions.beat(server, tick_at=now, skew=timedelta(), trusted=[], now=now)

    assert check_ins.read(Device.objects.get().check_ins).last == check_ins.hour_of(now)
