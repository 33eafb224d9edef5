"""`Look at N devices at risk` leads to exactly those, in Status by Device."""

from datetime import timedelta

import pytest

from certificates.actions import forecasts
from certificates.devices_at_risk import at_risk
from certificates.standing import Standing
from devices.models import Device
from systemupdates import actions as updates
from systemupdates import status_by_device
from systemupdates.models import DeviceUpdate
from tests.certificates import building


@pytest.fixture
def operation(make_operation, zone, now):
    """One that failed, one that is silent, ten that are well."""
    for name in ("broken", "silent", *(f"ws-{number}" for number in range(10))):
        building.make_device(zone, name, now, kind="workstation")
    Device.objects.filter(name="silent").update(last_contact_at=now - timedelta(days=12))
    operation = make_operation("assigned")
    broken = DeviceUpdate.objects.filter(device__name="broken")
    broken.move(to="failed", by=None, at=now, reason="disk full")
    forecasts.make(zone, now=now)
    return operation


def url(operation, query="?only=at_risk"):
    return f"/system-updates/{operation.update_id}/devices/{query}"


def names(found):
    return {row.device.name for row in found.page.rows}


def test_both_links_lead_to_exactly_the_devices_at_risk(client, alice, operation, zone, now):
    client.force_login(alice)
    number = at_risk(Standing(zone, now=now)).number

    page = client.get("/certificates/").text
    listing = client.get(url(operation)).context["listing"]

    assert f"Look at {number} devices at risk." in page and f"View all {number}" in page
    assert page.count(f'href="{url(operation)}"') == 2
    assert names(listing) == {"broken", "silent"} and number == 2


def test_filter_is_shown_and_can_be_cleared(client, alice, operation):
    client.force_login(alice)

    page = client.get(url(operation)).text
    assert '<a class="z-chip is-on" id="only" href="?">At risk <b>2</b>' in page
    assert '<input type="hidden" name="only" value="at_risk">' in page

    both = client.get(url(operation, "?only=at_risk&status=failed")).context["listing"]
    assert names(both) == {"broken"}
    all_of_them = client.get(url(operation, "?only=nonsense")).context["listing"]
    assert len(all_of_them.page.rows) > 10


def test_file_for_a_spreadsheet_has_the_same_devices(client, alice, operation):
    client.force_login(alice)

    file = client.get(f"/system-updates/{operation.update_id}/devices/download/?only=at_risk")

    lines = b"".join(file.streaming_content).decode().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} == {"broken", "silent"}


@pytest.mark.parametrize("sort", ["name", "-contact", "changed"])
def test_long_list_has_the_same_devices_as_a_short_one(operation, now, sort):
    for few in (0, 1000):
        query = {"only": "at_risk", "sort": sort}
        found = status_by_device.listing(operation.update, query, now=now, few=few)
        assert names(found) == {"broken", "silent"}


def test_nobody_is_at_risk_in_an_operation_that_is_canceled(client, alice, operation, now):
    operation.start_cancel(by=alice, at=now)
    client.force_login(alice)

    assert names(client.get(url(operation)).context["listing"]) == set()


def test_nobody_is_at_risk_in_an_operation_that_is_rolled_back(client, alice, operation, now):
    updates.withdraw(operation.update, by=alice, now=now)
    client.force_login(alice)

    assert at_risk(Standing(operation.zone, now=now)).number == 0
    assert names(client.get(url(operation)).context["listing"]) == set()
    assert "The update failed" not in client.get("/").text


def test_device_that_is_retired_is_at_risk_no_more(operation, zone, now):
    Device.objects.filter(name="silent").update(retired_at=now)

    found = at_risk(Standing(zone, now=now))

    assert (found.number, found.unnamed) == (1, 0)


def test_more_are_late_than_are_known_by_name(client, alice, operation, zone, now, monkeypatch):
    monkeypatch.setattr(forecasts, "NAMED", 1)
    Device.objects.filter(name__startswith="ws-").update(last_contact_at=now - timedelta(days=20))
    forecasts.make(zone, now=now + timedelta(hours=2))
    client.force_login(alice)

    page = client.get("/certificates/").text

    assert "that are known by name</a>" in page
