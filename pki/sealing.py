"""
Encryption of keys: at rest under a key-encryption key, in transit to one server.

At rest: AES-256-GCM with a random 96-bit nonce. In transit: an ephemeral X25519 key, HKDF-SHA256
(RFC 5869) over the shared secret and both public keys, AES-256-GCM. Both are bound to a context:
what was sealed for one purpose does not open for another.
"""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SIZE = 32
NONCE_SIZE = 12
X25519_SIZE = 32
_AT_REST, _TO_ONE = b"zcc1", b"zcx1"


class SealBroken(ValueError):
    """What was sealed was changed, is of another context, or was sealed with another key."""


def seal(plaintext: bytes, kek: bytes, *, context: bytes) -> bytes:
    """Encrypt `plaintext` under the 32 bytes `kek`, bound to `context`."""
    nonce = secrets.token_bytes(NONCE_SIZE)
    return _AT_REST + nonce + AESGCM(_key(kek)).encrypt(nonce, plaintext, _AT_REST + context)


def unseal(sealed: bytes, kek: bytes, *, context: bytes) -> bytes:
    """Return what was sealed under `kek` and `context`. Raises SealBroken."""
    if not sealed.startswith(_AT_REST):
        raise SealBroken("This was not sealed at rest, or by a later version.")
    nonce, text = _split(sealed[len(_AT_REST) :], NONCE_SIZE)
    return _decrypt(_key(kek), nonce, text, _AT_REST + context)


def seal_to(receiver: X25519PublicKey, plaintext: bytes, *, context: bytes) -> bytes:
    """Encrypt `plaintext` so that only the holder of the key `receiver` belongs to can read it."""
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    key = _shared(ephemeral.exchange(receiver), public, receiver.public_bytes_raw())
    nonce = secrets.token_bytes(NONCE_SIZE)
    return _TO_ONE + public + nonce + AESGCM(key).encrypt(nonce, plaintext, _TO_ONE + context)


def unseal_with(receiver: X25519PrivateKey, sealed: bytes, *, context: bytes) -> bytes:
    """Return what was sealed to the public key of `receiver`. Raises SealBroken."""
    if not sealed.startswith(_TO_ONE):
        raise SealBroken("This was not sealed to one receiver, or by a later version.")
    public, rest = _split(sealed[len(_TO_ONE) :], X25519_SIZE)
    nonce, text = _split(rest, NONCE_SIZE)
    try:
        secret = receiver.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a point of low order
        raise SealBroken("The sender's key is not usable.") from error
    key = _shared(secret, public, receiver.public_key().public_bytes_raw())
    return _decrypt(key, nonce, text, _TO_ONE + context)


def _shared(secret: bytes, sender: bytes, receiver: bytes) -> bytes:
    info = _TO_ONE + sender + receiver
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=info).derive(secret)


def _key(kek: bytes) -> bytes:
    if len(kek) != KEY_SIZE:
        raise ValueError(f"A key-encryption key has {KEY_SIZE} bytes.")
    return kek


def _split(data: bytes, size: int) -> tuple[bytes, bytes]:
    if len(data) < size:
        raise SealBroken("What was sealed has been cut off.")
    return data[:size], data[size:]


def _decrypt(key: bytes, nonce: bytes, text: bytes, context: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, text, context)
    except InvalidTag as error:
        raise SealBroken("What was sealed does not open: changed, or another key.") from error
