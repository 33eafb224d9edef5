"""The page of an operation and its history, the list of operations, and a device's tab."""

import pytest
from django.urls import reverse

from devices.models import Device
from systemupdates.models import DeviceUpdate
from tests.certificates import building


@pytest.fixture(autouse=True)
def signed_in(client, bob):
    client.force_login(bob)


def page_of(operation):
    return reverse("certificates:operation", args=[operation.pk])


@pytest.mark.parametrize("state", ["preparing", "replicating", "assigned", "armed", "overlap"])
def test_history_tells_every_change_and_who(client, make_operation, state):
    operation = make_operation(state)

    page = client.get(page_of(operation)).text

    for event in operation.events.all():
        assert f"<h3>{event.get_state_display()}</h3>" in page
    assert "By Alice Berg." in page
    for event in operation.update.events.all():
        assert f"System update: {event.get_state_display().lower()}" in page


def test_history_tells_what_the_devices_did(client, make_operation, now):
    operation = make_operation("assigned")
    rows = DeviceUpdate.objects.filter(device__name="auth1")
    rows.move(to="failed", by=None, at=now, reason="The disk is full.")

    page = client.get(page_of(operation)).text

    assert "The disk is full." in page
    assert "the device<" in page


def test_history_keeps_itself_current(client, make_operation, now):
    operation = make_operation("replicating")
    htmx = {"HX-Request": "true"}
    first = client.get(page_of(operation), headers=htmx).text
    seen = first.split("seen=")[1][:16]

    assert client.get(page_of(operation), {"seen": seen}, headers=htmx).status_code == 204
    building.assign(operation, now)
    assert client.get(page_of(operation), {"seen": seen}, headers=htmx).status_code == 200


def test_device_events_come_in_pages(client, make_operation, zone, now):
    for number in range(40):
        building.make_device(zone, f"ws-{number}", now, kind="workstation")
    operation = make_operation("assigned")

    first = client.get(page_of(operation)).text
    second = first.split("?after=")[1].split("#")[0]

    assert first.count('data-label="Update Status"') == 30
    answer = client.get(f"{page_of(operation)}?after={second}").text
    assert answer.count('data-label="Update Status"') == 13


def test_queries_do_not_grow_with_devices(
    client, make_operation, zone, now, django_assert_max_num_queries
):
    operation = make_operation("assigned")
    with django_assert_max_num_queries(60) as few:
        client.get(page_of(operation))
    for number in range(20):
        building.make_device(zone, f"ws-{number}", now, kind="workstation")
    operation.update.device_updates.all().delete()
    DeviceUpdate.objects.bulk_create(
        DeviceUpdate(update=operation.update, device=device, changed_at=now)
        for device in Device.objects.all()
    )

    with django_assert_max_num_queries(len(few)):
        client.get(page_of(operation))


def test_operations_are_listed(client, make_operation, django_assert_max_num_queries):
    operation = make_operation("overlap")

    page = client.get(reverse("certificates:operations"))

    assert page_of(operation) in page.text
    assert "Overlap" in page.text


def test_device_tab_shows_whom_it_trusts(client, make_operation):
    operation = make_operation("overlap")
    Device.objects.filter(name="auth1").update(
        trusted_fingerprints=[operation.old_ca.sha256, "ab" * 32]
    )
    auth1 = Device.objects.get(name="auth1")

    page = client.get(reverse("certificates:device", args=[auth1.pk])).text

    assert "old CA, still trusted" in page
    assert "not a CA of this zone" in page
    assert "Does not trust" in page  # the new one
    assert "CN=auth1.demo.zone" in page


def test_device_tab_of_a_workstation_says_that_it_has_no_certificate(client, ca, zone, now):
    device = building.make_device(zone, "ws-1", now, kind="workstation")

    page = client.get(reverse("certificates:device", args=[device.pk])).text

    assert "This device has no certificate of its own" in page
    assert "This device has not reported what it trusts" in page
