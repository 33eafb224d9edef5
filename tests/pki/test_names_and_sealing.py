"""Names that people type, and keys that are sealed."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pki import names, sealing

KEK = bytes(range(32))
BIDI_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Type a common name"),
        ("   ", "Type a common name"),
        ("x" * 65, "has 65 characters; at most 64"),
        ("x" * 10_000, "has 10000 characters"),
        ("Zone\x07", "a control character"),
        ("Zone\nB", "a control character"),
        ("a\u202eb", "writing direction"),
        ("a\u2066b", "writing direction"),
        ("a\u200bb", "invisible or unknown"),
        ("a\u00a0b", "invisible or unknown"),
        ("a\ue000b", "invisible or unknown"),
        ("a\ud800b", "half of a character"),
        ("Zone 🔒", "a symbol or emoji"),
        ("a\U0010ffffb", "invisible or unknown"),
        ("a\u0378b", "invisible or unknown"),
        ("1\ufe0f\u20e3", "invisible or unknown"),
        ("\u3164", "invisible or unknown"),
        ("a\u034fb", "invisible or unknown"),
        ("\u0301abc", "begins with an accent"),
        *((f"a{mark}b", "writing direction") for mark in BIDI_MARKS),
    ],
)
def test_common_name_is_refused_with_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        names.check_common_name(text)


@pytest.mark.parametrize(
    "text", ["NORDHAVN-EU", "Zürich & Genève", "東京ゾーン", "Зона 1", "x" * 64, "مدينة"]
)
def test_common_name_of_any_script_is_kept(text):
    assert names.check_common_name(f" {text} ") == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Type a DNS name"),
        ("*.example.com", "wildcard"),
        ("my_host.example.com", "underscore"),
        ("192.0.2.1", "IP address"),
        ("2001:db8::1", "IP address"),
        ("a..b", "each part has 1 to 63"),
        ("-a.example", "each part"),
        ("a" * 64 + ".example", "each part|cannot be written"),
        (".".join(["a" * 60] * 5), "at most 253"),
        ("host.1", "last part is a number"),
        ("ho st", "each part"),
        ("a/b", "each part"),
        ("ps1..", "each part"),
        ("xn--zzzz9999.example", "each part"),
        ("straße.example", "xn-- form"),
        ("x" * 3_000_000, "has 3000000 characters; a DNS name has at most 253"),
        ("a\u202eb.example", r"a\\u202eb.example cannot be written"),
    ],
)
def test_dns_name_is_refused_with_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        names.check_dns_name(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" PS1.Example.COM. ", "ps1.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--fa-hia.de", "xn--fa-hia.de"),
        ("ps1", "ps1"),
    ],
)
def test_dns_name_is_normalised(text, normal):
    assert names.check_dns_name(text) == normal


def test_address_is_normalised():
    assert names.check_ip(" 2001:DB8:0::1 ") == "2001:db8::1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not an IP address"),
        ("192.0.2", "is not an IP address"),
        ("192.0.2.1/24", "is not an IP address"),
        ("fe80::1%eth0", "names a network card"),
    ],
)
def test_address_is_refused_with_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        names.check_ip(text)


def test_name_that_could_deceive_is_shown_with_its_numbers():
    name = names.ca_subject("a\u202eb", serial_number="G1")

    assert names.display(name) == "CN=a\\u202eb, serialNumber=G1"


def test_what_was_sealed_opens_with_the_same_key_and_context():
    sealed = sealing.seal(b"secret", KEK, context=b"zone 1")

    assert sealing.unseal(sealed, KEK, context=b"zone 1") == b"secret"


def test_every_changed_byte_is_noticed():
    sealed = sealing.seal(b"secret", KEK, context=b"zone 1")

    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(sealing.SealBroken):
            sealing.unseal(bytes(changed), KEK, context=b"zone 1")


def test_every_cut_is_noticed():
    sealed = sealing.seal(b"secret", KEK, context=b"zone 1")

    for length in range(len(sealed)):
        with pytest.raises(sealing.SealBroken):
            sealing.unseal(sealed[:length], KEK, context=b"zone 1")


@pytest.mark.parametrize(("kek", "context"), [(bytes(32), b"zone 1"), (KEK, b"zone 2")])
def test_other_key_or_context_does_not_open(kek, context):
    sealed = sealing.seal(b"secret", KEK, context=b"zone 1")

    with pytest.raises(sealing.SealBroken):
        sealing.unseal(sealed, kek, context=context)


def test_what_was_sealed_to_one_opens_for_that_one_alone():
    receiver, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    sealed = sealing.seal_to(receiver.public_key(), b"secret", context=b"join")

    assert sealing.unseal_with(receiver, sealed, context=b"join") == b"secret"
    with pytest.raises(sealing.SealBroken):
        sealing.unseal_with(other, sealed, context=b"join")
    with pytest.raises(sealing.SealBroken):
        sealing.unseal_with(receiver, sealed, context=b"leave")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(sealing.SealBroken):
            sealing.unseal_with(receiver, bytes(changed), context=b"join")
