"""Signatures over a short statement, by the key of a CA or a server."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from pki import keys

_PSS = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)


def sign(key: keys.PrivateKey, statement: bytes) -> bytes:
    """Return the signature of `key` over `statement`: ECDSA, or RSASSA-PSS (RFC 8017, 8.1)."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(statement, _PSS, SHA256())
    return key.sign(statement, ec.ECDSA(SHA256()))


def is_valid(key: object, statement: bytes, signature: bytes) -> bool:
    """Say whether `signature` over `statement` is that of the owner of the public key `key`."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, statement, _PSS, SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, statement, ec.ECDSA(SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def proves_itself(key: keys.PrivateKey, public: object) -> bool:
    """Say whether `key` signs and the public key `public` verifies that signature."""
    statement = b"zcc: does this key sign?"
    return is_valid(public, statement, sign(key, statement))
