"""The page of an operation and its history, the list of operations, and a device's tab."""

import pytest
from django.urls import reverse

from certificates.actions import operations
from certificates.models import Operation
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


def test_history_tells_where_the_updater_tool_ran_and_what_it_did(client, make_operation, now):
    operation = make_operation("assigned")
    ps2 = operation.servers.get(device__name="ps2")
    operation.servers.filter(pk=ps2.pk).update(updater_ran_at=now)
    for said in ("It has no certificate yet.", "Added the new CA.\nIt is <in> place."):
        ps2.updater_runs.create(at=now, last_at=now, said=said)
    failed = {"at": now, "last_at": now, "problem": "It was killed.", "times": 3}
    ps2.updater_runs.create(**failed)

    page = client.get(page_of(operation)).text

    assert page.count("<h3>The Certificate Updater Tool ran on ps2</h3>") == 2
    assert "<h3>The Certificate Updater Tool failed on ps2</h3>" in page
    assert "It was killed. Tried 3 times, the first at " in page
    assert "The Certificate Updater Tool ran on ps1" not in page
    assert "<summary>What it did</summary>" in page
    assert "Added the new CA.<br>It is &lt;in&gt; place." in page
    assert "Updater Tool ran on 1 of 2" in page


def test_failed_updater_tool_is_said_with_what_to_do(client, make_operation):
    operation = make_operation("assigned")
    ps2 = operation.servers.filter(device__name="ps2")
    ps2.update(updater_problem="It was killed. Look whether ps2 ran out of memory.")

    page = client.get(page_of(operation)).text

    assert "Updater Tool failed on ps2" in page
    assert (
        "The Certificate Updater Tool could not do its part. It was killed. Look whether ps2 ran "
        "out of memory. It is tried again by itself; the activation does not wait for it." in page
    )


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ("assigned", {"postpone", "cancel_operation"}),
        ("overlap", {"roll_back", "retire_old_ca", "retire_by_itself"}),
        ("replicating", {"postpone", "cancel_operation"}),
    ],
)
def test_what_can_be_done_now_is_offered_here_too(client, alice, make_operation, state, names):
    operation = make_operation(state)
    client.force_login(alice)

    page = client.get(page_of(operation)).text

    every = {"postpone", "cancel_operation", "roll_back", "retire_old_ca", "retire_by_itself"}
    urls = {name: reverse(f"certificates:{name}", args=[operation.pk]) for name in every}
    assert {name for name, url in urls.items() if f'href="{url}"' in page} == names


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

    def assign_to_more(numbers):
        for number in numbers:
            building.make_device(zone, f"ws-{number}", now, kind="workstation")
        operation.update.device_updates.all().delete()
        DeviceUpdate.objects.bulk_create(
            DeviceUpdate(update=operation.update, device=device, changed_at=now)
            for device in Device.objects.all()
        )

    assign_to_more(range(2))
    with django_assert_max_num_queries(60) as few:
        client.get(page_of(operation))
    assign_to_more(range(2, 20))
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


@pytest.mark.parametrize(("years", "text"), [(0, "TEST-ZONE"), (1, "TEST-ZONE, 1 year")])
def test_list_says_how_long_a_ca_of_ours_is_valid(client, make_operation, years, text):
    operation = make_operation("assigned")
    Operation.objects.filter(pk=operation.pk).update(years=years, common_name="TEST-ZONE")

    assert f">{text}</span>" in client.get(reverse("certificates:operations")).text


def test_canceled_operation_shows_what_was_so_at_the_cancel(client, make_operation, alice, now):
    operation = make_operation("assigned")
    DeviceUpdate.objects.filter(device__name="ps1").move(to="pending", by=None, at=now)
    operation.servers.update(cleaned_at=now)
    operation.start_cancel(by=alice, at=now)
    operations.finish_cancel(operation, now=now)

    page = client.get(page_of(operation)).text

    assert "Devices when it was taken back" in page
    assert "1 of 3</b> trusted the new CA" in page
    assert '<td data-label="Armed"><span class="z-3">No</span>' in page and "Not yet" not in page
