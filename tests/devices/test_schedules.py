"""Refresh schedules by zone, folder and device, with `Override`."""

from datetime import timedelta

import pytest
from django.urls import reverse

from devices import folders, schedules
from devices.models import Device, Folder, Zone

OSLO = "/Workstations/Oslo"
HOUR = timedelta(hours=1)
STEMS = ["zone_schedule", "folder_schedule", "device_schedule"]
VALID = {"override": "on", "number": "2", "unit": "hours"}


@pytest.fixture
def oslo(zone, now):
    folders.ensure(zone, f"{OSLO}/Lab", by=None, now=now)
    return Folder.objects.get(path=OSLO)


@pytest.fixture
def device(oslo, make_device):
    return make_device("a", folder=f"{OSLO}/Lab")


@pytest.fixture
def address(oslo, device):
    args = {"zone_schedule": [], "folder_schedule": [oslo.pk], "device_schedule": [device.pk]}
    return lambda stem: reverse(f"devices:{stem}", args=args[stem])


def interval_of(device):
    return Device.objects.get(pk=device.pk).effective_refresh_interval()


def test_nearest_schedule_holds(zone, oslo, device):
    found = [interval_of(device)]
    Folder.objects.filter(path="/Workstations").update(refresh_interval=5 * HOUR)
    found.append(interval_of(device))
    Folder.objects.filter(pk=oslo.pk).update(refresh_interval=3 * HOUR)
    found.append(interval_of(device))
    Device.objects.update(refresh_interval=HOUR)
    found.append(interval_of(device))

    assert found == [12 * HOUR, 5 * HOUR, 3 * HOUR, HOUR]


@pytest.mark.parametrize("stem", STEMS)
def test_schedule_is_saved_and_followed(client, alice, address, device, stem):
    client.force_login(alice)

    response = client.post(address(stem), VALID, follow=True)

    assert "is saved." in response.text
    assert interval_of(device) == 2 * HOUR


@pytest.mark.parametrize("stem", STEMS[1:])
def test_without_override_it_is_inherited_again(client, alice, address, device, oslo, stem):
    Folder.objects.filter(pk=oslo.pk).update(refresh_interval=3 * HOUR)
    Device.objects.update(refresh_interval=HOUR if stem == "device_schedule" else None)
    client.force_login(alice)

    client.post(address(stem), {})

    assert interval_of(device) == (3 * HOUR if stem == "device_schedule" else 12 * HOUR)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize(
    "changed",
    [
        {"number": ""},
        {"number": "x"},
        {"number": "0"},
        {"number": "9", "unit": "seconds"},
        {"number": "31", "unit": "days"},
        {"number": "9" * 30},
        {"unit": "weeks"},
    ],
)
def test_what_does_not_fit_is_said(client, alice, address, device, stem, changed):
    client.force_login(alice)

    response = client.post(address(stem), VALID | changed)

    assert response.status_code == 422
    assert "Choose 10 seconds to 30 days." in response.text or "weeks" in response.text
    assert interval_of(device) == 12 * HOUR


@pytest.mark.parametrize("stem", STEMS)
def test_who_may_only_look_cannot(client, bob, address, device, stem):
    client.force_login(bob)

    assert client.post(address(stem), VALID).status_code == 403
    assert interval_of(device) == 12 * HOUR


@pytest.mark.parametrize("stem", STEMS)
def test_dialog_shows_what_holds(client, alice, address, stem):
    client.force_login(alice)

    text = client.get(address(stem)).text

    assert 'value="12"' in text
    assert 'value="hours" selected' in text
    assert ('name="override"' in text) == (stem != "zone_schedule")


def test_primary_server_has_no_schedule(client, alice, make_device):
    server = make_device("ps1", kind="primary")
    client.force_login(alice)

    response = client.post(reverse("devices:device_schedule", args=[server.pk]), VALID)

    assert "A Primary Server needs no refresh" in response.text
    assert Device.objects.get(pk=server.pk).refresh_interval is None


def test_device_learns_of_its_schedule_at_once(client, alice, address, device):
    client.force_login(alice)

    client.post(address("device_schedule"), VALID)

    assert Device.objects.asked_to_refresh().get() == device


@pytest.mark.parametrize("stem", STEMS[:2])
def test_devices_are_told_on_request_unless_they_have_their_own(
    client, alice, address, device, make_device, stem
):
    make_device("own", folder=OSLO, refresh_interval=HOUR)
    client.force_login(alice)

    client.post(address(stem), VALID)
    untold = Device.objects.asked_to_refresh().count()
    client.post(address(stem), {**VALID, "tell": "on"})

    assert untold == 0
    assert Device.objects.asked_to_refresh().get() == device


def test_settings_say_which_holds_and_from_where(client, bob, device, oslo):
    url = reverse("devices:settings", args=[device.pk])
    client.force_login(bob)
    said = [client.get(url).text]
    Folder.objects.filter(pk=oslo.pk).update(refresh_interval=3 * HOUR)
    said.append(client.get(url).text)
    Device.objects.update(refresh_interval=HOUR)
    said.append(client.get(url).text)

    assert "Every 12 h, from the zone." in said[0]
    assert f"Every 3 h, from {OSLO}." in said[1]
    assert "Every 1 h, by a schedule of its own" in said[2]
    assert f"Without it: every 3 h, from {OSLO}." in said[2]


def test_longest_schedule_is_one_that_some_device_goes_by(zone, oslo, make_device):
    Folder.objects.filter(pk=oslo.pk).update(refresh_interval=48 * HOUR)
    nobody = schedules.longest(zone)
    make_device("b", folder=OSLO)
    somebody = schedules.longest(zone)
    make_device("c", refresh_interval=72 * HOUR)

    assert [nobody, somebody, schedules.longest(zone)] == [12 * HOUR, 48 * HOUR, 72 * HOUR]


def test_zone_keeps_its_schedule_when_a_folder_overrides_it(client, alice, address, zone):
    client.force_login(alice)

    client.post(address("folder_schedule"), VALID)

    assert Zone.objects.get().refresh_interval == 12 * HOUR
