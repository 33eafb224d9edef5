"""EST with clients that are not ours: openssl and curl, and strongSwan's `pki --est`."""

import shutil
import ssl
import subprocess
from base64 import b64encode
from urllib.request import Request, urlopen

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certificates.models import MobileIdentity
from tests.zcc.certificates import write_pem
from tests.zcc.device_listener import Listener
from tests.zcc.est import Mobile, make_request
from zcc.ground import here

# The listener and the worker are threads with connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed"
)
needs_strongswan = pytest.mark.skipif(
    shutil.which("pki") is None, reason="strongSwan's pki is not installed (strongswan-pki)"
)


@pytest.fixture(params=["internal", "external"])
def listener(request, settings, tmp_path, monkeypatch):
    """A server of a zone whose CA is its own, or is not."""
    settings.ZCC_HOME = tmp_path / "zone"
    monkeypatch.setenv(here.VARIABLE, "ps1")
    with Listener(request.param) as running:
        yield running


class Desk:
    """A folder in which somebody works with openssl, curl and strongSwan."""

    def __init__(self, listener, folder):
        self.listener, self.folder = listener, folder
        folder.mkdir()

    def run(self, *words, stdin=b""):
        done = subprocess.run(
            words, cwd=self.folder, input=stdin, capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def request(self, name, subject="/CN=phone1"):
        """Make a key and a request in base64."""
        self.run(
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", f"{name}.key", "-subj", subject, "-outform", "DER",
            "-out", f"{name}.der",
        )  # fmt: skip
        (self.folder / f"{name}.b64").write_bytes(
            self.run("openssl", "base64", "-in", f"{name}.der")
        )

    def post(self, what, name, *more):
        """Send the request `name`; keep the certificate that comes back."""
        answer = self.run(
            "curl", "-sS", "--fail", "--retry", "3", "--cacert", self.listener.ca_file,
            "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{name}.b64", *more,
            f"{self.listener.url}/.well-known/est/{what}",
        )  # fmt: skip
        (self.folder / f"{name}.pem").write_bytes(self.certificates(answer))

    def enrol(self, name, *more):
        """Send the request `name` by strongSwan's client; keep the certificate that comes back."""
        words = ("pki", "--est", "--cacert", self.listener.ca_file, "--interval", "1")
        where = ("--url", self.listener.url, "--in", f"{name}.der", "--outform", "pem")
        (self.folder / f"{name}.pem").write_bytes(self.run(*words, *where, *more))

    def certificates(self, answer):
        der = self.run("openssl", "base64", "-d", "-A", stdin=answer)
        words = ("openssl", "pkcs7", "-inform", "DER", "-print_certs")
        return self.run(*words, stdin=der)


@needs_curl
@needs_openssl
def test_openssl_and_curl_enrol_and_enrol_again(listener, tmp_path):
    curl = Desk(listener, tmp_path / "phone")
    answer = curl.run(
        "curl", "-sS", "--insecure", f"{listener.url}/.well-known/est/cacerts"
    )  # as a client does that compares the fingerprint
    assert listener.ca_file.read_text().strip() in curl.certificates(answer).decode()
    mobile = Mobile(listener.zone)

    curl.request("first")
    curl.post("simpleenroll", "first", "--user", f"phone1:{mobile.secret}")
    curl.request("second")
    curl.post("simplereenroll", "second", "--cert", "first.pem", "--key", "first.key")

    assert_two_identities(curl)


@needs_strongswan
@needs_openssl
def test_strongswan_enrols_and_enrols_again(listener, tmp_path):
    desk = Desk(listener, tmp_path / "phone")
    mobile = Mobile(listener.zone)
    words = ("pki", "--estca", "--url", listener.url, "--cacert", listener.ca_file)

    desk.run(*words, "--caout", "ca", "--outform", "pem")
    desk.request("first")
    desk.enrol("first", "--userpass", f"phone1:{mobile.secret}")
    desk.request("second")
    desk.enrol("second", "--cert", "first.pem", "--key", "first.key")

    assert (desk.folder / "ca.pem").read_text() == listener.ca_file.read_text()
    assert_two_identities(desk)


def assert_two_identities(desk):
    """Both are good for a client, as the device API verifies it; the first got the second."""
    issuers = desk.listener.home.path / here.ISSUERS
    for name in ("first", "second"):
        words = ("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile")
        desk.run(*words, issuers, f"{name}.pem")
    states = MobileIdentity.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["current", "issued"]


def client(listener, pem=None):
    context = ssl.create_default_context(cafile=listener.ca_file)
    if pem is not None:
        context.load_cert_chain(pem)
    return context


def enrolled(listener, folder):
    """Return a mobile, and the file with its identity and key."""
    mobile = Mobile(listener.zone)
    mobile.enrol()
    key = mobile.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "identity.pem"
    path.write_bytes(mobile.identity.public_bytes(Encoding.PEM) + key)
    return mobile, path


def test_identity_in_the_handshake_is_who_calls(listener, tmp_path):
    mobile, pem = enrolled(listener, tmp_path)
    call = Request(f"{listener.url}/device/welcome")

    with urlopen(call, context=client(listener, pem), timeout=10) as answer:
        assert str(mobile.device.guid) in answer.read().decode()

    mobile.row.refresh_from_db()
    assert mobile.row.state == "current"


def test_certificate_of_a_stranger_ends_the_handshake(listener, tmp_path):
    write_pem(tmp_path / "stranger.pem", 7)

    with pytest.raises(OSError, match=r"(?i)unknown ca|reset|closed|EOF|alert|broken pipe"):
        urlopen(
            f"{listener.url}/device/ping",
            context=client(listener, tmp_path / "stranger.pem"),
            timeout=10,
        )


def test_who_shows_none_is_served_all_the_same(listener):
    with urlopen(f"{listener.url}/device/ping", context=client(listener), timeout=10) as answer:
        assert answer.status == 204


def test_issuers_that_change_count_from_the_next_connection_on(listener, tmp_path):
    _, pem = enrolled(listener, tmp_path)
    listener.home.remove_file(here.ISSUERS)

    with pytest.raises(OSError, match=r"(?i)unknown ca|reset|closed|EOF|alert|broken pipe"):
        urlopen(f"{listener.url}/device/ping", context=client(listener, pem), timeout=10)


def test_answer_waits_for_the_signature(listener):
    mobile = Mobile(listener.zone)
    call = Request(
        f"{listener.url}/.well-known/est/simpleenroll",
        data=b64encode(make_request(mobile.key)),
        headers={
            "Content-Type": "application/pkcs10",
            "Authorization": f"Bearer {mobile.secret}",
        },
    )

    with urlopen(call, context=client(listener), timeout=15) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/pkcs7-mime; smime-type=certs-only"
