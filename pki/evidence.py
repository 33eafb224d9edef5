"""
The signature of an evidence pack: Ed25519 over all of the ZIP before its comment, which it is.

`agent.evidence_pack` verifies it.
"""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The comment while the ZIP is being written: its length is among what is signed.
ROOM = b"0" * 88


def sign(archive: bytes, key: Ed25519PrivateKey) -> bytes:
    """
    Return the ZIP `archive`, whose comment is `ROOM`, with the signature in the room's place.

    Raises ValueError if there is no room.
    """
    if not archive.endswith(ROOM):
        raise ValueError("The archive has no room for a signature.")
    signed = archive[: -len(ROOM)]
    return signed + base64.b64encode(key.sign(signed))
