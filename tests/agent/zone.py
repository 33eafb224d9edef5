"""A zone for tests: real certificates, links and signed trust manifests."""

import base64
import inspect
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent import updater
from agent.manifest import PREFIX, format_time

NOW = datetime.now(UTC).replace(microsecond=0)


def key_to_der(key):
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _usage(*, ca):
    names = list(inspect.signature(x509.KeyUsage).parameters)
    on = {"key_cert_sign", "crl_sign"} if ca else {"digital_signature"}
    return x509.KeyUsage(**{name: name in on for name in names})


@dataclass
class Authority:
    """A CA for tests: its key, its self-signed certificate, and what it signs."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    pem: bytes = b""
    ends: datetime = NOW + timedelta(days=30)

    @classmethod
    def make(cls, common_name="DEMO-ZONE", generation="1"):
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, generation),
            ]
        )
        ca = cls(ec.generate_private_key(ec.SECP256R1()), name)
        ca.pem = ca.certify(ca)
        return ca

    def expired(self):
        """This very CA, as if its certificate had ended a year ago."""
        before = replace(self, ends=NOW - timedelta(days=365))
        before.pem = before.certify(before)
        return before

    @property
    def sha256(self):
        return x509.load_pem_x509_certificate(self.pem).fingerprint(hashes.SHA256()).hex()

    def certify(self, other):
        """A certificate of the CA `other`, by this one: a root, or a link."""
        return self._sign(other.key.public_key(), other.name, ca=True, extensions=[])

    def issue(self, key, address="127.0.0.1", name="ps1.demo.zone"):
        alternatives = x509.SubjectAlternativeName(
            [x509.DNSName(name), x509.IPAddress(ip_address(address))]
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return self._sign(key.public_key(), subject, ca=False, extensions=[alternatives, purpose])

    def _sign(self, public_key, subject, *, ca, extensions):
        identifier = x509.SubjectKeyIdentifier.from_public_key
        issuer_id = identifier(self.key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(NOW, self.ends) - timedelta(hours=1))
            .not_valid_after(self.ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca=ca), critical=True)
            .add_extension(identifier(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id),
                critical=False,
            )
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Zone:
    """A zone that changes from `old` to `new`, with its update key."""

    guid = "6a1f0c1e-7f0e-4b36-9a54-0e8f6f4f6d01"
    operation = "11111111-1111-4111-8111-111111111111"

    def __init__(self):
        self.old, self.new = Authority.make(generation="1"), Authority.make(generation="2")
        self.link = self.old.certify(self.new)
        self.bridge = self.new.certify(self.old)
        self.update_key = ed25519.Ed25519PrivateKey.generate()

    @property
    def public_key(self):
        return self.update_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def envelope(self, *, epoch=1, anchors=None, update=None, **changes):
        payload = {
            "version": 1,
            "zone": self.guid,
            "epoch": epoch,
            "issued_at": format_time(NOW),
            "expires_at": format_time(NOW + timedelta(days=7)),
            "anchors": [anchor.decode() for anchor in anchors or [self.old.pem]],
            "update": update,
            **changes,
        }
        return self.seal(json.dumps(payload).encode())

    def tool(self, *, epoch=2, key=None, **changes):
        """The Certificate Updater Tool's package, as the zone would make it."""
        payload = {
            "version": 1,
            "zone": self.guid,
            "zone_name": "DEMO-ZONE",
            "operation": self.operation,
            "update": "22222222-2222-4222-8222-222222222222",
            "made_at": format_time(NOW),
            "epoch": epoch,
            "anchors": [self.old.pem.decode(), self.new.pem.decode()],
            "new_anchor": self.new.sha256,
            "activated": False,
            "servers": [],
            **changes,
        }
        return self.seal(json.dumps(payload).encode(), prefix=updater.PREFIX, key=key)

    def seal(self, payload, *, prefix=PREFIX, key=None):
        signature = (key or self.update_key).sign(prefix + payload)
        return json.dumps(
            {
                "payload": base64.b64encode(payload).decode(),
                "signature": base64.b64encode(signature).decode(),
            }
        ).encode()

    def update(self, *, content=b"package", activate_at=None, armed=False, activated=False):
        digest = hashes.Hash(hashes.SHA256())
        digest.update(content)
        return {
            "id": "22222222-2222-4222-8222-222222222222",
            "name": "Remint CA",
            "content": {"sha256": digest.finalize().hex(), "size": len(content)},
            "operation": self.operation,
            "new_anchor": self.new.sha256,
            "old_anchor": self.old.sha256,
            "activate_at": format_time(activate_at or NOW + timedelta(hours=1)),
            "armed": armed,
            "activated": activated,
        }
