"""The button `End-user page` of a mobile: a secret address, shown once."""

import re

import pytest
from django.urls import reverse

from devices import mobiles
from devices.models import Device, Kind
from tests.devices.enrolment_links import server

__all__ = ["server"]

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def phone(make_device):
    return make_device("phone1", kind=Kind.MOBILE)


def address(device):
    return reverse("devices:end_user_page", args=[device.pk])


def secret_in(text):
    return re.search(r"https://127\.0\.0\.1:7443/me/([\w-]+)/", text)[1]


def test_address_leads_to_the_mobile_and_only_a_hash_is_kept(client, alice, phone):
    client.force_login(alice)

    secret = secret_in(client.post(address(phone)).text)

    assert mobiles.of_page(secret) == phone
    assert secret not in str(Device.objects.values())


def test_earlier_address_ends(client, alice, phone):
    client.force_login(alice)
    first = secret_in(client.post(address(phone)).text)
    assert "made before will no longer work" in client.get(address(phone)).text

    client.post(address(phone))

    assert mobiles.of_page(first) is None


@pytest.mark.parametrize(
    ("kind", "retired", "sentence"),
    [
        (Kind.WORKSTATION, False, "d1 is not a mobile device."),
        (Kind.MOBILE, True, "d1 is retired. Bring it back first."),
    ],
)
def test_other_device_has_none(client, alice, make_device, now, kind, retired, sentence):
    device = make_device("d1", kind=kind, retired_at=now if retired else None)
    client.force_login(alice)

    response = client.post(address(device))

    assert response.status_code == 422
    assert sentence in response.text
    assert not Device.objects.exclude(page_hash=None).exists()


def test_who_may_only_look_cannot(client, bob, phone):
    client.force_login(bob)

    assert client.get(address(phone)).status_code == 403
    assert client.post(address(phone)).status_code == 403
    assert not Device.objects.exclude(page_hash=None).exists()


def test_dialog_says_what_it_makes(client, alice, phone):
    client.force_login(alice)

    text = client.get(address(phone)).text

    assert "Its address is a secret and is shown once." in text
    assert "Make address" in text
