"""The page of a device keeps itself current: what stands above its tabs, and three of the tabs."""

import re
from datetime import timedelta
from html import unescape

import pytest

from devices import contacts
from devices.models import Device
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State

ASKS = re.compile(r'id="([a-z-]+)" data-live hx-get="([^"]+)" hx-trigger="every (\d+)s"')


@pytest.fixture
def shown(client, alice, make_device, make_update):
    """Ask an address; return what each live part in the answer asks for, and how often."""
    make_device("ws1")
    make_update(assigned=True)
    client.force_login(alice)

    def ask(address):
        asked = ASKS.findall(client.get(address).text)
        return {part: (unescape(url), int(every)) for part, url, every in asked}

    return ask


@pytest.fixture
def poll(client):
    return lambda address: client.get(address, headers={"hx-request": "true"})


def ws1():
    return Device.objects.get(name="ws1")


TABS = ["/devices/{}/", "/devices/{}/updates/", "/certificates/device/{}/", "/devices/{}/history/"]


@pytest.mark.parametrize("tab", TABS)
def test_tab_is_left_alone_as_long_as_nothing_is_new(shown, poll, tab):
    parts = shown(tab.format(ws1().pk))

    for address, every in parts.values():
        assert every == 5
        assert poll(address).status_code == 204
    assert "device-tab" in parts


def test_answered_refresh_shows_by_itself(shown, poll, now):
    Device.objects.filter(name="ws1").update(refresh_asked_at=now)
    parts = shown(f"/devices/{ws1().pk}/")
    address, every = parts["device-tab"]
    assert every == 2
    assert poll(address).status_code == 204

    contacts.record_contact(ws1(), {}, now=now)

    text = poll(address).text
    assert 'id="last-contact"' in text
    assert "not answered yet" not in text
    assert 'hx-trigger="every 5s"' in text


def test_device_that_does_not_answer_is_asked_after_less_often(shown, now):
    Device.objects.filter(name="ws1").update(refresh_asked_at=now - timedelta(minutes=1))

    assert [every for _, every in shown(f"/devices/{ws1().pk}/").values()] == [5, 5]


def test_step_of_an_update_shows_by_itself(shown, poll, now):
    address, _ = shown(f"/devices/{ws1().pk}/updates/")["device-tab"]
    row = DeviceUpdate.objects.filter(device=ws1())

    row.move(to=State.FAILED, by=None, at=now, reason="The disk is full.")

    text = poll(address).text
    assert "The disk is full." in text
    assert "Redeploy" in text


def test_new_trust_shows_by_itself(shown, poll):
    address, _ = shown(f"/certificates/device/{ws1().pk}/")["device-tab"]

    Device.objects.filter(name="ws1").update(trusted_fingerprints=["ab" * 32])

    assert "not a CA of this zone" in poll(address).text


@pytest.mark.parametrize("tab", ["", "settings/", "updates/", "certificates/", "history/"])
def test_silence_shows_by_itself_on_every_tab(shown, poll, now, tab):
    address, _ = shown(f"/devices/{ws1().pk}/{tab}")["device-head"]
    assert "In contact" in poll(address.partition("&seen")[0]).text

    Device.objects.filter(name="ws1").update(last_contact_at=now - timedelta(days=9))

    text = poll(address).text
    assert "Silent" in text
    assert text.count('aria-current="page"') == 1


def test_part_wants_somebody_who_is_signed_in(client, make_device):
    assert client.get(f"/devices/{make_device('ws1').pk}/head/").status_code == 302
