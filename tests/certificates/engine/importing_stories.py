"""What the stories of imported certificates share: an external CA, its files, who listens."""

import socket
import ssl
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import importing
from certificates.models import Operation, ServerCertificate
from tests.agent.test_serve import serving
from tests.certificates.engine import changing
from tests.certificates.external_ca import ExternalCA
from zcc.ground import clock


@pytest.fixture
def acme(tmp_path):
    return ExternalCA(tmp_path / "outside")


@pytest.fixture
def started(living, acme):
    """A change to the external CA; every server has made its request."""
    return start(living, acme)


@pytest.fixture
def by_hand(living, acme):
    """The same, with certificates and keys put into remint-repo by hand."""
    return start(living, acme, csr_mode="manual")


def start(living, acme, **changes):
    operation = changing.to_external(living, acme, **changes)
    living.run()
    return Operation.objects.get(pk=operation.pk)


def request_of(name, operation):
    rows = ServerCertificate.objects.filter(operation=operation, device__name=name)
    return rows.exclude(csr=None).order_by("pk").last()


def signed(acme, name, operation, **options):
    return acme.sign_server(bytes(request_of(name, operation).csr), **options)


def pem_of(*certificates):
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def bring(living, operation, files, **options):
    """Import the files; return word and text of each verdict."""
    given = list(files.items())
    found = importing.import_files(operation, given, by=living.alice, now=clock.now(), **options)
    return [(verdict.word, verdict.text) for verdict in found]


@contextmanager
def listening(home):
    """A real listener with this home's certificate; yields its TLS port."""
    with serving(home) as ports:
        yield ports["tls"]


def connect(port, *, trusted, name):
    """Connect as a client that trusts these CAs alone, and knows the server by `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=trusted.decode())
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    return context.wrap_socket(raw, server_hostname=name)


def leaf_of(connection):
    der = connection.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).fingerprint(SHA256()).hex()
