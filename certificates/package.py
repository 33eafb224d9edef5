"""
The content of a system update: one stored ZIP with what a device needs and can check.

    anchors.pem    every CA that the device is to trust, oldest first
    links.pem      the link certificates of the operation
    manifest.json  what the operation is, for people; the signed manifest is what devices go by
    agent.pyz      the agent, which is also its own installer

The same rows give the same bytes, so that building it twice gives one content item.
"""

import hashlib
import io
import json
import zipfile

from cryptography.hazmat.primitives.serialization import Encoding

from agent.home import Home
from certificates import trust
from certificates.models import CertificateAuthority, LinkCertificate, Operation
from certificates.models.authority import distinct

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a ZIP can hold


def build(operation: Operation, new_ca: CertificateAuthority, *, agent_pyz: bytes) -> bytes:
    """Return the package as bytes."""
    trusted = CertificateAuthority.objects.filter(zone=operation.zone).trusted()
    anchors = distinct([*trusted, new_ca])
    links = LinkCertificate.objects.filter(certified=new_ca).order_by("pk")
    members = {
        "anchors.pem": "".join(trust.anchor_pem(anchor) for anchor in anchors).encode(),
        "links.pem": b"".join(link.x509().public_bytes(Encoding.PEM) for link in links),
        "manifest.json": _about(operation, new_ca),
        "agent.pyz": agent_pyz,
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), data)
    return stream.getvalue()


def store(home: Home, package: bytes) -> str:
    """Put the package into content-repo and return its SHA-256."""
    sha256 = hashlib.sha256(package).hexdigest()
    home.add_content(sha256, io.BytesIO(package))
    return sha256


def _about(operation: Operation, new_ca: CertificateAuthority) -> bytes:
    about = {
        "zone": str(operation.zone.guid),
        "operation": str(operation.guid),
        "kind": operation.kind,
        "update": str(operation.update.guid),
        "new_anchor": new_ca.sha256,
        "old_anchor": operation.old_ca.sha256,
    }
    return json.dumps(about, indent=2, sort_keys=True).encode() + b"\n"
