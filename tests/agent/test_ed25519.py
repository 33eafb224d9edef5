"""Vectors of RFC 8032, section 7.1."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent import ed25519

VECTORS = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
        "b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
        "1d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
        "c6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    "TEST SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feeb"
        "bd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0"
        "303dca179c138ac17ad9bef1177331a704",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vector_is_accepted_and_each_change_of_it_refused(name):
    key, message, signature = (bytes.fromhex(part) for part in VECTORS[name])

    assert ed25519.verify(key, message, signature) is True
    assert ed25519.verify(key, message + b"x", signature) is False
    for position in range(64):
        changed = bytearray(signature)
        changed[position] ^= 1
        assert ed25519.verify(key, message, bytes(changed)) is False


def test_another_implementation_signs_what_is_accepted():
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    message = os.urandom(3000)

    assert ed25519.verify(public, message, private.sign(message))


def test_scalar_beyond_the_order_is_refused():
    key, message, signature = (bytes.fromhex(part) for part in VECTORS["TEST 2"])
    scalar = int.from_bytes(signature[32:], "little") + ed25519.ORDER

    assert not ed25519.verify(key, message, signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\x00" * 31,
        b"\xff" * 32,  # not reduced
        (2).to_bytes(32, "little"),  # not on the curve
        (1 | 1 << 255).to_bytes(32, "little"),  # x = 0 with a sign
    ],
)
def test_what_is_no_key_verifies_nothing(key):
    assert not ed25519.verify(key, b"", bytes.fromhex(VECTORS["TEST 1"][2]))
