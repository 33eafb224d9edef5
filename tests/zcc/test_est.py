"""EST, endpoint by endpoint: who gets an identity, and who is told why not."""

import base64
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certificates import installing, trust
from certificates.installing import InternalCA
from certificates.models import CertificateAuthority, IdentityCA, IssuedCertificate, MobileIdentity
from devices import mobiles
from devices.models import Device, EnrolmentLink, Kind
from pki import names
from tests.zcc.est import Mobile, issue_all, make_identity_cas, make_request, read, subject
from tests.zcc.test_device_api import SERVER
from zcc import est
from zcc.ground import clock, here


@pytest.fixture
def zone(db, settings, tmp_path, monkeypatch):
    settings.ZCC_HOME = tmp_path
    monkeypatch.setenv(here.VARIABLE, "ps1")
    ca = InternalCA(common_name="TEST", key_type="ec-p256")
    return installing.set_up_zone("TEST", SERVER, ca, home=here.home("ps1"), now=clock.now())


@pytest.fixture
def mobile(zone):
    return Mobile(zone)


def get(what):
    return est.answer(est.Call("GET", est.PREFIX + what, {}))


def assert_refused(response, status, sentence):
    assert response.status == status
    assert sentence in response.body.decode()
    assert response.headers["Content-Type"].startswith("text/plain")


def test_cacerts_are_the_anchors_of_the_zone(zone):
    response = get("cacerts")

    assert response.headers["Content-Type"] == "application/pkcs7-mime"
    assert response.headers["Content-Transfer-Encoding"] == "base64"
    pems = [found.public_bytes(Encoding.PEM).decode() for found in read(response)]
    assert pems == trust.wanted(zone)["anchors"]


def test_mobile_enrols_by_its_link(zone, mobile):
    response = mobile.enrol()

    assert response.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
    [identity] = read(response)
    identity.verify_directly_issued_by(CertificateAuthority.objects.get().x509())
    assert identity.public_key() == mobile.key.public_key()
    assert identity.subject == subject("phone1")
    found = identity.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(found) == [names.permanent_identifier(str(mobile.device.guid))]
    usage = identity.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert (mobile.device.kind, mobile.device.folder) == (Kind.MOBILE, "/Mobile Devices")
    assert mobile.row.link.used_at is not None
    assert IssuedCertificate.objects.filter(purpose="identity").exclude(der=None).count() == 1


def test_request_is_parked_until_the_ca_server_has_signed(mobile):
    request = make_request(mobile.key)

    response = mobile.post("simpleenroll", request, secret=mobile.secret)

    assert (response.status, response.headers["Retry-After"]) == (202, "2")
    assert MobileIdentity.objects.get().state == "requested"
    issue_all()
    assert mobile.post("simpleenroll", request, secret=mobile.secret).status == 200
    assert MobileIdentity.objects.count() == 1


def test_secret_may_come_as_a_bearer_token(mobile):
    headers = {"authorization": f"Bearer {mobile.secret}", "content-type": "application/pkcs10"}
    body = base64.b64encode(make_request())

    response = est.answer(est.Call("POST", est.PREFIX + "simpleenroll", headers, body))

    assert response.status == 202


def test_only_a_hash_of_the_link_is_kept(mobile):
    mobile.enrol()

    assert mobile.secret not in str(EnrolmentLink.objects.values())


def test_used_link_is_of_no_use_to_another_key(mobile):
    mobile.enrol()

    response = mobile.post("simpleenroll", make_request(), secret=mobile.secret)

    assert_refused(response, 401, "This enrolment link has been used")
    assert MobileIdentity.objects.count() == 1


def test_expired_link_is_refused(zone, mobile):
    EnrolmentLink.objects.update(expires_at=clock.now() - timedelta(seconds=1))

    assert_refused(mobile.enrol(), 401, "This enrolment link has expired.")
    assert not Device.objects.filter(kind=Kind.MOBILE).exists()


@pytest.mark.parametrize("secret", ["wrong", None])
def test_without_the_secret_nobody_enrols(mobile, secret):
    response = mobile.post("simpleenroll", make_request(), secret=secret)

    assert response.status == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert not MobileIdentity.objects.exists()


def test_wrong_content_type_is_refused(mobile):
    assert_refused(mobile.enrol(content_type="application/json"), 415, "application/pkcs10")
    assert not MobileIdentity.objects.exists()


def signed_by_another(key):
    """A request whose signature is that of another request."""
    good, other = make_request(key), make_request()
    mine, theirs = x509.load_der_x509_csr(good).signature, x509.load_der_x509_csr(other).signature
    return good.replace(mine, theirs[: len(mine)].ljust(len(mine), b"\0"))


GARBAGE = [
    (b"", "The request is empty."),
    (b"!!!", "The request is not base64."),
    (b"aGVsbG8=", "This is not a certificate signing request"),
    (b"-----BEGIN CERTIFICATE REQUEST-----\n", "The request is in PEM."),
    (b"A" * 200_000, "larger than 64 KiB"),
    (b"\xff\xfe\x00", "The request is not base64."),
]


@pytest.mark.parametrize(("body", "sentence"), GARBAGE)
def test_garbage_is_refused_and_the_link_stays_good(mobile, body, sentence):
    assert_refused(mobile.enrol(body=body), 400, sentence)
    assert mobile.enrol().status == 200


def test_request_must_prove_its_key(mobile):
    body = base64.b64encode(signed_by_another(mobile.key))

    assert mobile.enrol(body=body).status == 400
    assert not MobileIdentity.objects.exists()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (rsa.generate_private_key(65537, 1024), "1024"),
        (ec.generate_private_key(ec.SECP192R1()), "P-256"),
    ],
)
def test_weak_key_is_refused(mobile, key, sentence):
    assert_refused(mobile.enrol(make_request(key)), 400, sentence)


def test_key_of_another_kind_is_refused(mobile):
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(""))
    request = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)

    response = mobile.enrol(request.public_bytes(Encoding.DER))

    assert_refused(response, 400, "use RSA, EC P-256 or EC P-384")


def test_request_for_another_name_is_refused_and_the_link_stays_good(mobile):
    response = mobile.enrol(make_request(mobile.key, name="phone2"))

    assert_refused(response, 400, "The request is for “phone2”, and this is phone1.")
    assert not Device.objects.filter(kind=Kind.MOBILE).exists()
    assert mobile.enrol(make_request(mobile.key, name="phone1")).status == 200


def test_request_for_other_alternative_names_is_refused(mobile):
    request = make_request(mobile.key, alternatives=[x509.DNSName("ps1.test.zone")])

    assert_refused(mobile.enrol(request), 400, "alternative names that are not those of phone1")


def test_link_whose_name_was_taken_meanwhile_is_refused(zone, mobile):
    other = Mobile(zone)
    other.enrol()

    assert_refused(mobile.enrol(), 401, "There is a device called phone1 by now.")
    assert EnrolmentLink.objects.filter(used_at=None).count() == 1


def test_identity_is_renewed_by_itself(mobile):
    mobile.enrol()
    before = mobile.row

    response = mobile.enrol_again()

    assert response.status == 200
    assert mobile.row.pk != before.pk
    assert (mobile.row.state, mobile.row.link) == ("issued", None)


def test_old_identity_ends_when_the_new_one_is_used(mobile):
    mobile.enrol()
    first = mobile.identity
    mobile.enrol_again()

    assert mobile.enrol_again().status == 200  # with the second one
    mobile.identity = first

    assert_refused(mobile.enrol_again(), 403, "This identity has been replaced.")
    assert MobileIdentity.objects.filter(state="current").count() == 1


def test_lost_answer_cuts_nobody_off(mobile):
    mobile.enrol()
    request, first = make_request(), mobile.identity
    mobile.enrol_again(request)
    mobile.identity = first

    response = mobile.post("simplereenroll", request)

    assert response.status == 200
    assert MobileIdentity.objects.count() == 2


def test_certificate_of_somebody_else_renews_nothing(zone, mobile):
    mobile.enrol()
    other = Mobile(zone, "phone2")
    other.enrol()

    response = mobile.post("simplereenroll", make_request(name="phone2"))

    assert_refused(response, 400, "The request is for “phone2”, and this is phone1.")


def test_renewal_needs_an_identity_in_the_handshake(mobile):
    assert_refused(mobile.post("simplereenroll", make_request()), 401, "TLS handshake")


def test_servers_certificate_is_no_identity(zone, mobile):
    mobile.identity = x509.load_pem_x509_certificate(
        here.home("ps1").read_file("security/server.cer")
    )

    assert_refused(mobile.enrol_again(), 403, "not an identity that this zone has issued")


def test_retired_mobile_is_refused(mobile):
    mobile.enrol()
    Device.objects.filter(kind=Kind.MOBILE).update(retired_at=clock.now())

    assert_refused(mobile.enrol_again(), 403, "This mobile is retired.")


def test_re_enrolment_link_gives_the_same_mobile_another_identity(zone, mobile):
    mobile.enrol()
    week = timedelta(days=7)
    secret = mobiles.make_link_again(mobile.device, lifetime=week, by=None, now=clock.now())
    again = Mobile(zone, secret=secret)

    assert again.enrol().status == 200
    assert again.row.device == mobile.row.device
    assert Device.objects.filter(kind=Kind.MOBILE).count() == 1


@pytest.mark.parametrize(
    ("method", "what", "status"),
    [("POST", "cacerts", 405), ("GET", "simpleenroll", 405), ("GET", "fullcmc", 404)],
)
def test_what_is_not_offered_is_said(zone, method, what, status):
    assert est.answer(est.Call(method, est.PREFIX + what, {})).status == status


def test_request_waits_while_an_external_ca_has_no_identity_ca_yet(zone, mobile):
    CertificateAuthority.objects.update(kind="external")

    response = mobile.enrol()

    assert (response.status, response.headers["Retry-After"]) == (202, "2")
    make_identity_cas(zone)
    assert mobile.enrol(make_request(mobile.key)).status == 200
    assert mobile.row.signed_by == IdentityCA.objects.get()


def test_mobile_that_asks_too_often_is_told_to_wait(mobile):
    mobile.enrol()
    for _ in range(9):
        assert mobile.enrol_again().status == 200

    response = mobile.enrol_again()

    assert_refused(response, 429, "Try again later.")
    assert response.headers["Retry-After"] == "900"


def test_who_has_no_link_is_not_listened_to(mobile):
    response = mobile.post("simpleenroll", b"", secret="unknown", content_type="text/html")

    assert_refused(response, 401, "This enrolment link is unknown.")


def test_mobile_with_the_same_key_is_answered_the_same_certificate(mobile):
    mobile.enrol()
    first = mobile.identity.fingerprint(SHA256())
    mobile.enrol()

    assert mobile.identity.fingerprint(SHA256()) == first
