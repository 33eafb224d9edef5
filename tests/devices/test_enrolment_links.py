"""Enrolment links that nobody has used: listed with their age, withdrawn, and copied."""

from datetime import timedelta

import pytest
from django.urls import reverse

from devices import mobiles
from devices.actions import NotEnrolled
from devices.models import Device, EnrolmentLink, Kind
from tests.devices.enrolment_links import parts, server
from zcc.ground.models import AuditEvent

__all__ = ["server"]

KEY, LIST = "ab" * 32, "/devices/enrolment-links/"
pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def phone(make_device):
    return make_device("phone1", kind=Kind.MOBILE)


@pytest.fixture
def make_link(zone, alice, now):
    def make(name="tablet", days=7):
        lifetime = timedelta(days=days)
        return mobiles.make_link(
            zone, name, folder="/Mobile Devices", lifetime=lifetime, by=alice, now=now
        )

    return make


def withdraw(link):
    return reverse("devices:withdraw_enrolment_link", args=[link.pk])


def test_unused_links_are_listed_with_who_made_them_and_until_when(
    client, bob, phone, make_link, now
):
    used, _ = make_link("used"), make_link("tablet")
    mobiles.use_link(used, KEY, now=now)
    make_link("over", days=-1)
    mobiles.make_link_again(phone, lifetime=timedelta(days=1), by=None, now=now)
    client.force_login(bob)

    response = client.get(LIST)

    assert {link.name for link in response.context["page"].rows} == {"tablet", "phone1"}
    for word in ("A new mobile", "Another identity", "Alice", "its end-user page"):
        assert word in response.text
    assert f'href="{LIST}"' in client.get("/devices/").text
    assert "Withdraw" not in response.text


def test_withdrawn_link_lets_nobody_in(client, alice, make_link, now):
    secret, link = make_link(), EnrolmentLink.objects.get()
    client.force_login(alice)
    assert "Withdraw the link for tablet?" in client.get(withdraw(link)).text

    client.post(withdraw(link))

    with pytest.raises(NotEnrolled):
        mobiles.use_link(secret, KEY, now=now + timedelta(minutes=1))
    assert client.get(LIST).context["page"].rows == []
    assert AuditEvent.objects.get(what="Enrolment link withdrawn").by == alice


def test_link_that_is_withdrawn_while_it_is_being_used_lets_nobody_in(make_link, alice, now):
    make_link()
    seen = EnrolmentLink.objects.get()  # by the request of the mobile, a moment ago
    mobiles.withdraw_link(EnrolmentLink.objects.get(), by=alice, now=now)

    assert not seen.use(KEY, at=now + timedelta(seconds=1))


def test_link_that_was_used_meanwhile_is_not_withdrawn(client, alice, make_link, now):
    secret = make_link()
    mobiles.use_link(secret, KEY, now=now)
    client.force_login(alice)

    page = client.post(withdraw(EnrolmentLink.objects.get()), follow=True).text

    assert "has been used, or has ended." in page
    assert not AuditEvent.objects.filter(what__contains="withdrawn").exists()


def test_withdraw_is_not_for_who_may_only_look(client, bob, make_link):
    make_link()
    client.force_login(bob)

    assert client.post(withdraw(EnrolmentLink.objects.get())).status_code == 403


def test_link_and_its_parts_can_be_copied(client, alice, phone):
    client.force_login(alice)

    page = client.post(reverse("devices:enrol_mobile_again", args=[phone.pk]), {"days": "1"}).text

    url, secret, fingerprints = parts(page)
    link = f"{url}/.well-known/est#{secret}.{'.'.join(fingerprints)}"
    for text in (link, secret, fingerprints[0], f"{url}/.well-known/est"):
        assert f'data-copy="{text}"' in page


def test_end_user_page_can_be_copied_and_ended(client, alice, phone, now):
    client.force_login(alice)
    dialog = reverse("devices:end_user_page", args=[phone.pk])
    made = client.post(dialog)
    assert f'data-copy="{made.context["page_url"]}"' in made.text
    end = reverse("devices:end_end_user_page", args=[phone.pk])
    assert f'formaction="{end}"' in client.get(dialog).text

    client.post(end)
    client.post(end)

    assert Device.objects.get(name="phone1").page_hash is None
    assert AuditEvent.objects.filter(what="End-user page ended").count() == 1
