"""Certificate files in every form, and what is wrong with a chain, in words."""

import random
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec as elliptic
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)

from agent import manifest as agent_manifest
from pki import authority, chains, describe, issue, keys, manifest
from tests.pki.conftest import NOW, SERVER, make_leaf, make_root, pem


def check(chain, key, *, at=NOW, wanted=(SERVER,), roots):
    chains.check_server_chain(chain, key, wanted=list(wanted), at=at, roots=list(roots))


@pytest.mark.parametrize(
    "form",
    [
        pem,
        lambda *found: pem(*found).replace(b"\n", b"\r\n"),
        lambda *found: b"subject=CN\n" + pem(found[0]) + b"\nissuer\n" + pem(*found[1:]),
        lambda *found: pkcs7.serialize_certificates(list(found), Encoding.PEM),
        lambda *found: pkcs7.serialize_certificates(list(found), Encoding.DER),
    ],
)
def test_file_is_read_by_its_content(ec, form):
    assert set(chains.load(form(ec.new_leaf, ec.new))) == {ec.new_leaf, ec.new}


def test_single_certificate_in_der_is_read(ec):
    assert chains.load(ec.new.public_bytes(Encoding.DER)) == [ec.new]


@pytest.mark.parametrize("garbage", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nx", bytes(500)])
def test_garbage_is_refused_with_a_sentence(garbage):
    with pytest.raises(ValueError, match="holds no certificate"):
        chains.load(garbage)


def test_file_over_one_mebibyte_is_refused():
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        chains.load(bytes(1024 * 1024 + 1))


def test_more_than_twenty_certificates_are_refused(ec):
    with pytest.raises(ValueError, match="21 certificates"):
        chains.load(pem(*[ec.new] * 21))


def test_chain_in_any_order_is_put_in_order(ec):
    wanted = [ec.new_leaf, ec.link, ec.old]
    mixed = random.Random(7).sample(wanted, 3)

    assert chains.order(mixed) == wanted


def test_two_chains_in_a_file_are_refused(ec):
    with pytest.raises(ValueError, match="more than one chain"):
        chains.order([ec.new_leaf, ec.old_leaf])


def test_missing_issuer_is_named(ec):
    with pytest.raises(ValueError, match='the issuer "CN=DEMO-ZONE, serialNumber=G2" is missing'):
        chains.root_of([ec.new_leaf])


def test_chain_that_fits_is_accepted(generations):
    chain = [generations.new_leaf, generations.new]

    check(chain, generations.server_key, wanted=[SERVER, "127.0.0.1"], roots=[generations.new])


def test_wrong_key_is_named(ec):
    with pytest.raises(ValueError, match="key does not belong"):
        check([ec.new_leaf, ec.new], ec.old_key, roots=[ec.new])


@pytest.mark.parametrize(("days", "sentence"), [(398, "expired on"), (-2, "is valid only from")])
def test_time_is_checked_at_the_given_time(ec, days, sentence):
    with pytest.raises(ValueError, match=sentence):
        check([ec.new_leaf, ec.new], None, at=NOW + timedelta(days=days), roots=[ec.new])


def test_name_that_is_not_covered_is_named(ec):
    with pytest.raises(ValueError, match=r"not valid for ps2\.demo\.zone"):
        check([ec.new_leaf], None, wanted=["ps2.demo.zone"], roots=[ec.new])


def test_chain_to_another_root_is_refused(ec):
    with pytest.raises(ValueError, match='leads to "CN=DEMO-ZONE, serialNumber=G2", which is an'):
        check([ec.new_leaf, ec.new], None, roots=[ec.old])


def test_chain_without_its_issuer_names_it(ec):
    with pytest.raises(ValueError, match='the issuer "CN=DEMO-ZONE, serialNumber=G2" is missing'):
        check([ec.new_leaf], None, roots=[ec.old])


@pytest.mark.parametrize("trusted", [["old"], ["new"], ["old", "new"]])
def test_link_leads_to_either_root(generations, trusted):
    roots = [getattr(generations, name) for name in trusted]

    check([generations.new_leaf, generations.link], generations.server_key, roots=roots)
    check([generations.old_leaf, generations.bridge], generations.server_key, roots=roots)


@pytest.mark.parametrize("left_out", ["chain", "wanted", "roots"])
def test_nothing_is_accepted_unjudged(ec, left_out):
    given = {"chain": [ec.new_leaf], "wanted": [SERVER], "roots": [ec.new], left_out: []}

    with pytest.raises(ValueError, match="at least one"):
        check(given["chain"], None, wanted=given["wanted"], roots=given["roots"])


def test_root_with_a_key_of_another_kind_is_refused_though_the_chain_leaves_it_out(ec):
    odd_key = elliptic.generate_private_key(elliptic.SECP521R1())
    odd = make_root(odd_key, "G8")
    leaf = make_leaf(ec.server_key, odd, odd_key)

    with pytest.raises(ValueError, match="serialNumber=G8: Its key is EC P-521"):
        check([leaf], None, roots=[odd])


def test_ca_does_not_pass_for_a_server(ec):
    with pytest.raises(ValueError, match=r"not accepted|not valid for|names no DNS name"):
        check([ec.link], ec.new_key, roots=[ec.old])


def test_weak_key_in_the_chain_is_named(ec):
    weak = keys.rsa.generate_private_key(public_exponent=65537, key_size=1024)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(ec.new_leaf.subject)
        .issuer_name(ec.new.subject)
        .public_key(weak.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(ec.new_key, SHA256())
    )

    with pytest.raises(ValueError, match="RSA 1024"):
        check([leaf], None, roots=[ec.new])


def test_wildcard_certificate_covers_a_name(ec):
    builder = issue.plan_server(
        ec.server_key.public_key(),
        issuer=ec.new,
        subject_dns="placeholder.demo.zone",
        dns_names=[],
        ip_addresses=[],
        now=NOW,
    ).builder
    extensions = [
        one for one in builder._extensions if not isinstance(one.value, x509.SubjectAlternativeName)
    ]
    builder._extensions = extensions
    wild = x509.SubjectAlternativeName([x509.DNSName("*.demo.zone")])
    leaf = builder.add_extension(wild, critical=False).sign(ec.new_key, SHA256())

    check([leaf], ec.server_key, roots=[ec.new])


def test_facts_are_those_of_the_certificate(ec):
    facts = describe.describe(ec.new_leaf)

    assert facts.subject == f"CN={SERVER}"
    assert facts.issuer == "CN=DEMO-ZONE, serialNumber=G2"
    assert facts.key_length == "EC P-256"
    assert facts.signature_algorithm == "SHA-256 with ECDSA"
    assert facts.alternative_names == (
        f"DNS: {SERVER}",
        "DNS: alias.demo.zone",
        "IP: 127.0.0.1",
    )
    assert facts.sha256.replace(":", "").lower() == describe.fingerprint(ec.new_leaf)


def changed(certificate, old, new):
    """The certificate with some of its bytes replaced, as odd software might have made it."""
    der = certificate.public_bytes(Encoding.DER)
    assert der.count(old) == 1
    return der.replace(old, new)


EC_KEY = bytes.fromhex("06072a8648ce3d0201")
KEY_OF_ANOTHER_WORLD = bytes.fromhex("06072a8648ce3d027f")


def test_unknown_kind_of_key_is_refused_with_a_sentence(ec):
    odd = chains.load(changed(ec.new_leaf, EC_KEY, KEY_OF_ANOTHER_WORLD))

    for judge in (chains.order, lambda chain: check(chain, None, roots=[ec.new])):
        with pytest.raises(ValueError, match="The public key of a certificate in the file cannot"):
            judge(odd)


def test_unknown_version_is_refused_with_a_sentence(ec):
    with pytest.raises(ValueError, match="no certificate that can be read"):
        chains.load(changed(ec.new_leaf, bytes.fromhex("a003020102"), bytes.fromhex("a003020109")))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_certificate_raises_nothing_but_sentences(ec, seed):
    dice, der = random.Random(seed), ec.new_leaf.public_bytes(Encoding.DER)

    for _ in range(300):
        damaged = bytearray(der)
        damaged[dice.randrange(len(der))] = dice.randrange(256)
        try:
            found = chains.load(bytes(damaged))
            describe.describe(found[0])
            chains.root_of(chains.order(found))
        except ValueError as error:
            assert str(error).startswith(("The ", "A ")), f"seed {seed}: {damaged.hex()}"


def test_directory_name_is_shown_as_a_name(ec):
    builder = authority.plan_root(ec.old.subject, ec.old_key, now=NOW, years=1).builder
    other = x509.SubjectAlternativeName([x509.DirectoryName(ec.new.subject)])

    facts = describe.describe(
        builder.add_extension(other, critical=False).sign(ec.old_key, SHA256())
    )

    assert facts.alternative_names == ("Directory name: CN=DEMO-ZONE, serialNumber=G2",)


def test_odd_certificate_is_described_all_the_same(ec):
    root = make_root(ec.old_key, "G1")
    der = bytearray(root.public_bytes(Encoding.DER))
    at = bytes(der).index(b"\x06\x03\x55\x1d\x13")  # basicConstraints becomes another keyUsage
    der[at : at + 5] = b"\x06\x03\x55\x1d\x0f"

    facts = describe.describe(x509.load_der_x509_certificate(bytes(der)))

    assert facts.alternative_names == (describe.UNREADABLE,)
    assert facts.subject == "CN=DEMO-ZONE, serialNumber=G1"


def test_manifest_is_read_by_the_agent():
    key = Ed25519PrivateKey.generate()
    payload = {
        "version": 1,
        "zone": "z",
        "epoch": 7,
        "issued_at": "2026-11-24T12:00:00Z",
        "expires_at": "2026-12-24T12:00:00Z",
        "anchors": [pem(make_root(keys.generate("ec-p256"), "G1")).decode()],
        "update": None,
    }

    envelope = manifest.sign(payload, key)

    assert manifest.verify(envelope, key.public_key()) == payload
    assert agent_manifest.read(envelope, key.public_key().public_bytes_raw()).epoch == 7


def test_manifest_of_another_key_is_refused():
    envelope = manifest.sign({"epoch": 1}, Ed25519PrivateKey.generate())

    with pytest.raises(InvalidSignature):
        manifest.verify(envelope, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize(
    "envelope", [b"[]", b"{}", b"7", b"\xff", b"{", b'{"payload": "!", "signature": ""}']
)
def test_what_is_no_manifest_is_refused(envelope):
    with pytest.raises(ValueError):
        manifest.verify(envelope, Ed25519PrivateKey.generate().public_key())


def test_encrypted_key_is_refused_with_a_sentence(ec):
    secret = BestAvailableEncryption(b"password")
    der = ec.old_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, secret)

    with pytest.raises(ValueError, match="The key is encrypted"):
        keys.from_der(der)


def test_key_of_another_kind_is_named():
    other = Ed25519PrivateKey.generate()

    with pytest.raises(ValueError, match="Its key is Ed25519; use RSA"):
        keys.load(other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize("key_type", keys.KEY_TYPES)
def test_keys_are_of_the_kind_asked_for_and_read_back(key_type):
    key = keys.generate(key_type)

    assert keys.key_type_of(key.public_key()) == key_type
    assert keys.same_key(keys.from_der(keys.to_der(key)), keys.load(keys.to_pem(key)))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"junk", "not a private key"), (bytes(70000), "too large")],
)
def test_file_that_is_no_key_is_refused(data, sentence):
    with pytest.raises(ValueError, match=sentence):
        keys.load(data)


def test_leaf_signed_directly_is_part_of_no_other_chain(ec):
    stranger = make_leaf(ec.server_key, make_root(ec.old_key, "G7"), ec.old_key)

    with pytest.raises(ValueError, match=r"serialNumber=G7.* is missing"):
        check([stranger], None, roots=[ec.old])
