"""A future certificate whose server has other names by now: `Outdated`, and one click mends it."""

import pytest
from django.urls import reverse

from certificates.models import ServerCertificate
from devices.models import Device
from tests.certificates.dialogs import assert_is_closed, assert_is_refused


@pytest.fixture
def ps2(make_operation):
    """A server that has got another name since its future certificate was made."""
    operation = make_operation("assigned")
    operation.servers.update(staged_at=operation.created_at)
    ServerCertificate.objects.filter(state="future").update(csr=b"request")
    Device.objects.filter(name="ps2").update(dns_name="ps2.new.zone")
    return Device.objects.get(name="ps2")


def address(device):
    return reverse("certificates:reissue_certificate", args=[device.pk])


def states(device):
    rows = ServerCertificate.objects.filter(device=device).order_by("pk")
    return list(rows.values_list("state", flat=True))


def test_page_says_what_is_outdated_and_offers_to_mend_it(client, alice, ps2):
    client.force_login(alice)

    page = client.get("/certificates/").text

    assert ">Outdated<" in page
    assert "has no ps2.new.zone" in page
    assert "Mend the future certificate of ps2." in page
    assert page.count(address(ps2)) == 2  # href and hx-get


def test_it_is_made_anew_and_staged_anew(client, alice, ps2):
    client.force_login(alice)

    assert_is_closed(client.post(address(ps2)))

    assert states(ps2) == ["current", "cancelled", "requested"]
    row = ServerCertificate.objects.coming().get(device=ps2)
    assert (bytes(row.csr), row.asked_by) == (b"request", alice)
    assert row.operation.servers.get(device=ps2).staged_at is None
    event = row.operation.events.last()
    assert (event.by, event.note) == (alice, "The future certificate of ps2 is made anew")


def test_histories_do_not_call_it_assigned(client, alice, ps2):
    client.force_login(alice)
    client.post(address(ps2))
    coming = ServerCertificate.objects.coming().filter(device=ps2)
    operation = coming.get().operation
    coming.update(csr=None)  # Home reads it, and it is none

    home = client.get("/").text
    history = client.get(reverse("certificates:operation", args=[operation.pk])).text

    assert "</b>: Future certificate made anew, by Alice Berg" in home
    assert (
        "<h3>Future certificate made anew</h3><p>By Alice Berg. The future certificate of"
        in history
    )


def test_it_is_impossible_once_more_at_once(client, alice, ps2):
    client.force_login(alice)
    client.post(address(ps2))

    assert_is_refused(client.post(address(ps2)), "ps2 has no future certificate that could")


def test_it_is_impossible_once_it_is_armed(client, alice, make_operation):
    make_operation("armed")
    client.force_login(alice)
    ps2 = Device.objects.get(name="ps2")

    assert_is_refused(client.post(address(ps2)), "The operation is armed")
    assert states(ps2) == ["current", "future"]


def test_who_may_only_look_cannot(client, bob, ps2):
    client.force_login(bob)

    assert client.post(address(ps2)).status_code == 403
    assert address(ps2) not in client.get("/certificates/").text


def test_dialog_says_what_happens(client, alice, ps2):
    client.force_login(alice)

    page = client.get(address(ps2)).text

    assert "The CA signs it again, for the same key" in page
    assert "Make it anew" in page


def test_of_an_external_ca_another_request_is_offered(client, alice, external):
    client.force_login(alice)
    Device.objects.filter(name="ps1").update(dns_name="ps1.new.zone")

    page = client.get("/certificates/").text

    assert ">Outdated<" in page
    assert f"{reverse('certificates:generate_csr')}?server=" in page
    ps1 = Device.objects.get(name="ps1")
    assert_is_refused(client.post(address(ps1)), "use Generate CSR")
