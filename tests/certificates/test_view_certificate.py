"""`View Certificate` for every certificate, and its downloads."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from django.urls import reverse

from certificates.models import LinkCertificate, ServerCertificate


@pytest.fixture(autouse=True)
def signed_in(client, bob):
    client.force_login(bob)  # whoever is signed in may look


def address(kind, row):
    return reverse("certificates:view_certificate", args=[kind, row.pk])


LABELS = [
    "Subject",
    "Issued by",
    "Valid from",
    "Expires",
    "Key length",
    "MD5 Fingerprint",
    "SHA1 Fingerprint",
    "Certificate Status",
    "SHA-256 Fingerprint",
    "Serial number",
    "Signature algorithm",
    "Alternative names",
    "Chain",
]


def test_dialog_shows_the_fields_in_the_order_of_the_manual(client, ca):
    page = client.get(address("ca", ca)).text

    places = [page.index(f"<dt>{label}</dt>") for label in LABELS]
    assert places == sorted(places)


def test_facts_are_those_of_the_certificate(client, ca):
    page = client.get(address("ca", ca)).text

    digest = ca.x509().fingerprint(SHA256()).hex(":").upper()
    assert digest in page
    assert "EC P-256" in page
    assert "This certificate is the root." in page


def test_certificate_of_a_server_shows_its_names_and_chain(client, ca):
    certificate = ServerCertificate.objects.get(device__name="ps1")

    page = client.get(address("server", certificate)).text

    assert "ps1.demo.zone" in page
    assert "127.0.0.1" in page
    assert address("ca", ca) in page


def test_future_certificate_says_that_it_is_one(client, make_operation):
    make_operation("replicating")
    future = ServerCertificate.objects.filter(state="future").first()

    page = client.get(address("server", future)).text

    assert f"Future certificate of {future.device.name}" in page
    assert "New certificate created" in page


@pytest.mark.parametrize(
    ("state", "word"), [("replicating", "Future certificate"), ("overlap", "Active")]
)
def test_new_ca_shows_how_far_it_is(client, make_operation, state, word):
    operation = make_operation(state)

    assert word in client.get(address("ca", operation.new_ca)).text


def test_link_says_who_vouches_for_whom(client, make_operation):
    operation = make_operation("replicating")
    link = LinkCertificate.objects.get(certified=operation.new_ca)

    assert "Link: the new CA signed by the old" in client.get(address("link", link)).text


@pytest.mark.parametrize(
    ("form", "load"),
    [("pem", x509.load_pem_x509_certificate), ("der", x509.load_der_x509_certificate)],
)
def test_download_is_the_certificate(client, ca, form, load):
    response = client.get(reverse("certificates:download_certificate", args=["ca", ca.pk, form]))

    assert load(response.content) == ca.x509()
    assert response["Content-Disposition"].startswith('attachment; filename="DEMO-ZONE-')


def test_request_without_certificate_cannot_be_viewed(client, ca, servers, now):
    row = ServerCertificate.objects.create(device=servers[0], csr=b"csr", created_at=now)

    assert client.get(address("server", row)).status_code == 404


def test_unknown_kind_is_not_found(client, ca):
    assert client.get(f"/certificates/view/key/{ca.pk}/").status_code == 404
