"""What EST carries, and the identity that is issued: as RFC 5280 and 7030 want it."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki import describe, est, issue, keys, names
from tests.pki.conftest import NOW
from tests.pki.test_issue import lint

GUID = "11111111-2222-4333-8444-555555555555"


def make_identity(generation, key_type="ec-p256", **changes):
    public = keys.generate(key_type).public_key()
    known = {"issuer": generation.new, "name": "phone1", "guid": GUID, "now": NOW}
    return issue.sign(issue.plan_identity(public, **(known | changes)), generation.new_key)


def make_request(subject="", alternatives=()):
    name = x509.Name.from_rfc4514_string(subject)
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if alternatives:
        found = x509.SubjectAlternativeName(alternatives)
        builder = builder.add_extension(found, critical=False)
    return builder.sign(keys.generate("ec-p256"), SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("key_type", ["ec-p256", "rsa-2048"])
def test_identity_has_no_findings(ec, tmp_path, key_type):
    assert lint(make_identity(ec, key_type), tmp_path) == (0, "")


def test_identity_says_whose_it_is(ec):
    shown = describe.describe(make_identity(ec)).alternative_names

    assert shown == (f"Permanent identifier: {GUID}",)


@pytest.mark.parametrize("value", [b"", b"0&\x0c$", b"\xff" * 40, b"0\x02\x0c\x00extra"])
def test_other_identifier_is_nobodys(value):
    assert (
        names.read_permanent_identifier(x509.OtherName(names.PERMANENT_IDENTIFIER, value)) is None
    )


def test_identity_never_outlives_its_ca(ec):
    identity = make_identity(ec, now=ec.new.not_valid_after_utc - (NOW - NOW.replace(hour=0)))

    assert identity.not_valid_after_utc <= ec.new.not_valid_after_utc


def test_certs_only_is_read_back(ec):
    body = est.certs_only([ec.old, ec.new])

    assert len(body.split()) == 1
    found = pkcs7.load_der_pkcs7_certificates(base64.b64decode(body))
    assert set(found) == {ec.old, ec.new}  # it is a SET, which DER sorts


def test_request_may_have_line_ends_anywhere():
    der = make_request()

    assert est.read_request(b"\r\n" + base64.encodebytes(der).replace(b"\n", b" \r\n")) == der


@pytest.mark.parametrize("subject", ["", "CN=phone1"])
def test_request_for_its_own_name_is_taken(subject):
    own = [names.permanent_identifier(GUID)]

    est.check_names(make_request(subject, own), name="phone1", guid=GUID)


@pytest.mark.parametrize("subject", ["CN=phone2", "CN=phone1,O=Acme", "O=Acme", "CN=Phone1"])
def test_request_for_another_subject_is_refused(subject):
    with pytest.raises(ValueError, match="The request is for"):
        est.check_names(make_request(subject), name="phone1", guid=GUID)


@pytest.mark.parametrize(
    "alternative",
    [
        x509.DNSName("phone1"),
        names.permanent_identifier("another"),
        x509.RFC822Name("a@example.com"),
    ],
)
def test_request_for_another_alternative_name_is_refused(alternative):
    with pytest.raises(ValueError, match="alternative names"):
        est.check_names(make_request("", [alternative]), name="phone1", guid=GUID)


def test_key_hash_is_that_of_the_key_alone():
    key = keys.generate("ec-p256")
    names = [x509.Name([]), x509.Name.from_rfc4514_string("CN=phone1")]
    builders = [x509.CertificateSigningRequestBuilder().subject_name(name) for name in names]
    first, second = (
        est.key_hash(builder.sign(key, SHA256()).public_bytes(Encoding.DER)) for builder in builders
    )

    assert first == second != est.key_hash(make_request())
