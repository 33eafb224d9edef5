"""The button `Assign Now`."""

from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.models import Operation
from tests.certificates import building
from tests.certificates.dialogs import assert_is_closed, assert_is_refused


def address(operation):
    return reverse("certificates:assign_now", args=[operation.pk])


def test_assign_now_assigns_to_all_devices(client, alice, make_operation):
    operation = make_operation("replicating")
    client.force_login(alice)

    assert_is_closed(client.post(address(operation)))

    last = operation.events.last()
    assert Operation.objects.get().state == "assigned"
    assert (last.state, last.by) == ("assigned", alice)
    assert operation.update.device_updates.count() == 3


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("preparing", "The content of the update is not made yet."),
        ("assigned", "The update is assigned already."),
    ],
)
def test_assign_now_is_refused_when_there_is_nothing_to_assign(
    client, alice, make_operation, state, sentence
):
    operation = make_operation(state)
    client.force_login(alice)

    assert_is_refused(client.post(address(operation)), sentence)
    assert Operation.objects.get().state == state


def test_who_may_only_look_cannot(client, bob, make_operation):
    operation = make_operation("replicating")
    client.force_login(bob)

    assert client.post(address(operation)).status_code == 403
    assert Operation.objects.get().state == "replicating"


def test_dialog_names_the_servers_without_content(client, alice, make_operation, zone, now):
    building.make_device(zone, "cache1", now, kind="server", is_content_satellite=True)
    operation = make_operation("replicating")
    operation.update.replications.filter(server__name="cache1").update(
        due_at=now + timedelta(hours=1)
    )
    client.force_login(alice)

    page = client.get(address(operation))

    assert "Replicated 1 of 3" in page.text
    assert "2 content servers do not have the content yet." in page.text
    assert "cache1: it should at" in page.text


def test_dialog_of_an_assigned_update_offers_nothing(client, alice, make_operation):
    operation = make_operation("assigned")
    client.force_login(alice)

    page = client.get(address(operation))

    assert "The update is assigned already" in page.text
    assert "btn-primary" not in page.text


def test_system_updates_offers_it_to_who_may_and_is_returned_to(client, alice, bob, make_operation):
    update = make_operation("replicating").update
    url = reverse("certificates:assign_update_now", args=[update.pk])
    pages = {}
    for person in (bob, alice):
        client.force_login(person)
        pages[person] = client.get(reverse("systemupdates:index")).text

    assert [url in pages[bob], url in pages[alice]] == [False, True]
    assert_is_closed(client.post(url), to=reverse("systemupdates:index"))
    assert update.device_updates.count() == 3


@pytest.mark.parametrize(
    ("state", "minutes", "sentence"),
    [
        ("waiting", 1, "sat9 fetches it at its next refresh"),
        ("replicating", 1, "sat9 fetches it now"),
        ("waiting", 60 * 48, "sat9 is silent: it fetches it when it is back"),
        ("replicating", 60 * 48, "sat9 is silent: it fetches it when it is back"),
        ("failed", 60 * 48, "sat9 could not fetch it"),
    ],
)
def test_server_that_is_behind_is_not_said_to_fetch_while_it_does_not(
    client, bob, make_operation, zone, now, state, minutes, sentence
):
    operation = make_operation("assigned")
    heard = now - timedelta(minutes=minutes)
    sat9 = building.make_device(
        zone, "sat9", now, kind="server", is_content_satellite=True, last_contact_at=heard
    )
    operation.update.replications.update(state="available")
    operation.update.replications.create(server=sat9, state=state, due_at=now, changed_at=now)
    client.force_login(bob)

    text = client.get("/certificates/").text

    assert sentence in text


def test_satellite_that_cannot_serve_is_said_to_hold_the_update_up(
    client, bob, make_operation, zone, now
):
    operation = make_operation("replicating")
    operation.update.replications.update(state="available")
    sat9 = building.make_device(
        zone, "sat9", now, kind="server", is_content_satellite=True, reported_roles=[]
    )
    operation.update.replications.create(server=sat9, due_at=now, changed_at=now)
    client.force_login(bob)

    assert "sat9 has not taken up its role Content Satellite" in client.get("/certificates/").text
