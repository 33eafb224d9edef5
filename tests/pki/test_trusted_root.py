"""The trusted root of an external CA, as it may come: in which files it is found, and refused."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs7
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from pki import csr, keys, trusted_root
from tests.certificates import external_ca
from tests.certificates.external_ca import ExternalCA
from tests.pki.conftest import make_root, pem

NOW = datetime.now(UTC) + timedelta(hours=1)
DAY = timedelta(days=1)
CA = (x509.BasicConstraints(ca=True, path_length=None), True)
SIGNS_NOTHING = (x509.KeyUsage(True, *[False] * 8), True)
SIGNS = (
    x509.KeyUsage(
        **dict.fromkeys(
            ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "crl_sign", "encipher_only", "decipher_only"], False),
        key_cert_sign=True,
    ),
    True,
)  # fmt: skip


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    return ExternalCA(tmp_path_factory.mktemp("outside"), "Acme")


@pytest.fixture(scope="module")
def leaf(acme):
    request = csr.build(
        keys.generate("ec-p256"), subject_dns="ps1.demo.zone", dns_names=[], ip_addresses=[]
    )
    return acme.sign_server(request)


def read(*certificates, form=pem):
    return trusted_root.read(form(*certificates), now=NOW)


def make(name="Odd Root", *, key=None, issuer=None, extensions=(CA, SIGNS), at=NOW):
    """A certificate as others make them; self-signed unless `issuer` is (certificate, key)."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(issuer[0].subject if issuer else subject).serial_number(7)
    builder = builder.not_valid_before(at - DAY).not_valid_after(at + 99 * DAY)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer[1] if issuer else key, SHA256())


FORMS = {
    "pem": pem,
    "windows": lambda *found: pem(*found).replace(b"\n", b"\r\n"),
    "text around": lambda *found: b"s:/CN=x\n" + pem(found[0]) + b"i:\n" + pem(*found[1:]) + b"\n",
    "p7b pem": lambda *found: pkcs7.serialize_certificates(list(found), Encoding.PEM),
    "p7b der": lambda *found: pkcs7.serialize_certificates(list(found), Encoding.DER),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_chain_is_read_in_every_form(acme, form):
    found = read(acme.intermediate, acme.root, form=form)

    assert (found.root, found.intermediates) == (acme.root, (acme.intermediate,))


def test_root_alone_in_der(acme):
    found = read(acme.root, form=lambda root: root.public_bytes(Encoding.DER))

    assert (found.root, found.intermediates) == (acme.root, ())
    assert trusted_root.cautions(found) == []


def test_chain_in_another_order_is_put_in_order_and_said(acme, leaf):
    found = read(acme.root, leaf, acme.intermediate)

    assert (found.root, found.intermediates) == (acme.root, (acme.intermediate,))
    assert (found.was_reordered, found.has_leaf) == (True, True)
    assert not read(leaf, acme.intermediate, acme.root).was_reordered
    assert "passed over" in trusted_root.cautions(found)[0]


def test_root_that_another_ca_has_certified_too_is_the_root(acme):
    other_key = keys.generate("ec-p256")
    other = make_root(other_key, "G1", now=NOW)
    root_key = keys.load((acme.folder / "root.key").read_bytes())
    cross = make(key=root_key, issuer=(other, other_key))
    same = x509.CertificateBuilder(  # the root's own name, by the other CA
        issuer_name=other.subject, subject_name=acme.root.subject, public_key=cross.public_key(),
        serial_number=9, not_valid_before=NOW - DAY, not_valid_after=NOW + DAY,
    ).sign(other_key, SHA256())  # fmt: skip

    found = read(acme.intermediate, same, acme.root)

    assert (found.root, found.intermediates) == (acme.root, (acme.intermediate,))


def test_incomplete_chain_names_who_is_missing(acme, leaf):
    with pytest.raises(ValueError, match='the issuer "CN=Acme Root CA, O=Acme" is missing'):
        read(acme.intermediate)
    with pytest.raises(ValueError, match='the issuer "CN=Acme Issuing CA, O=Acme" is missing'):
        read(leaf)


def test_two_roots_are_named(acme):
    with pytest.raises(ValueError, match='2 roots, "CN=Acme Root CA, O=Acme" and "CN=Odd Root"'):
        read(acme.root, make())


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"at": NOW - 200 * DAY}, "CN=Odd Root expired on"),
        ({"at": NOW + 9 * DAY}, "CN=Odd Root is valid only from"),
        ({"extensions": ()}, "CN=Odd Root is not a CA certificate: it has no extension basicCon"),
        (
            {"extensions": [(x509.BasicConstraints(ca=False, path_length=None), True)]},
            "CN=Odd Root is not a CA certificate: it says CA:FALSE",
        ),
        (
            {"extensions": [(x509.BasicConstraints(ca=True, path_length=None), False), SIGNS]},
            "does not mark its extension basicConstraints as critical",
        ),
        ({"extensions": [CA, SIGNS_NOTHING]}, "lacks keyCertSign in its extension keyUsage"),
        ({"key": ec.generate_private_key(ec.SECP521R1())}, "Its key is EC P-521"),
        ({"key": rsa.generate_private_key(65537, 1024)}, "Its key is RSA 1024; the least"),
    ],
)
def test_root_that_will_not_do_is_refused_with_the_reason(wishes, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(make(**wishes))


def test_root_of_a_plain_openssl_req_is_told_what_it_lacks(tmp_path):
    """Debian's own openssl.cnf makes it a CA without a key usage."""
    plain = ExternalCA(tmp_path, "Plain")
    command = ["req", "-x509", "-new", "-key", "root.key", "-subj", "/CN=Plain Root"]
    plain.run(*command, "-out", "plain.pem")

    with pytest.raises(ValueError, match="CN=Plain Root has no extension keyUsage") as refused:
        read(plain.read("plain.pem"))

    added = str(refused.value).partition("adds it with ")[2].rstrip(".").split()
    plain.run(*command, *added, "-out", "better.pem")
    assert read(plain.read("better.pem")).root.subject == plain.read("plain.pem").subject


def test_sha1_counts_below_the_root_and_not_on_it(tmp_path):
    old = ExternalCA(tmp_path, "Old")
    root = old.make_root("-sha1")
    assert read(old.intermediate, root).root == root

    weak = old.sign("root", "issuing.csr", external_ca.CA, days=9, digest="-sha1")

    with pytest.raises(ValueError, match="CN=Old Issuing CA, O=Old is signed with SHA1"):
        read(weak, root)


def test_root_signed_with_md5_is_refused(tmp_path):
    old = ExternalCA(tmp_path, "Old")
    old.run("genrsa", "-out", "root.key", "2048")

    with pytest.raises(ValueError, match="CN=Old Root CA, O=Old is signed with MD5"):
        read(old.make_root("-md5"))


def test_intermediate_below_a_root_that_allows_none_is_refused():
    key = keys.generate("ec-p256")
    top = make(key=key, extensions=[(x509.BasicConstraints(ca=True, path_length=0), True), SIGNS])
    below_key = keys.generate("ec-p256")
    below = make("Below", key=below_key, issuer=(top, key))
    lowest = make("Lowest", issuer=(below, below_key))

    with pytest.raises(ValueError, match="The chain is not accepted"):
        read(lowest, below, top)


def test_root_without_key_identifier_comes_with_a_caution():
    assert "Python 3.13" in trusted_root.cautions(read(make()))[0]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (bytes(1024 * 1024 + 1), "larger than 1 MiB"),
        (b"", "holds no certificate: it is empty. Fetch"),
        (b"hello", "that can be read. Choose one in DER or PEM"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "a damaged one. Fetch"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\n", "a request (CSR). Send it to the CA"),
        (b"-----BEGIN EC PRIVATE KEY-----\n", "a private key. Keep it secret"),
        (b"PK\x03\x04", "a ZIP archive. Unpack it"),
    ],
)
def test_file_that_is_none_is_refused(data, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        trusted_root.read(data, now=NOW)


@pytest.mark.parametrize("key_type", ["ec-p256", "rsa-4096"])
def test_archive_of_keys_is_told_from_rubbish(key_type):
    key = keys.generate(key_type)
    root = make_root(key, "G1", now=NOW)
    archive = serialize_key_and_certificates(b"x", key, root, None, NoEncryption())

    with pytest.raises(ValueError, match=r"PKCS #12 archive .* openssl pkcs12 -nokeys"):
        trusted_root.read(archive, now=NOW)


def test_more_than_twenty_certificates_are_refused(acme):
    with pytest.raises(ValueError, match="21 certificates"):
        read(*[acme.root] * 21)


def test_renewal_is_the_same_name_and_key(acme, tmp_path):
    again = acme.make_root("-set_serial", "99")
    other = ExternalCA(tmp_path, "Acme")

    assert trusted_root.is_renewal_of(again, acme.root)
    assert not trusted_root.is_renewal_of(other.root, acme.root)
