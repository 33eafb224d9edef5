"""The button `Enrol mobile`: a link, shown once, with the fingerprint of the CA."""

from datetime import timedelta

import pytest

from agent import package
from devices import mobiles
from devices.actions import NotEnrolled
from devices.models import Device, EnrolmentLink, Kind
from tests.devices.enrolment_links import parts, server

__all__ = ["server"]

URL = "/devices/enrol-mobile/"
VALID = {"name": " phone1 ", "folder": "Mobile Devices/Oslo/", "days": "7"}
KEY = "ab" * 32

pytestmark = pytest.mark.usefixtures("server")


def test_link_is_made_and_lets_one_mobile_in(client, alice, now, server):
    client.force_login(alice)

    address, secret, fingerprints = parts(client.post(URL, VALID).text)

    assert (address, fingerprints) == ("https://127.0.0.1:7444", [server])
    link = EnrolmentLink.objects.get()
    assert (link.name, link.created_by, link.used_at) == ("phone1", alice, None)
    assert timedelta(days=6) < link.expires_at - now < timedelta(days=8)
    assert not Device.objects.exists()
    device = mobiles.use_link(secret, KEY, now=now).device
    assert (device.name, device.kind, device.folder) == (
        "phone1",
        Kind.MOBILE,
        "/Mobile Devices/Oslo",
    )
    with pytest.raises(NotEnrolled, match="has been used"):
        mobiles.use_link(secret, "cd" * 32, now=now)


def test_page_says_where_the_simulated_mobile_is_to_be_run(client, alice):
    client.force_login(alice)

    page = client.post(URL, VALID).text

    assert "It is not in agent.pyz" in page and ".venv/bin/python -m agent mobile enrol" in page
    assert "mobile.py" in package.LEFT_OUT


def test_only_a_hash_is_kept(client, alice):
    client.force_login(alice)

    _, secret, _ = parts(client.post(URL, VALID).text)

    assert secret not in str(EnrolmentLink.objects.values())


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Give the mobile a name."),
        ("name", "a/b", "1 to 64 printable characters and no slash"),
        ("name", "a\x07b", "1 to 64 printable characters and no slash"),
        ("name", "x" * 65, "1 to 64 printable characters and no slash"),
        ("days", "0", "A link is valid for 1 to 90 days."),
        ("days", "91", "A link is valid for 1 to 90 days."),
        ("days", "x", "A link is valid for 1 to 90 days."),
        ("folder", "/a\x07b", "A folder is one of"),
    ],
)
def test_what_does_not_fit_is_said_and_no_link_is_made(client, alice, field, value, sentence):
    client.force_login(alice)

    response = client.post(URL, VALID | {field: value})

    assert response.status_code == 422
    assert sentence in response.text.replace("&#x27;", "'")
    assert not EnrolmentLink.objects.exists()


def test_name_of_another_device_is_refused(client, alice, make_device):
    make_device("phone1")
    client.force_login(alice)

    response = client.post(URL, VALID)

    assert response.status_code == 422
    assert "There is a device called phone1 already." in response.text
    assert not EnrolmentLink.objects.exists()


def test_who_may_only_look_cannot(client, bob):
    client.force_login(bob)

    assert client.get(URL).status_code == 403
    assert client.post(URL, VALID).status_code == 403
    assert not EnrolmentLink.objects.exists()
    assert "Your account lacks the right to manage devices." in client.get("/devices/").text


def test_dialog_shows_its_fields(client, alice):
    client.force_login(alice)

    text = client.get(URL).text

    for label in ("Name", "Folder", "Valid for (days)", "Make link"):
        assert label in text
