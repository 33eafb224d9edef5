"""
Trust manifests: signed with the zone update key (Ed25519, RFC 8032), read by every agent.

The envelope is JSON: `payload`, the Base64 of canonical JSON, and `signature`, the Base64 of the
signature over a domain separator and the payload's bytes. `agent.manifest` reads it.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DOMAIN = b"zcc-trust-manifest-1\n"


def sign(payload: Mapping[str, Any], key: Ed25519PrivateKey, *, domain: bytes = DOMAIN) -> bytes:
    """Return the envelope with `payload` signed by `key` under `domain`, as UTF-8 JSON."""
    body = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    signature = key.sign(domain + body)
    envelope = {
        "payload": base64.b64encode(body).decode(),
        "signature": base64.b64encode(signature).decode(),
    }
    return json.dumps(envelope).encode()


def verify(envelope: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    """
    Return the payload of an envelope that `key` has signed.

    Raises cryptography.exceptions.InvalidSignature, or ValueError if it is no envelope.
    """
    try:
        parts = json.loads(envelope)
        body = base64.b64decode(parts["payload"], validate=True)
        signature = base64.b64decode(parts["signature"], validate=True)
    except (TypeError, KeyError) as error:
        raise ValueError("This is not the envelope of a trust manifest.") from error
    key.verify(signature, DOMAIN + body)
    payload: dict[str, Any] = json.loads(body)
    return payload
