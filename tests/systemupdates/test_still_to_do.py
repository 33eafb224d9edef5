"""A device's Summary says what it has still to do in an open system update."""

import pytest

from devices.models import Kind
from systemupdates.models import DeviceUpdate
from systemupdates.models.device_update import State
from systemupdates.models.update import Wave


@pytest.fixture
def device(make_device):
    return make_device("ws1")


@pytest.fixture
def update(device, make_update):
    update = make_update(assigned=True)
    update.open_wave(Wave.ALL_DEVICES)
    return update


def said(client, who, device):
    client.force_login(who)
    return client.get(f"/devices/{device.pk}/").text


@pytest.mark.parametrize(
    ("state", "reason", "to_do"),
    [
        (None, "", "Update Assigned: Certificate update.</b> It takes the update at its next"),
        (State.PENDING, "", "It is done at its first refresh after the activation."),
        (State.FAILED, "Disk full.", "Disk full. Look at the reason, mend it, and redeploy"),
        (State.IGNORED, "", "It keeps the trust that it has until"),
    ],
)
def test_summary_says_what_is_still_to_do(client, bob, device, update, now, state, reason, to_do):
    rows = DeviceUpdate.objects.filter(device=device)
    if state:
        rows.move(to=state, by=None, at=now, reason=reason)

    page = said(client, bob, device)

    assert to_do.replace("Certificate update", update.name) in page
    assert f'<a href="/devices/{device.pk}/updates/">Updates of this device</a>' in page


def test_failed_proof_and_a_turn_that_has_not_come_are_said(client, bob, device, make_update, now):
    update = make_update(assigned=True)
    rows = update.device_updates.filter(device=device)
    assert "Its turn comes when the Primary Servers have" in said(client, bob, device)

    rows.move(to=State.PENDING, by=None, at=now)
    rows.update(proof_problem="No server answered.")
    assert "It has not proven the new CA: No server answered." in said(client, bob, device)


def test_nothing_is_said_of_an_update_that_is_completed_or_over(
    client, bob, device, update, make_device, now
):
    assert "open-update" not in said(client, bob, make_device("newcomer"))
    update.device_updates.filter(device=device).move(to=State.COMPLETED, by=None, at=now)
    assert "open-update" not in said(client, bob, device)


def test_mobile_is_told_nothing_of_what_only_others_have(client, bob, make_device):
    phone = make_device("phone", kind=Kind.MOBILE)
    words = ("Satellite roles", "Test device", "DNS name", "Additional DNS")

    pages = said(client, bob, phone) + client.get(f"/devices/{phone.pk}/settings/").text

    assert [word for word in words if word in pages] == []
    page = said(client, bob, make_device("ws9"))
    assert all(word in page for word in words)
