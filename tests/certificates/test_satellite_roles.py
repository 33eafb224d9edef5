"""The button `Satellite roles` of a device."""

from datetime import timedelta

import pytest
from django.urls import reverse

from certificates.actions import roles
from certificates.models import ServerCertificate, ServerProgress
from devices.models import Device
from systemupdates import actions as updates
from systemupdates.models import Replication
from tests.certificates import building
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

BOTH = {"content": "on", "authentication": "on"}


@pytest.fixture
def carol(db):
    """May manage devices."""
    return building.make_person("carol", "manage_devices")


@pytest.fixture
def ws(ca, zone, now):
    return building.make_device(zone, "ws", now, kind="workstation", addresses=["127.0.0.9"])


def address(device):
    return reverse("certificates:satellite_roles", args=[device.pk])


def page(device):
    return reverse("devices:summary", args=[device.pk])


def roles_of(device):
    return Device.objects.get(pk=device.pk).roles


def test_roles_are_given_and_taken_back(client, carol, ws):
    client.force_login(carol)

    assert_is_closed(client.post(address(ws), BOTH), to=page(ws))
    given = roles_of(ws)
    assert_is_closed(client.post(address(ws), {}), to=page(ws))

    assert given == ["Authentication", "Content"]
    assert roles_of(ws) == []
    assert Device.objects.asked_to_refresh().get() == ws


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, BOTH, "ws1 has the roles Authentication and Content from its next refresh on."),
        (BOTH, {"content": "on"}, "ws1 has the role Content from its next refresh on."),
        (BOTH, {}, "ws1 gives up the roles Authentication and Content at its next refresh."),
        ({"content": "on"}, {}, "ws1 gives up the role Content at its next refresh."),
        ({}, {}, "ws1 has no Satellite role, as before."),
    ],
)
def test_what_comes_of_it_is_said(client, carol, ws, before, after, told):
    client.force_login(carol)
    client.post(address(ws), before)
    client.get(page(ws))

    client.post(address(ws), after)

    assert told.replace("ws1", ws.name) in client.get(page(ws)).text


def test_content_satellite_gets_what_is_offered_and_is_waited_for(
    client, carol, ws, make_operation
):
    update = make_operation("replicating").update
    update.replications.update(state="available")
    client.force_login(carol)

    client.post(address(ws), {"content": "on"})
    waits = not updates.is_replicated(update)
    client.post(address(ws), {})

    assert waits
    assert updates.is_replicated(update)
    assert not Replication.objects.filter(server=ws).exists()


def test_authentication_satellite_takes_part_in_an_operation_from_then_on(
    client, carol, ws, make_operation
):
    operation = make_operation("replicating")
    client.force_login(carol)

    client.post(address(ws), {"authentication": "on"})

    assert operation.servers.filter(device=ws).exists()


def test_satellite_that_is_one_only_in_overlap_has_no_old_certificate(
    client, carol, ws, make_operation
):
    operation = make_operation("overlap")
    client.force_login(carol)

    client.post(address(ws), {"authentication": "on"})

    assert not operation.servers.filter(device=ws).exists()
    assert f"{ws.name} still shows" not in client.get("/certificates/").text


def test_role_is_not_taken_back_during_an_operation(client, carol, servers, make_operation):
    make_operation("replicating")
    client.force_login(carol)

    response = client.post(address(servers[2]), {})

    assert_is_refused(response, "auth1 takes part in Remint CA.")
    assert roles_of(servers[2]) == ["Authentication"]


def test_role_that_is_taken_back_in_overlap_leaves_nothing_to_wait_for(
    client, carol, servers, make_operation
):
    make_operation("overlap")
    client.force_login(carol)

    assert_is_closed(client.post(address(servers[2]), {}), to=page(servers[2]))

    assert not ServerProgress.objects.filter(device=servers[2]).exists()
    states = ServerCertificate.objects.filter(device=servers[2]).values_list("state", flat=True)
    assert set(states) == {"previous"}


def test_name_of_another_server_is_refused(client, carol, ws):
    Device.objects.filter(pk=ws.pk).update(dns_name="ps2.demo.zone")
    client.force_login(carol)

    response = client.post(address(ws), BOTH)

    assert_is_refused(response, "ps2.demo.zone belongs to ps2.")
    assert f"enrol {ws.name} again on another host, or with --address and --dns." in response.text
    assert roles_of(ws) == []


def test_device_without_an_address_gets_no_certificate(client, carol, ws):
    Device.objects.filter(pk=ws.pk).update(addresses=[])
    client.force_login(carol)

    assert_is_refused(client.post(address(ws), BOTH), "no DNS name or no address")
    assert_is_closed(client.post(address(ws), {"content": "on"}), to=page(ws))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kind": "primary"}, "ws is a Primary Server"),
        ({"kind": "mobile"}, "ws is a mobile device."),
        ({"retired": True}, "ws is retired. Bring it back first."),
    ],
)
def test_who_can_have_no_role_is_said(client, carol, ws, now, changed, sentence):
    retired_at = now if changed.pop("retired", False) else None
    Device.objects.filter(pk=ws.pk).update(retired_at=retired_at, **changed)
    client.force_login(carol)

    assert sentence in client.get(address(ws)).text
    assert_is_refused(client.post(address(ws), BOTH), sentence)
    assert roles_of(ws) == []


def test_who_may_not_manage_devices_cannot(client, alice, ws):
    client.force_login(alice)

    assert client.post(address(ws), BOTH).status_code == 403
    assert roles_of(ws) == []


def test_dialog_shows_the_roles_the_device_has(client, carol, servers):
    client.force_login(carol)

    text = client.get(address(servers[2])).text

    assert 'name="content"' in text
    assert text.count(" checked") == 1
    assert "Its agent has not said yet" in text


def test_device_page_says_what_the_agent_has_not_taken_up(client, bob, ws):
    url = page(ws)
    rows = Device.objects.filter(pk=ws.pk)
    client.force_login(bob)

    rows.update(is_content_satellite=True, reported_roles=[])
    waits = client.get(url).text
    rows.update(role_problem="No cryptography.")
    cannot = client.get(url).text
    rows.update(role_problem="", reported_roles=["content"])
    taken = client.get(url).text
    rows.update(is_content_satellite=False)

    assert "Content not taken up yet: at its next refresh" in waits
    assert "Content is not taken up" in cannot
    assert "No cryptography." in cannot
    assert "taken up" not in taken
    assert "what was taken back is given up at its next refresh" in client.get(url).text


def test_role_that_was_taken_up_is_not_said_to_be_missing(client, bob, ws):
    client.force_login(bob)
    Device.objects.filter(pk=ws.pk).update(
        is_content_satellite=True,
        is_authentication_satellite=True,
        reported_roles=["content"],
        role_problem="No cryptography.",
    )

    text = client.get(page(ws)).text

    assert "Authentication Satellite, not taken up" in text
    assert "Content Satellite, not taken up" not in text
    assert "Authentication is not taken up" in text


def test_role_is_kept_when_nothing_changes(ws, carol, now):
    roles.set_roles(ws, content=True, authentication=True, by=carol, now=now)
    roles.set_roles(ws, content=True, authentication=True, by=carol, now=now + timedelta(minutes=1))

    assert roles_of(ws) == ["Authentication", "Content"]
