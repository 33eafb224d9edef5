"""The dialog `Remint Server Certificate`."""

from datetime import timedelta

import pytest

from certificates.models import CertificateAuthority, ServerCertificate
from devices.models import Heartbeat
from tests.certificates.building import PASSWORD
from tests.certificates.dialogs import assert_is_closed, assert_is_refused

URL = "/certificates/remint-server-certificate/"


def asked(servers, **changes):
    return {"server": [server.pk for server in servers], "password": PASSWORD, **changes}


def coming():
    return list(ServerCertificate.objects.coming().order_by("device__name"))


def test_selected_servers_are_to_get_a_fresh_certificate(client, alice, ca, servers):
    client.force_login(alice)

    assert_is_closed(client.post(URL, asked(servers[:2])))

    rows = coming()
    assert [(row.device.name, row.state, row.asked_by, row.csr) for row in rows] == [
        ("ps1", "requested", alice, None),
        ("ps2", "requested", alice, None),
    ]
    page = client.get("/certificates/").text
    assert page.count("Being made") == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "x"}, "This is not your password."),
        ({"password": ""}, "Enter your password."),
        ({"server": []}, "No server is selected."),
        ({"server": ["x", "99999999999999999999"]}, "No server is selected."),
    ],
)
def test_what_does_not_fit_is_refused(client, alice, ca, servers, changes, sentence):
    client.force_login(alice)

    assert_is_refused(client.post(URL, asked(servers, **changes)), sentence)
    assert coming() == []


def test_who_may_only_look_cannot(client, bob, ca, servers):
    client.force_login(bob)

    assert client.post(URL, asked(servers)).status_code == 403
    assert coming() == []


def test_it_is_impossible_while_an_operation_brings_new_ones(
    client, alice, make_operation, servers
):
    make_operation("preparing")
    client.force_login(alice)

    assert_is_refused(client.post(URL, asked(servers)), "brings every server a new certificate")
    assert coming() == []


def test_it_is_impossible_twice_at_once_and_then_for_none(client, alice, ca, servers):
    client.force_login(alice)
    client.post(URL, asked(servers[:1]))

    assert_is_refused(client.post(URL, asked(servers)), "ps1 is getting a new certificate already.")
    assert len(coming()) == 1


def test_it_is_impossible_with_an_external_ca(client, alice, ca, servers):
    CertificateAuthority.objects.update(kind="external")
    client.force_login(alice)

    assert_is_refused(client.post(URL, asked(servers)), "The active CA is external.")


def test_dialog_names_the_servers_and_asks_for_the_password(client, alice, ca, servers):
    client.force_login(alice)

    page = client.get(f"{URL}?server={servers[1].pk}").text

    assert "ps2.demo.zone" in page
    assert "ps1.demo.zone" not in page
    assert "Your password" in page
    assert "Remint 1 certificate" in page


def test_row_says_when_a_server_that_is_away_begins(client, alice, ca, servers, now):
    client.force_login(alice)
    Heartbeat.objects.filter(server=servers[1]).update(at=now - timedelta(minutes=9))

    client.post(URL, asked(servers[1:]))

    page = client.get("/certificates/").text
    assert "it makes its key when it is back" in page
    assert "it makes its key at its next refresh" in page
