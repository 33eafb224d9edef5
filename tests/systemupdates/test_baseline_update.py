"""The button `Baseline`."""

import pytest
from django.urls import reverse

from devices.models import Device
from systemupdates.models import SystemUpdate
from systemupdates.models.device_update import State

INDEX = "/system-updates/"


def address(update):
    return reverse("systemupdates:baseline_update", args=[update.pk])


@pytest.fixture
def finished(make_device, make_update, now):
    """An update that the Primary Server has completed and a workstation has not."""
    make_device("osl-ws-01")
    update = make_update(assigned=True)
    servers = update.device_updates.filter(device__name="ps1")
    servers.move(to=State.COMPLETED, by=None, at=now)
    return update


def test_baseline_closes_the_update(client, alice, finished):
    client.force_login(alice)

    response = client.post(address(finished))

    event = finished.events.last()
    assert (response.status_code, response["Location"]) == (303, INDEX)
    assert (event.state, event.by) == ("baselined", alice)
    assert SystemUpdate.objects.get().state == "baselined"


def test_dialog_says_who_has_not_finished_and_what_is_withdrawn(client, alice, finished):
    client.force_login(alice)

    text = client.get(address(finished)).text

    assert "1 device has not finished it:" in text
    assert ">osl-ws-01</a>" in text
    assert "The Certificate Updater Tool of this update is withdrawn" in text


def test_baseline_is_refused_before_every_primary_server_has_completed(client, alice, make_update):
    update = make_update(assigned=True)
    client.force_login(alice)

    response = client.post(address(update))

    assert response.status_code == 422
    assert "Not before every Primary Server has completed it: ps1 has not." in response.text
    assert SystemUpdate.objects.get().state == "assigned"


def test_baseline_is_refused_while_it_replicates(client, alice, make_update):
    update = make_update()
    client.force_login(alice)

    assert "Only an assigned one can be." in client.post(address(update)).text
    assert SystemUpdate.objects.get().state == "replicating"


def test_second_click_is_told_that_it_is_done(client, alice, finished):
    client.force_login(alice)
    client.post(address(finished))

    assert "The update is baselined already." in client.post(address(finished)).text
    assert finished.events.filter(state="baselined").count() == 1


def test_who_may_only_look_cannot(client, bob, finished):
    client.force_login(bob)

    assert client.post(address(finished)).status_code == 403
    assert "Baseline" not in client.get(INDEX).text
    assert SystemUpdate.objects.get().state == "assigned"


def test_retired_primary_server_is_not_waited_for(client, alice, make_update, now):
    update = make_update(assigned=True)
    Device.objects.filter(name="ps1").update(retired_at=now)
    client.force_login(alice)

    client.post(address(update))

    assert SystemUpdate.objects.get().state == "baselined"


def test_button_says_why_it_cannot_be_pressed_yet(client, alice, make_update, finished):
    waiting = make_update(assigned=True)
    client.force_login(alice)

    page = client.get(INDEX).text

    why = "Not before every Primary Server has completed it: ps1 has not."
    assert f'id="why-baseline-{waiting.pk}">{why}</span>' in page
    assert f'href="{address(waiting)}"' not in page
    assert f'href="{address(finished)}"' in page
