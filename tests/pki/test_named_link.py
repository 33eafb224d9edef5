"""
Our CA vouches for an external one, for the zone's names alone: what clients say that know ours.

Asked of real handshakes by OpenSSL (Python, curl), GnuTLS, Java and NSS, as far as they are here.
"""

import shutil
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime

import pytest
from cryptography import x509

from pki import authority, csr, issue, keys, trusted_root
from tests.certificates.external_ca import BY_SERIAL, ExternalCA
from tests.journeys import clients
from tests.pki.conftest import make_root, pem

NAMES = ["localhost", "127.0.0.1"]


class Zone:
    """Our CA, an external one with an intermediate, and a server of the external one."""

    def __init__(self, folder):
        now = datetime.now(UTC)
        self.folder = folder
        self.old_key, self.server_key = keys.generate("ec-p256"), keys.generate("ec-p256")
        self.old = make_root(self.old_key, "G1", now=now)
        self.external = ExternalCA(folder)
        request = csr.build(
            self.server_key, subject_dns="localhost", dns_names=[], ip_addresses=["127.0.0.1"]
        )
        self.leaf = self.external.sign_server(request)
        self.now = now

    def link(self, permitted):
        plan = authority.plan_link(
            self.external.root, issuer=self.old, permitted=permitted, now=self.now
        )
        return issue.sign(plan, self.old_key)

    def shows(self, *sent):
        """Return the file that a listener loads: the leaf, what is sent with it, the key."""
        path = self.folder / "server.pem"
        path.write_bytes(pem(self.leaf, *sent) + keys.to_pem(self.server_key))
        return path

    def trusts(self, root):
        path = self.folder / "trusted.pem"
        path.write_bytes(pem(root))
        return path


@pytest.fixture(scope="module")
def zone(tmp_path_factory):
    return Zone(tmp_path_factory.mktemp("zone"))


@pytest.fixture
def serve():
    """Return a port of a listener that answers every request with nothing, over TLS."""
    listeners = []

    def answer(listener, context):
        while True:
            try:
                with context.wrap_socket(listener.accept()[0], server_side=True) as tls:
                    tls.recv(4096)
                    tls.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            except (ssl.SSLError, ConnectionError):
                continue
            except OSError:  # closed: the test is over
                return

    def start(path):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        listeners.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=answer, args=[listeners[-1], context], daemon=True).start()
        return listeners[-1].getsockname()[1]

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def refusals(zone, serve, sent, trusted):
    port = serve(zone.shows(*sent))
    return clients.refusals([zone.trusts(trusted)], [f"127.0.0.1:{port}"])


@pytest.mark.parametrize("trusted", ["old", "new"])
def test_clients_of_either_ca_accept_a_server_of_the_zone(zone, serve, trusted):
    root = zone.old if trusted == "old" else zone.external.root

    assert refusals(zone, serve, [zone.external.intermediate, zone.link(NAMES)], root) == []


@pytest.mark.parametrize("names", [["ps1.other.zone", "127.0.0.1"], ["localhost", "127.0.0.9"]])
def test_clients_of_our_ca_refuse_every_other_name(zone, serve, names):
    said = refusals(zone, serve, [zone.external.intermediate, zone.link(names)], zone.old)

    assert len(said) >= len(clients.available())


def test_without_the_link_clients_of_our_ca_refuse(zone, serve):
    said = refusals(zone, serve, [zone.external.intermediate], zone.old)

    assert len(said) >= len(clients.available())


def test_nss_accepts_it_too(zone, tmp_path):
    if not shutil.which("certutil"):
        pytest.skip("certutil is not installed")

    def nss(*words, data=None):
        done = subprocess.run(
            ["certutil", *words, "-d", f"sql:{tmp_path}"], input=data, capture_output=True
        )
        return done.returncode == 0

    assert nss("-N", "--empty-password")
    for name, trust, certificate in [
        ("old", "C,,", zone.old),
        ("issuing", ",,", zone.external.intermediate),
        ("link", ",,", zone.link(NAMES)),
        ("leaf", ",,", zone.leaf),
    ]:
        assert nss("-A", "-n", name, "-t", trust, "-a", data=pem(certificate))
    assert nss("-V", "-n", "leaf", "-u", "V")


def test_link_is_the_roots_stand_in_and_ends_with_the_first_of_the_two(zone):
    link = zone.link(NAMES)

    constraints = link.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert link.subject == zone.external.root.subject
    assert keys.same_key(link, zone.external.root)
    ends = [zone.old.not_valid_after_utc, zone.external.root.not_valid_after_utc]
    assert link.not_valid_after_utc == min(ends)


def test_chain_that_names_its_issuer_by_serial_number_gets_no_link(tmp_path):
    plain = ExternalCA(tmp_path, "Plain")
    odd = ExternalCA(tmp_path, "Odd", intermediate_names_by=BY_SERIAL)

    assert authority.why_no_link(plain.root, [plain.intermediate]) is None
    assert "by serial number" in authority.why_no_link(odd.root, [odd.intermediate])
    assert trusted_root.read(odd.chain, now=datetime.now(UTC)).root == odd.root
