"""Registration keys: shown once, with the commands to copy, and revoked."""

import re
from datetime import timedelta

import pytest

from agent import pem
from devices.actions import check_enrolment, create_registration_key, enrol
from devices.models import RegistrationKey
from tests.zcc.certificates import make_pair
from zcc.ground import here

LIST = "/devices/registration-keys/"
CREATE = f"{LIST}create/"
VALID = {"name": "Oslo", "folder": "Workstations/Oslo/", "days": "7", "uses": "2"}


@pytest.fixture(autouse=True)
def server(settings, tmp_path, monkeypatch, zone):
    """A home to read the address and the CA from."""
    settings.ZCC_HOME = tmp_path
    monkeypatch.setenv(here.VARIABLE, "ps1")
    here.home().make()
    identity = here.Identity(name="ps1", guid="1", dns_name="ps1.test.zone", address="127.0.0.1")
    here.write_identity(identity)
    _, ca = make_pair(1)
    here.home().write_file("security/ca.cert", ca)
    return pem.fingerprint(ca)


def test_key_is_made_and_lets_a_device_join(client, alice, now, server):
    client.force_login(alice)

    text = client.post(CREATE, VALID).text

    key = re.search(r"--key (\S+)", text)[1]
    device, _ = enrol(key, check_enrolment({"name": "w", "kind": "workstation"}), now=now)
    row = RegistrationKey.objects.get()
    assert (row.name, row.uses_left, device.folder) == ("Oslo", 1, "/Workstations/Oslo")
    assert row.expires_at > now + timedelta(days=6)
    assert f"--fingerprint {server}" in text


def test_list_does_not_show_the_key(client, alice):
    client.force_login(alice)
    key = re.search(r"--key (\S+)", client.post(CREATE, VALID).text)[1]

    text = client.get(LIST).text

    assert "Oslo" in text
    assert key not in text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Give the key a name"),
        ("days", "0", "A key is valid for 1 to 365 days."),
        ("days", "x", "A key is valid for 1 to 365 days."),
        ("uses", "0", "Enter a number of devices"),
        ("folder", "/Workstations/a\x07b", "printable"),
        ("folder", "/Oslo", "A folder is one of Servers, Workstations and Mobile Devices"),
    ],
)
def test_what_does_not_fit_is_said_and_no_key_is_made(client, alice, field, value, sentence):
    client.force_login(alice)

    response = client.post(CREATE, VALID | {field: value})

    assert response.status_code == 422
    assert sentence in response.text
    assert not RegistrationKey.objects.exists()


def test_revoked_key_is_gone(client, alice, zone, now):
    create_registration_key(zone, name="Oslo", now=now)
    client.force_login(alice)
    revoke = f"{LIST}{RegistrationKey.objects.get().pk}/revoke/"

    assert "Revoke the key Oslo?" in client.get(revoke).text
    assert RegistrationKey.objects.exists()
    response = client.post(revoke, follow=True)

    assert "The registration key Oslo is revoked." in response.text
    assert not RegistrationKey.objects.exists()


def test_key_that_has_ended_is_removed_without_a_question(client, alice, zone, now):
    create_registration_key(zone, name="Old", now=now, lifetime=timedelta(days=-1))
    client.force_login(alice)
    pk = RegistrationKey.objects.get().pk
    assert f'<form method="post" action="{LIST}{pk}/revoke/">' in client.get(LIST).text

    response = client.post(f"{LIST}{pk}/revoke/", follow=True)

    assert "The registration key Old is removed." in response.text


def test_ended_keys_are_said_to_be(client, bob, zone, now):
    create_registration_key(zone, name="Old", now=now, lifetime=timedelta(days=-1))
    client.force_login(bob)

    assert "Expired" in client.get(LIST).text


def test_who_may_only_look_cannot(client, bob, zone, now):
    create_registration_key(zone, name="Oslo", now=now)
    client.force_login(bob)

    pk = RegistrationKey.objects.get().pk
    assert client.post(CREATE, VALID).status_code == 403
    assert client.post(f"{LIST}{pk}/revoke/").status_code == 403
    assert "Your account lacks the right to manage devices." in client.get(LIST).text
