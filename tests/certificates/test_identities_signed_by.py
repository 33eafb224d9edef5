"""Who signs identities in a zone with an external CA, as the console says it."""

import pytest

from certificates.models import CertificateAuthority, IdentityCA
from certificates.models.certificate import Certificate
from pki import authority, issue, names
from tests.certificates import building

INDEX = "/certificates/"


@pytest.fixture(autouse=True)
def signed_in(client, alice):
    client.force_login(alice)


@pytest.fixture
def external_ca(ca):
    CertificateAuthority.objects.update(kind="external")
    return CertificateAuthority.objects.get()


@pytest.fixture
def identity_ca(external_ca, now):
    subject = names.identity_ca_subject("DEMO-ZONE", serial_number="I1")
    plan = authority.plan_identity_root(subject, building.key(), now=now, years=10)
    return IdentityCA.objects.create(
        authority=external_ca,
        server=external_ca.server,
        created_at=now,
        **Certificate.columns(issue.sign(plan, building.key())),
    )


def test_pane_names_it_and_where_it_is(client, identity_ca):
    page = client.get(INDEX).text

    assert "Identities are signed by" in page
    assert f'href="/certificates/view/identity_ca/{identity_ca.pk}/"' in page
    assert "DEMO-ZONE Identities</a>, on ps1" in page


def test_pane_says_that_it_is_still_to_be_made(client, external_ca):
    assert "the CA for them is made as soon as ps1 runs" in client.get(INDEX).text


def test_pane_says_why_it_could_not_be_made(client, external_ca, now):
    why = "This server has no key-encryption key."
    external_ca.identity_cas.create(server=external_ca.server, created_at=now, problem=why)

    assert why in client.get(INDEX).text


def test_internal_zone_says_nothing_of_it(client, ca):
    assert "Identities are signed by" not in client.get(INDEX).text


def test_view_certificate_says_what_it_is_for(client, identity_ca, now):
    address = f"/certificates/view/identity_ca/{identity_ca.pk}/"

    page = client.get(address).text
    assert "Identity CA, on ps1: signs identities of mobile devices, nothing else" in page
    assert "Active" in page
    IdentityCA.objects.update(replaced_at=now)

    assert "Replaced" in client.get(address).text
    pem = client.get(f"{address}certificate.pem").content
    assert pem.startswith(b"-----BEGIN CERTIFICATE-----")


def test_external_ca_is_not_called_internal(client, external_ca):
    page = client.get(f"/certificates/view/ca/{external_ca.pk}/").text

    assert "Zone Certificate Authority, external" in page


def test_list_of_cas_has_it_apart_from_the_generations(client, identity_ca, now):
    page = client.get("/certificates/authorities/").text
    generations, apart = page.split(">Identity CAs</h2>")

    assert "DEMO-ZONE Identities" not in generations
    assert f'href="/certificates/view/identity_ca/{identity_ca.pk}/"' in apart
    assert f"under {identity_ca.authority.named}" in apart
    assert identity_ca.subject in apart
    assert "Signs identities" in apart
    assert "On ps1, encrypted" in apart
    assert "It goes with the update key." in apart


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("future", "Signs from the activation on"),
        ("superseded", "Kept for a rollback"),
        ("retired", "Signs no more"),
    ],
)
def test_list_says_what_an_identity_ca_is_good_for(client, identity_ca, state, word, now):
    CertificateAuthority.objects.update(state=state, retired_at=now)

    assert word in client.get("/certificates/authorities/").text


def test_list_says_that_one_was_replaced_and_its_key_destroyed(client, identity_ca, now):
    IdentityCA.objects.update(replaced_at=now, key_destroyed_at=now)

    apart = client.get("/certificates/authorities/").text.split(">Identity CAs</h2>")[1]

    assert "Replaced" in apart
    assert "Destroyed " in apart
    assert "On ps1, encrypted" not in apart


def test_list_does_not_promise_a_link_in_the_name_of_an_external_ca(client, external_ca):
    CertificateAuthority.objects.update(state="superseded")

    page = client.get("/certificates/authorities/").text

    assert "A device that knows only it comes in by the rescue port." in page
    assert "is carried by the link" not in page


def test_list_of_an_internal_zone_has_none(client, ca):
    assert "Identity CA" not in client.get("/certificates/authorities/").text


def test_tab_of_a_mobile_says_who_signs_its_identities(client, identity_ca, now):
    phone = building.make_device(identity_ca.authority.zone, "phone1", now, kind="mobile")
    address = f"/certificates/device/{phone.pk}/"

    page = client.get(address).text
    IdentityCA.objects.update(replaced_at=now)

    assert identity_ca.subject in page
    assert "It goes with the update key." in page
    assert identity_ca.subject not in client.get(address).text
