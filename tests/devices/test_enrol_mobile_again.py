"""The button `Re-enrolment link` of a mobile: another identity for the same device."""

from datetime import timedelta

import pytest
from django.urls import reverse

from devices import mobiles
from devices.actions import NotEnrolled
from devices.models import EnrolmentLink, Kind
from tests.devices.enrolment_links import parts, server

__all__ = ["server"]

KEY = "ab" * 32

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def phone(make_device):
    return make_device("phone1", kind=Kind.MOBILE)


def address(device):
    return reverse("devices:enrol_mobile_again", args=[device.pk])


def test_link_is_for_this_mobile_and_says_who_made_it(client, alice, now, phone, server):
    client.force_login(alice)

    _, secret, fingerprints = parts(client.post(address(phone), {"days": "14"}).text)

    link = phone.enrolment_links.get()
    assert (link.created_by, fingerprints) == (alice, [server])
    assert link.expires_at - now > timedelta(days=13)
    assert mobiles.use_link(secret, KEY, now=now).device == phone


def test_earlier_link_ends(client, alice, now, phone):
    client.force_login(alice)
    _, first, _ = parts(client.post(address(phone), {"days": "14"}).text)
    assert "1 earlier link" in client.get(address(phone)).text

    client.post(address(phone), {"days": "14"})

    with pytest.raises(NotEnrolled, match="has expired"):
        mobiles.use_link(first, KEY, now=now + timedelta(minutes=1))
    assert EnrolmentLink.objects.count() == 2


@pytest.mark.parametrize("days", ["", "0", "91", "x"])
def test_days_that_do_not_fit_are_refused(client, alice, phone, days):
    client.force_login(alice)

    response = client.post(address(phone), {"days": days})

    assert response.status_code == 422
    assert "A link is valid for 1 to 90 days." in response.text
    assert not EnrolmentLink.objects.exists()


def test_retired_mobile_gets_no_link(client, alice, phone, now):
    phone.retired_at = now
    phone.save()
    client.force_login(alice)

    response = client.post(address(phone), {"days": "14"})

    assert response.status_code == 422
    assert "phone1 is retired. Bring it back first." in response.text
    assert not EnrolmentLink.objects.exists()


def test_workstation_gets_no_link(client, alice, make_device):
    client.force_login(alice)

    response = client.post(address(make_device("ws1")), {"days": "14"})

    assert response.status_code == 422
    assert "ws1 is not a mobile device." in response.text
    assert not EnrolmentLink.objects.exists()


def test_who_may_only_look_cannot(client, bob, phone):
    client.force_login(bob)

    assert client.post(address(phone), {"days": "14"}).status_code == 403
    assert not EnrolmentLink.objects.exists()


def test_dialog_shows_its_field_and_only_mobiles_have_the_button(client, alice, phone, make_device):
    client.force_login(alice)

    assert "Valid for (days)" in client.get(address(phone)).text
    summary = reverse("devices:summary", args=[phone.pk])
    assert "Re-enrolment link" in client.get(summary).text
    other = reverse("devices:summary", args=[make_device("ws1").pk])
    assert "Re-enrolment link" not in client.get(other).text
