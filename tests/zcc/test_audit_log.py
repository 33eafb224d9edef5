"""The audit log: its page, what it shows of one subject, and how long it keeps it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.urls import reverse

from devices import folders, mobiles, retirement
from devices.models import Folder
from tests.people_and_devices import alice, bob, make_device, now, zone
from zcc.ground import audit
from zcc.ground.models import AuditEvent

__all__ = ["alice", "bob", "make_device", "now", "zone"]

LOG = "/audit-log/"


@pytest.fixture(autouse=True)
def signed_in(client, bob):
    client.force_login(bob)


@pytest.fixture
def oslo(zone, alice, now):
    folders.ensure(zone, "/Workstations/Oslo", by=alice, now=now)
    return Folder.objects.get(path="/Workstations/Oslo")


def shown(client, **query):
    return [event.what for event, _ in client.get(LOG, query).context["log"].rows]


def test_empty_log_says_how_it_fills(client, zone):
    assert "Nothing has been recorded yet" in client.get(LOG).text


def test_event_says_who_what_from_and_to(client, oslo, make_device, alice, now):
    folders.move([make_device("ws1")], oslo, by=alice, now=now)

    text = client.get(LOG, {"kind": "device"}).text

    for cell in ("Moved", "ws1", "/Workstations", "/Workstations/Oslo", "Alice"):
        assert f">{cell}<" in text


def test_what_was_done_to_many_at_once_is_one_line_that_names_the_first(
    client, oslo, make_device, alice, now
):
    devices = [make_device(f"ws{number:02}") for number in range(1, 13)]
    folders.move(devices, oslo, by=alice, now=now)

    page = client.get(LOG)

    assert shown(client) == ["Devices put into the folder", "Folder created"]
    names = ", ".join(f"ws{number:02}" for number in range(1, 9))
    assert page.context["log"].rows[0][0].note == f"{names} and 4 more"
    assert shown(client, kind="device") == ["Moved"] * 12
    assert shown(client, q="ws12") == ["Moved"]
    assert shown(client, by=str(alice.pk)) == ["Devices put into the folder", "Folder created"]
    history = client.get(reverse("devices:history", args=[devices[11].pk]))
    assert [event.what for event, _ in history.context["pairs"]] == ["Moved"]


def test_times_of_what_was_done_are_those_of_the_page(client, zone, alice, now):
    at = datetime(2030, 7, 1, 23, 30, tzinfo=UTC)
    mobiles.make_link(zone, "m", folder="/", lifetime=at - now, by=alice, now=now)
    client.cookies["zcc_time_zone"] = "Europe/Copenhagen"

    page = client.get(LOG).text

    assert "works once, until 2 Jul 2030, 01:30 CEST" in page
    assert "UTC" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"kind": "folder"}, ["Devices put into the folder", "Folder created"]),
        ({"kind": "device"}, ["Retired", "Moved"]),
        ({"by": "software"}, ["Retired"]),
        ({"q": "WS1"}, ["Retired", "Moved"]),
        ({"q": "ws1", "by": "software", "kind": "device"}, ["Retired"]),
        ({"q": "nobody"}, []),
        ({"kind": "x", "by": "x", "of": "x"}, ["Retired", "Devices put into the folder"]),
        ({"kind": "folder", "of": "9" * 40}, ["Devices put into the folder", "Folder created"]),
    ],
)
def test_filters_are_in_the_address(client, oslo, make_device, alice, now, query, found):
    device = make_device("ws1")
    folders.move([device], oslo, by=alice, now=now)
    retirement.retire(device, by=None, now=now)

    assert shown(client, **query)[: len(found)] == found
    assert found or "No event matches “nobody”" in client.get(LOG, query).text


def test_software_is_called_the_same_in_the_filter_and_in_the_column(client, make_device, now):
    retirement.retire(make_device("ws1"), by=None, now=now)

    page = client.get(LOG, {"by": "software"})

    assert page.context["log"].filters == ["By: the software"]
    assert ">the software</td>" in page.text


def test_history_of_a_folder_stays_after_it_is_renamed_and_deleted(client, oslo, alice, now):
    folders.rename(oslo, "Bergen", by=alice, now=now)
    folders.delete(Folder.objects.get(path="/Workstations/Bergen"), by=alice, now=now)

    page = client.get(LOG, {"kind": "folder", "of": oslo.pk})

    assert "History of /Workstations/Bergen" in page.text
    assert [event.what for event, _ in page.context["log"].rows] == [
        "Folder deleted",
        "Folder renamed",
        "Folder created",
    ]


def test_device_shows_its_own_history(client, make_device, alice, now):
    device, other = make_device("ws1"), make_device("ws2")
    for one in (device, other):
        retirement.retire(one, by=alice, now=now)

    page = client.get(reverse("devices:history", args=[device.pk]))

    assert [(event.what, event.by, event.subject) for event, _ in page.context["pairs"]] == [
        ("Retired", alice, "ws1")
    ]
    assert ">Alice<" in page.text


def test_log_is_paged_by_key_with_as_many_queries(
    client, make_device, alice, now, django_assert_max_num_queries
):
    device = make_device("ws1")
    for number in range(120):
        audit.record(f"Change {number}", device, by=alice, at=now + timedelta(seconds=number))

    with django_assert_max_num_queries(12):
        first = client.get(LOG)
    second = client.get(LOG, {"after": first.context["log"].page.next})

    assert first.context["log"].page.first.what == "Change 119"
    assert second.context["log"].page.first.what == "Change 69"


def test_no_event_without_its_change(make_device, alice, now):
    device = make_device("ws1")

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        retirement.retire(device, by=alice, now=now)
        raise ZeroDivisionError

    device.refresh_from_db()
    assert not device.is_retired
    assert not AuditEvent.objects.exists()


def test_events_are_kept_for_two_years_and_then_go(make_device, alice, now):
    device = make_device("ws1")
    for days in (731, 729):
        audit.record(f"{days} days ago", device, by=alice, at=now - timedelta(days=days))

    audit.record("Today", device, by=alice, at=now)

    left = AuditEvent.objects.order_by("at").values_list("what", flat=True)
    assert list(left) == ["729 days ago", "Today"]


def test_long_values_are_cut(make_device, alice, now):
    audit.record("Names", make_device("ws1"), by=alice, at=now, after="x" * 1000)

    event = AuditEvent.objects.get()
    assert len(event.after) == 400 and event.after.endswith(" …")
