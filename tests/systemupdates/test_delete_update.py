"""The button `Delete` of a baselined update."""

import pytest
from django.urls import reverse

from systemupdates import actions
from systemupdates.models import Replication, SystemUpdate
from systemupdates.models.device_update import State


def address(update):
    return reverse("systemupdates:delete_update", args=[update.pk])


@pytest.fixture
def baselined(make_update, alice, now):
    update = make_update(assigned=True)
    update.device_updates.move(to=State.COMPLETED, by=None, at=now)
    actions.baseline(update, by=alice, now=now)
    return update


def test_delete_removes_the_content_and_keeps_the_history(client, alice, baselined, zone):
    client.force_login(alice)

    client.post(address(baselined))

    event = baselined.events.last()
    assert (event.state, event.by) == ("deleted", alice)
    assert not Replication.objects.exists()
    assert actions.dropped_content(zone) == {"c" * 64}
    assert "Certificate update" in client.get("/system-updates/").text


def test_only_a_baselined_update_can_be_deleted(client, alice, make_update):
    update = make_update(assigned=True)
    client.force_login(alice)

    response = client.post(address(update))

    assert response.status_code == 422
    assert "Only a baselined update can be deleted." in response.text
    assert SystemUpdate.objects.get().state == "assigned"


def test_content_that_another_update_has_too_is_kept(client, alice, baselined, make_update, zone):
    make_update()
    client.force_login(alice)
    client.post(address(baselined))

    assert actions.dropped_content(zone) == set()


def test_dialog_says_that_the_tool_is_withdrawn(client, alice, baselined):
    client.force_login(alice)

    text = client.get(address(baselined)).text

    assert "the Certificate Updater Tool of this update is withdrawn" in text
    assert "Every device has finished it." in text


def test_second_click_is_told_that_it_is_done(client, alice, baselined):
    client.force_login(alice)
    client.post(address(baselined))

    assert "The update is deleted already." in client.post(address(baselined)).text


def test_who_may_only_look_cannot(client, bob, baselined):
    client.force_login(bob)

    assert client.post(address(baselined)).status_code == 403
    assert SystemUpdate.objects.get().state == "baselined"
