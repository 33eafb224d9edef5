"""The end-user page of a mobile: without an account, by its secret address alone."""

import pytest
from django.urls import reverse

from certificates.models import MobileIdentity
from devices import mobiles
from devices.models import Device, EnrolmentLink, Kind
from tests.certificates import building
from zcc.ground import here

KEY = "ab" * 32


@pytest.fixture
def phone(zone, servers, now):
    return building.make_device(zone, "phone1", now, kind=Kind.MOBILE)


@pytest.fixture
def secret(phone, settings, tmp_path, monkeypatch, now):
    """The secret of its page, on a server that knows where it is."""
    settings.ZCC_HOME = tmp_path
    monkeypatch.setenv(here.VARIABLE, "ps1")
    here.home().make()
    identity = here.Identity(name="ps1", guid="1", dns_name="ps1.test.zone", address="127.0.0.1")
    here.write_identity(identity)
    return mobiles.make_page(phone, by=None, now=now)


def address(secret, stem="me"):
    return reverse(f"certificates:{stem}", args=[secret])


def test_page_shows_how_the_mobile_is(client, phone, secret, make_operation):
    make_operation("assigned")

    text = client.get(address(secret)).text

    assert "phone1" in text
    assert "Update Assigned" in text
    assert "This mobile has no identity with which it could call." in text


def test_page_shows_the_identity(client, phone, secret, ca, now):
    MobileIdentity.objects.create(
        device=phone,
        authority=ca,
        state="current",
        csr=b"",
        key_hash=KEY,
        requested_at=now,
        expires_at=ca.expires_at,
    )

    text = client.get(address(secret)).text

    assert "Active" in text
    assert "Enrol this mobile again." not in text


def test_refresh_asks_the_mobile(client, phone, secret):
    response = client.post(address(secret, "me_refresh"), follow=True)

    assert "The mobile is asked to refresh." in response.text
    assert Device.objects.asked_to_refresh().get() == phone


def test_enrol_again_makes_a_link_for_this_mobile(client, phone, secret, now):
    text = client.post(address(secret, "me_enrol_again")).text

    link = EnrolmentLink.objects.get()
    assert (link.device, link.created_by) == (phone, None)
    assert "Enter these in the EST client of this mobile." in text
    assert "the app" not in text and "python -m agent" not in text
    shown = text.partition("/.well-known/est#")[2].partition("<")[0].split(".")[0]
    assert mobiles.use_link(shown, KEY, now=now).device == phone


@pytest.mark.parametrize("stem", ["me", "me_refresh", "me_enrol_again"])
@pytest.mark.parametrize("wrong", ["wrong", "x" * 43, "%00"])
def test_wrong_secret_finds_nothing(client, secret, stem, wrong):
    client.logout()
    send = client.get if stem == "me" else client.post

    assert send(address(wrong, stem)).status_code == 404
    assert not EnrolmentLink.objects.exists()


def test_retired_mobile_can_do_nothing(client, phone, secret, now):
    Device.objects.filter(pk=phone.pk).update(retired_at=now)

    text = client.get(address(secret)).text
    response = client.post(address(secret, "me_enrol_again"))

    assert "phone1 is retired." in text
    assert "Refresh" not in text
    assert response.status_code == 422
    assert not EnrolmentLink.objects.exists()


def test_workstation_has_no_page_even_with_a_secret(client, phone, secret):
    Device.objects.filter(pk=phone.pk).update(kind=Kind.WORKSTATION)

    assert client.get(address(secret)).status_code == 404


def test_page_is_kept_by_nobody(client, secret):
    assert "no-store" in client.get(address(secret))["Cache-Control"]
