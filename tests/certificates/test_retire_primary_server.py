"""The button `Retire` of a Primary Server."""

import pytest
from django.urls import reverse

from certificates.actions import primary_servers
from certificates.actions.authorities import Refused
from certificates.models import CertificateAuthority
from devices.models import Device
from tests.certificates import building
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

DATA = {"confirmed": "on", "password": PASSWORD}


@pytest.fixture
def carol(db):
    """May manage devices."""
    return building.make_person("carol", "manage_devices")


@pytest.fixture
def ps2(ca):
    return Device.objects.get(name="ps2")


def address(server):
    return reverse("certificates:retire_primary_server", args=[server.pk])


def is_retired(server):
    return Device.objects.get(pk=server.pk).is_retired


def page(server):
    return reverse("devices:summary", args=[server.pk])


def test_retired_server_leaves_the_zone_and_comes_back(client, carol, ps2):
    client.force_login(carol)

    assert_is_closed(client.post(address(ps2), DATA), to=page(ps2))
    retired = is_retired(ps2)
    client.post(reverse("devices:bring_back_device", args=[ps2.pk]))

    assert retired
    assert not is_retired(ps2)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"confirmed": ""}, "Tick the box if you want to retire this Primary Server."),
        ({"password": "wrong"}, "This is not your password."),
        ({"password": ""}, "Enter your password."),
    ],
)
def test_what_does_not_fit_is_said(client, carol, ps2, changed, sentence):
    client.force_login(carol)

    assert_is_refused(client.post(address(ps2), DATA | changed), sentence)
    assert not is_retired(ps2)


def test_who_may_not_manage_devices_cannot(client, alice, ps2):
    client.force_login(alice)

    assert client.post(address(ps2), DATA).status_code == 403
    assert not is_retired(ps2)


def test_server_with_the_ca_role_stays(client, carol, ca):
    client.force_login(carol)

    assert_is_refused(client.post(address(ca.server), DATA), "ps1 has the CA role.")
    assert "ps1 has the CA role." in client.get(address(ca.server)).text
    assert not is_retired(ca.server)


def test_last_server_stays(client, carol, ps2, now):
    Device.objects.filter(name="ps1").update(retired_at=now)
    client.force_login(carol)

    response = client.post(address(ps2), DATA)

    assert_is_refused(response, "ps2 is the last Primary Server of the zone.")
    assert not is_retired(ps2)


def test_server_that_holds_a_trusted_ca_stays(client, carol, ps2, make_operation):
    operation = make_operation("overlap")
    CertificateAuthority.objects.filter(pk=operation.old_ca.pk).update(server=ps2)
    client.force_login(carol)

    assert_is_refused(client.post(address(ps2), DATA), "the key of a CA that is still trusted")


def test_open_operation_is_in_the_way(client, carol, ps2, make_operation):
    make_operation("replicating")
    client.force_login(carol)

    assert_is_refused(client.post(address(ps2), DATA), "Remint CA is in progress.")
    assert not is_retired(ps2)


def test_key_request_is_in_the_way(client, carol, ca, ps2, now):
    request = building.make_key_request(ca, "move", "asked", by=carol, now=now)
    type(request).objects.update(server=ps2)
    client.force_login(carol)

    assert_is_refused(client.post(address(ps2), DATA), "is in progress on ps2.")


def test_device_that_is_no_primary_server_is_refused(servers, ca, carol, now):
    with pytest.raises(Refused, match="is no Primary Server"):
        primary_servers.retire(servers[2], by=carol, now=now)


def test_dialog_says_that_the_server_runs(client, carol, ps2):
    client.force_login(carol)

    text = client.get(address(ps2)).text

    assert "It is running." in text
    assert 'name="password"' in text


def test_page_of_the_server_has_the_button(client, carol, ps2):
    client.force_login(carol)

    text = client.get(page(ps2)).text

    assert address(ps2) in text
    assert "Refresh Device" not in text
