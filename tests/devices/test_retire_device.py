"""The buttons `Retire` and `Bring back` of a device."""

from datetime import timedelta

import pytest
from django.urls import reverse

from devices.models import Device, Heartbeat, Kind


def address(device, stem="retire_device"):
    return reverse(f"devices:{stem}", args=[device.pk])


def test_retired_device_leaves_every_count(client, alice, make_device):
    device = make_device("ws1")
    client.force_login(alice)

    assert client.post(address(device)).status_code == 303

    assert not Device.objects.active().exists()
    page = client.get(reverse("devices:summary", args=[device.pk])).text
    assert "Bring back" in page
    assert "Refresh Device" not in page


def test_device_that_is_brought_back_counts_again(client, alice, make_device, now):
    device = make_device("ws1", retired_at=now)
    client.force_login(alice)

    client.post(address(device, "bring_back_device"))

    assert Device.objects.active().get() == device


@pytest.mark.parametrize("stem", ["retire_device", "bring_back_device"])
def test_second_click_is_told(client, alice, make_device, now, stem):
    device = make_device("ws1", retired_at=None if stem == "bring_back_device" else now)
    client.force_login(alice)

    response = client.post(address(device, stem))

    assert response.status_code == 422
    assert "ws1 is retired already." in response.text or "ws1 is not retired." in response.text


def test_primary_server_cannot_be_retired_here(client, alice, make_device):
    device = make_device("ps1", kind=Kind.PRIMARY_SERVER)
    client.force_login(alice)

    assert "ps1 is a Primary Server" in client.post(address(device)).text
    assert Device.objects.active().get() == device


def test_satellite_whose_name_was_given_away_stays_retired(client, alice, make_device, now):
    names = {"is_authentication_satellite": True, "dns_name": "auth.test.zone"}
    device = make_device("auth1", retired_at=now, addresses=["10.0.0.1"], **names)
    make_device("auth2", addresses=["10.0.0.2"], **names)
    client.force_login(alice)

    response = client.post(address(device, "bring_back_device"))

    assert response.status_code == 422
    assert "auth.test.zone belongs to auth2." in response.text
    device.refresh_from_db()
    assert device.is_retired


@pytest.mark.parametrize("stem", ["retire_device", "bring_back_device"])
def test_who_may_only_look_cannot(client, bob, make_device, stem):
    device = make_device("ws1")
    client.force_login(bob)

    assert client.post(address(device, stem)).status_code == 403
    assert Device.objects.active().get() == device


def test_dialog_says_what_happens(client, alice, make_device):
    client.force_login(alice)

    text = client.get(address(make_device("ws1"))).text

    assert "It leaves every count and every operation" in text


def test_page_of_a_retired_device_says_what_that_means(client, bob, make_device, now):
    device = make_device("ws1", retired_at=now, last_contact_at=now)
    client.force_login(bob)

    for tab in ("summary", "settings", "certificates", "history"):
        page = client.get(reverse(f"devices:{tab}", args=[device.pk])).text
        assert "ws1 is retired since" in page
        assert "Its agent goes on asking until you stop it" in page


@pytest.mark.parametrize(
    ("silent", "sentence"),
    [
        (timedelta(seconds=5), "ps3 is retired, but it still runs."),
        (timedelta(minutes=5), "ps3 is retired and runs no more."),
    ],
)
def test_page_of_a_retired_primary_server_says_what_remains(
    client, bob, make_device, now, silent, sentence
):
    server = make_device("ps3", kind=Kind.PRIMARY_SERVER, retired_at=now)
    Heartbeat.objects.create(server=server, at=now - silent)
    client.force_login(bob)

    page = client.get(reverse("devices:summary", args=[server.pk])).text

    assert sentence in page
    assert "its home from the host: it holds the key" in page
    assert ("Stop its processes" in page) == (silent < timedelta(minutes=1))
