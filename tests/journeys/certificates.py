"""Certificates of a running zone, as PEM, from its database; and what OpenSSL says of them."""

import base64
import subprocess
import tempfile
import textwrap
from pathlib import Path


def pem(der):
    lines = textwrap.wrap(base64.b64encode(bytes(der)).decode(), 64)
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def authorities(zone):
    """Return the zone's CA certificates by generation."""
    query = "SELECT generation, der FROM certificates_certificateauthority WHERE der IS NOT NULL"
    return {generation: pem(der) for generation, der in zone.rows(query)}


def link(zone, *, certified, by):
    """Return the link certificate by which one generation vouches for another."""
    der = zone.one(
        "SELECT l.der FROM certificates_linkcertificate l"
        " JOIN certificates_certificateauthority c ON c.id = l.certified_id"
        " JOIN certificates_certificateauthority a ON a.id = l.authority_id"
        " WHERE c.generation = ? AND a.generation = ?",
        certified,
        by,
    )
    return pem(der)


def leaf(zone, name, operation):
    """Return the server certificate made for the server in the operation; None: its first one."""
    where = "s.operation_id = ?" if operation else "s.operation_id IS NULL"
    return pem(
        zone.one(
            "SELECT s.der FROM certificates_servercertificate s"
            f" JOIN devices_device d ON d.id = s.device_id WHERE d.name = ? AND {where}",
            name,
            *([operation] if operation else []),
        )
    )


def issued(zone):
    """Return every certificate ever signed in the zone, with the generation of its issuer."""
    query = (
        "SELECT i.der, a.generation FROM certificates_issuedcertificate i"
        " JOIN certificates_certificateauthority a ON a.id = i.authority_id"
        " WHERE i.der IS NOT NULL"
    )
    return [(pem(der), generation) for der, generation in zone.rows(query)]


def openssl_refuses(certificate, root):
    """Return what `openssl verify -x509_strict` has against a certificate, nothing if nothing."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "certificate.pem"), Path(folder, "root.pem")
        for file, text in zip(files, (certificate, root), strict=True):
            file.write_text(text)
        words = ["openssl", "verify", "-x509_strict", "-no-CApath", "-CAfile", files[1], files[0]]
        done = subprocess.run(words, text=True, capture_output=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def fields(certificate, *options):
    """Return what `openssl x509 -noout ...` prints of a certificate."""
    words = ["openssl", "x509", "-noout", *options]
    done = subprocess.run(words, input=certificate, text=True, capture_output=True, check=True)
    return done.stdout.strip()
