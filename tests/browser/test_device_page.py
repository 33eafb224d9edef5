"""A device's page changes by itself, and whoever is busy on it does not notice otherwise."""

import pytest
from playwright.sync_api import expect

from devices import contacts
from devices.models import Device
from systemupdates.models.device_update import State
from zcc.ground import clock


@pytest.fixture
def ws1(make_device):
    return make_device("ws1")


def test_answer_to_refresh_device_shows_and_the_focus_stays(console, live_server, ws1, errors):
    console.goto(f"{live_server.url}/devices/{ws1.pk}/")
    console.get_by_role("button", name="Refresh Device").click()
    expect(console.get_by_text("not answered yet")).to_be_visible()
    move = console.get_by_role("link", name="Move")
    tab = console.get_by_role("link", name="Updates", exact=True)
    move.focus()

    asked = Device.objects.select_related("zone").get()
    contacts.record_contact(asked, {"version": "7.7.7"}, now=clock.now())

    expect(console.get_by_text("not answered yet")).to_have_count(0)
    expect(console.get_by_text("7.7.7")).to_be_visible()
    expect(move).to_be_focused()
    tab.focus()
    Device.objects.update(last_contact_at=None)
    expect(console.get_by_text("Not heard of yet")).to_be_visible()
    expect(tab).to_be_focused()
    assert errors == []


def test_dialog_stays_open_and_gives_the_focus_back(console, live_server, ws1, errors):
    console.goto(f"{live_server.url}/devices/{ws1.pk}/")
    console.get_by_role("link", name="Move").click()
    dialog = console.get_by_role("dialog")
    expect(dialog).to_be_visible()

    Device.objects.update(version="7.7.7", last_contact_at=None)

    expect(console.get_by_text("7.7.7")).to_be_visible()
    expect(console.get_by_text("Not heard of yet")).to_be_visible()
    expect(dialog).to_be_visible()
    console.keyboard.press("Escape")
    expect(console.get_by_role("link", name="Move")).to_be_focused()
    assert errors == []


def test_updates_and_certificates_change_by_themselves(
    console, live_server, ws1, make_update, now, errors
):
    update = make_update(assigned=True)
    console.goto(f"{live_server.url}/devices/{ws1.pk}/updates/")
    ignore = console.get_by_role("button", name="Ignore Device")
    ignore.focus()
    update.device_updates.all().move(to=State.FAILED, by=None, at=now, reason="The disk is full.")
    expect(console.get_by_text("The disk is full.")).to_be_visible()
    expect(ignore).to_be_focused()

    ignore.click()  # its form came with a poll
    expect(console.get_by_text("ws1 is left out")).to_be_visible()

    console.goto(f"{live_server.url}/devices/{ws1.pk}/certificates/")
    expect(console.get_by_text("has not reported what it trusts")).to_be_visible()
    Device.objects.update(trusted_fingerprints=["ab" * 32])
    expect(console.get_by_text("Unknown CA")).to_be_visible()
    assert errors == []
