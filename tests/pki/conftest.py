"""Two generations of a CA, the links between them, and a server: made once."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki import authority, csr, issue, keys, names

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
SERVER = "ps1.demo.zone"


@dataclass
class Generations:
    """An old and a new CA, each other's links, and the server's leaf of each."""

    old_key: keys.PrivateKey
    new_key: keys.PrivateKey
    old: x509.Certificate
    new: x509.Certificate
    link: x509.Certificate
    bridge: x509.Certificate
    server_key: keys.PrivateKey
    old_leaf: x509.Certificate
    new_leaf: x509.Certificate


def make_root(key, generation, *, now=NOW, years=10):
    subject = names.ca_subject("DEMO-ZONE", serial_number=generation)
    return issue.sign(authority.plan_root(subject, key, now=now, years=years), key)


def make_leaf(server_key, issuer, issuer_key, *, now=NOW, **wishes):
    request = csr.build(
        server_key, subject_dns=SERVER, dns_names=[SERVER], ip_addresses=["127.0.0.1"]
    )
    wanted = {
        "subject_dns": SERVER,
        "dns_names": ["alias.demo.zone"],
        "ip_addresses": ["127.0.0.1"],
    }
    plan = issue.plan_server(csr.check(request), issuer=issuer, now=now, **{**wanted, **wishes})
    return issue.sign(plan, issuer_key)


def make_generations(key_type, *, now=NOW):
    old_key, new_key, server_key = (keys.generate(key_type) for _ in range(3))
    old, new = make_root(old_key, "G1", now=now), make_root(new_key, "G2", now=now)
    return Generations(
        old_key=old_key,
        new_key=new_key,
        old=old,
        new=new,
        link=issue.sign(authority.plan_link(new, issuer=old, now=now), old_key),
        bridge=issue.sign(authority.plan_link(old, issuer=new, now=now), new_key),
        server_key=server_key,
        old_leaf=make_leaf(server_key, old, old_key, now=now),
        new_leaf=make_leaf(server_key, new, new_key, now=now),
    )


@pytest.fixture(scope="session", params=["ec-p256", "ec-p384", "rsa-2048"])
def generations(request):
    return make_generations(request.param)


@pytest.fixture(scope="session")
def ec():
    return make_generations("ec-p256")


def pem(*certificates):
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


@pytest.fixture
def openssl_verify(tmp_path):
    """Return whether OpenSSL accepts a leaf with these others sent and these roots trusted."""

    def verify(leaf, *, sent=(), trusted):
        files = {"leaf": (leaf,), "sent": tuple(sent) or (leaf,), "trusted": tuple(trusted)}
        for name, certificates in files.items():
            (tmp_path / name).write_bytes(pem(*certificates))
        at = str(int(NOW.timestamp()) + 60)
        command = ["openssl", "verify", "-x509_strict", "-attime", at, "-no-CApath", "-no-CAstore"]
        command += ["-CAfile", tmp_path / "trusted", "-untrusted", tmp_path / "sent"]
        return subprocess.run([*command, tmp_path / "leaf"], capture_output=True).returncode == 0

    return verify
